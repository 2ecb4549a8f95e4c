"""Network rules hold for a WSDL, for what it imports, and for where it says that the service is."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import Clock, FakeClock, SystemClock
from sidecar.errors import HubError
from sidecar.model import Attempt, Outcome
from sidecar.settings import NetworkRules, Service
from sidecar.transports.base import Transport, open_transport
from sidecar.transports.soap_cache import library
from sidecar.transports.soap_describe import describe
from tests.receiver import Receiver, answer
from tests.transports.conftest import request
from tests.transports.proxies import TestProxy
from tests.transports.soapserver import ABSTRACT_WSDL, SIS_XSD, SoapServer, wsdl
from tests.transports.test_network import Names, rules

BODY = json.dumps({"student": {"id": 7}, "course": "math-1", "note": "hi"}).encode()
METADATA = "169.254.169.254, where a cloud hands out credentials: this is never allowed"
ONLY_HERE = rules(allow="127.0.0.1", private=False)
LOOPBACK = "127.0.0.2, which is loopback: add 127.0.0.2/32 to network.allow to allow it"

Open = Callable[..., Transport]


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    library.forget()


@pytest.fixture
def server(receiver: Receiver) -> SoapServer:
    return SoapServer(receiver)


def service(server: SoapServer, network: NetworkRules = ONLY_HERE, **options: Any) -> Service:
    values = {"type": "soap", "base_url": server.wsdl_url, "timeout": 10, **options}
    return Service.model_validate(values).within(network)


@pytest.fixture
def opened() -> Iterator[Open]:
    with ExitStack() as stack:

        def make(
            server: SoapServer, network: NetworkRules = ONLY_HERE, use: Clock | None = None, **options: Any
        ) -> Transport:
            transport = open_transport(service(server, network, **options), use or SystemClock())
            stack.callback(transport.close)
            return transport

        yield make


def enrol(transport: Transport) -> Attempt:
    return transport.send(request("Enrol", body=BODY))


def assert_refused(attempt: Attempt, server: SoapServer, why: str) -> None:
    assert attempt.outcome is Outcome.INVALID
    assert attempt.error == f"the WSDL cannot be used: the network rules refuse {why}"
    assert server.calls == []


def test_service_at_a_listed_address_is_called(opened: Open, server: SoapServer) -> None:
    assert enrol(opened(server)).outcome is Outcome.DELIVERED


@pytest.mark.parametrize(
    ("location", "why"),
    [
        ("http://169.254.169.254/latest/meta-data", METADATA),
        ("http://127.0.0.2:8500/v1/kv", LOOPBACK),
        ("http://[::1]/x.xsd", "::1, which is loopback: add ::1/128 to network.allow to allow it"),
        ("http://0x7f000002/x.xsd", f"0x7f000002 is at {LOOPBACK}"),
    ],
)
@pytest.mark.parametrize("level", ["wsdl", "schema"])
def test_import_from_a_refused_address_is_never_asked_for(
    opened: Open, server: SoapServer, level: str, location: str, why: str
) -> None:
    if level == "wsdl":
        changes = {"sis_wsdl": wsdl(f"{server.receiver.url}/sis").replace("abstract.wsdl", location)}
    else:
        changes = {"sis_xsd": SIS_XSD.replace("common.xsd", location)}
    server.publish(**changes)

    assert_refused(enrol(opened(server)), server, why)


def test_import_by_a_name_is_judged_by_the_address_of_the_name(
    opened: Open, server: SoapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, schemas_example=[["127.0.0.2"]])
    location = f"http://schemas.example:{server.receiver.port}/sis.xsd"
    server.publish(abstract_wsdl=ABSTRACT_WSDL.replace("sis.xsd", location))

    assert_refused(enrol(opened(server)), server, f"schemas.example is at {LOOPBACK}")
    assert names.asked == ["schemas.example"]


def test_name_of_the_wsdl_that_points_elsewhere_when_called_gains_nothing(
    opened: Open, server: SoapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The documents are read over one connection and the call has one of its own, so a second look-up.
    names = Names(monkeypatch, sis_example=[["127.0.0.1"], ["127.0.0.2"]])
    own = f"http://sis.example:{server.receiver.port}"
    server.publish(sis_wsdl=wsdl(f"{own}/sis"))

    attempt = enrol(opened(server, base_url=f"{own}/sis.wsdl"))

    assert attempt.outcome is Outcome.INVALID
    assert attempt.error == f"the network rules refuse sis.example is at {LOOPBACK}"
    assert names.asked == ["sis.example"] * 2
    assert server.receiver.to("/sis") == []


def test_redirect_to_a_refused_address_is_not_followed(opened: Open, server: SoapServer) -> None:
    server.receiver.on("/sis.xsd", answer(302, location="http://169.254.169.254/latest"))

    attempt = enrol(opened(server))

    assert attempt.outcome is Outcome.FAILED
    assert attempt.error == (
        f"the WSDL cannot be used: {server.receiver.url}/sis.xsd answered 302, a redirect to"
        " http://169.254.169.254/latest: use the final URL"
    )


def test_proxy_is_not_asked_for_what_is_refused(opened: Open, server: SoapServer) -> None:
    server.publish(abstract_wsdl=ABSTRACT_WSDL.replace("sis.xsd", "http://169.254.169.254/latest"))
    with TestProxy() as proxy:
        transport = opened(server, proxy=f"http://127.0.0.1:{proxy.port}")

        attempt = enrol(transport)
        transport.close()

    assert_refused(attempt, server, METADATA)
    assert len(proxy.heads) == 2
    assert not any("169.254" in head for head in proxy.heads)


def test_address_of_the_call_is_judged_as_well(opened: Open, server: SoapServer) -> None:
    attempt = enrol(opened(server, soap={"address": "http://127.0.0.2:1/sis"}))

    assert attempt.outcome is Outcome.INVALID
    assert attempt.error == f"the network rules refuse {LOOPBACK}"


def test_copy_on_the_disk_does_not_open_the_way(opened: Open, server: SoapServer) -> None:
    enrol(opened(server))
    library.forget()
    calls = len(server.calls)

    attempt = enrol(opened(server, rules(deny="127.0.0.0/8")))

    assert attempt.outcome is Outcome.INVALID
    assert "127.0.0.1, which is denied: take 127.0.0.0/8 out of network.deny" in str(attempt.error)
    assert len(server.calls) == calls


def test_copy_that_others_may_read_is_not_shown(opened: Open, server: SoapServer, clock: FakeClock) -> None:
    enrol(opened(server))
    fetched = len(server.receiver.requests)

    with pytest.raises(HubError) as caught:
        describe(service(server, rules(deny="127.0.0.0/8")), clock)

    assert "The WSDL cannot be used: the network rules refuse" in str(caught.value)
    assert len(server.receiver.requests) == fetched


def test_description_is_under_the_same_rules(server: SoapServer, clock: FakeClock) -> None:
    server.publish(abstract_wsdl=ABSTRACT_WSDL.replace("sis.xsd", "http://169.254.169.254/latest"))

    with pytest.raises(HubError) as caught:
        describe(service(server), clock)

    assert str(caught.value) == f"The WSDL cannot be used: the network rules refuse {METADATA}"
