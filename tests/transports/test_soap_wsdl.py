"""The WSDL: kept, renewed, done without, and refused where it is dangerous or nonsense."""
# ruff: noqa: E501 - one case is one line

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import Clock, FakeClock, SystemClock
from sidecar.model import Attempt, Outcome
from sidecar.settings import Service
from sidecar.transports import soap_cache
from sidecar.transports.base import Transport, open_transport
from sidecar.transports.soap_cache import cache_folder
from tests.receiver import Receiver, answer, endless, hang, hang_up
from tests.transports.conftest import request
from tests.transports.soapserver import ABSTRACT_WSDL, SIS_XSD, SoapServer, wsdl

BODY = json.dumps({"student": {"id": 7}, "course": "math-1", "note": "hi"}).encode()
DOCUMENTS = ["/sis.wsdl", "/abstract.wsdl", "/sis.xsd", "/common.xsd"]
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>'

Open = Callable[..., Transport]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    soap_cache.library.forget()
    return tmp_path / "moodle-integration-hub" / "wsdl"


@pytest.fixture
def server(receiver: Receiver) -> SoapServer:
    return SoapServer(receiver)


@pytest.fixture
def opened(clock: FakeClock) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(server: SoapServer, use: Clock = clock, **options: Any) -> Transport:
            values = {"type": "soap", "base_url": server.wsdl_url, "timeout": 10, **options}
            transport = open_transport(Service.model_validate(values), use)
            stack.callback(transport.close)
            return transport

        yield make


def enrol(transport: Transport) -> Attempt:
    return transport.send(request("Enrol", body=BODY))


def loaded(server: SoapServer) -> list[str]:
    return [one.target for one in server.receiver.requests if one.target != "/sis"]


def restart() -> None:
    """Forget what a process has in memory."""
    soap_cache.library.forget()


def test_all_documents_are_read_once_for_many_calls_and_transports(opened: Open, server: SoapServer) -> None:
    first, second = opened(server), opened(server)

    outcomes = [enrol(transport).outcome for transport in (first, first, second)]

    assert outcomes == [Outcome.DELIVERED] * 3
    assert loaded(server) == DOCUMENTS


def test_threads_share_one_reading(opened: Open, server: SoapServer) -> None:
    found: list[Outcome] = []
    transports = [opened(server, SystemClock()) for _ in range(8)]
    threads = [threading.Thread(target=lambda t=one: found.append(enrol(t).outcome)) for one in transports]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [Outcome.DELIVERED] * 8
    assert loaded(server) == DOCUMENTS


def test_restarted_process_takes_the_documents_from_the_disk(
    opened: Open, server: SoapServer, folder: Path
) -> None:
    enrol(opened(server))
    restart()

    attempt = enrol(opened(server))

    assert attempt.outcome is Outcome.DELIVERED
    assert loaded(server) == DOCUMENTS
    assert len(list(folder.iterdir())) == 4
    assert {file.stat().st_mode & 0o077 for file in folder.iterdir()} == {0}


def test_old_documents_are_read_anew(opened: Open, server: SoapServer, clock: FakeClock) -> None:
    transport = opened(server, soap={"wsdl_max_age": "1h"})
    enrol(transport)
    clock.advance(3601)

    enrol(transport)

    assert loaded(server) == DOCUMENTS * 2


def test_old_documents_serve_on_while_their_host_is_away(
    opened: Open, server: SoapServer, clock: FakeClock
) -> None:
    enrol(opened(server))
    restart()
    clock.advance(86_401)
    for name in server.documents:
        server.receiver.on(f"/{name}", hang_up)
    transport = opened(server)

    attempts = [enrol(transport), enrol(transport)]

    assert [one.outcome for one in attempts] == [Outcome.DELIVERED] * 2
    assert loaded(server) == [*DOCUMENTS, "/sis.wsdl"]


def test_hanging_host_of_an_old_wsdl_leaves_time_for_the_call(
    opened: Open, server: SoapServer, clock: FakeClock
) -> None:
    enrol(opened(server))
    restart()
    server.receiver.on("/sis.wsdl", hang())

    # The machine's clock is years ahead of the one by which the copy was read.
    attempt = enrol(opened(server, SystemClock(), timeout=1.5))

    assert attempt.outcome is Outcome.DELIVERED
    assert 400 <= attempt.latency_ms < 1500


def test_broken_copy_on_the_disk_is_replaced(opened: Open, server: SoapServer, folder: Path) -> None:
    enrol(opened(server))
    restart()
    for file in folder.iterdir():
        file.write_bytes(b"\xff half a fil")

    attempt = enrol(opened(server))

    assert attempt.outcome is Outcome.DELIVERED
    assert loaded(server) == DOCUMENTS * 2


def test_folder_that_cannot_be_made_costs_nothing(opened: Open, server: SoapServer, tmp_path: Path) -> None:
    (tmp_path / "moodle-integration-hub").write_text("a file where the folder should be")

    attempt = enrol(opened(server))

    assert attempt.outcome is Outcome.DELIVERED


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"CACHE_DIRECTORY": "/var/cache/mih:/var/cache/other", "HOME": "/h"}, "/var/cache/mih/wsdl"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/moodle-integration-hub/wsdl"),
    ],
)
def test_environment_says_where_documents_are_kept(env: dict[str, str], folder: str) -> None:
    assert cache_folder(env) == Path(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sis_wsdl": ""}, "{url}/sis.wsdl is empty"),
        ({"sis_wsdl": "<html><br></html>"}, "{url}/sis.wsdl is no XML: mismatched tag: line 1, column 12"),
        ({"sis_wsdl": "<html/>"}, "zeep does not understand it: it describes no service"),
        ({"sis_wsdl": BOMB + "<x>&b;</x>"}, "{url}/sis.wsdl has a DOCTYPE: documents with one are not read"),
        ({"sis_xsd": SIS_XSD.replace("?>", "?>" + FILE, 1)}, "{url}/sis.xsd has a DOCTYPE: documents with one are not read"),
        ({"abstract_wsdl": ABSTRACT_WSDL.replace("sis.xsd", "file:///etc/hostname")}, "it imports file:///etc/hostname, and only http:// and https:// are read"),
        ({"abstract_wsdl": ABSTRACT_WSDL.replace("sis.xsd", "http://169.254.169.254/x")}, "the network rules refuse 169.254.169.254"),
        ({"abstract_wsdl": ABSTRACT_WSDL.replace("sis.xsd", "away.xsd")}, "{url}/away.xsd answered 404 Not Found"),
        ({"abstract_wsdl": ABSTRACT_WSDL.replace("s:Enrol", "s:Gone")}, "zeep does not understand it: "),
        ({"sis_wsdl": wsdl("http://other.example.org/sis")}, "it says that Soap11 is at http://other.example.org, another host than its own: if that is right, set soap.address to the whole URL"),
        ({"sis_wsdl": wsdl("REPLACE_WITH_ACTUAL_URL")}, "it gives no address for Soap11: set soap.address"),
        ({"sis_wsdl": wsdl("ftp://127.0.0.1/sis")}, "it gives no address for Soap11: set soap.address"),
    ],
)  # fmt: skip
def test_wsdl_that_cannot_be_used_says_why(
    opened: Open, server: SoapServer, changes: dict[str, str], sentence: str
) -> None:
    server.receiver.on("/away.xsd", answer(404))
    server.publish(**changes)

    attempt = enrol(opened(server))

    assert attempt.outcome is (Outcome.INVALID if "network rules" in sentence else Outcome.FAILED)
    expected = sentence.format(url=server.receiver.url)
    assert str(attempt.error).startswith(f"the WSDL cannot be used: {expected}")
    assert server.receiver.to("/sis") == []


@pytest.mark.parametrize(
    ("status", "headers", "sentence"),
    [
        (401, {}, "answered 401 Unauthorized; are the credentials right?"),
        (302, {"location": "https://x.example/w?key=1"}, "answered 302, a redirect to https://x.example/w: use the final URL"),
        (503, {}, "answered 503 Service Unavailable"),
    ],
)  # fmt: skip
def test_refused_wsdl_names_the_status(
    opened: Open, server: SoapServer, status: int, headers: dict[str, str], sentence: str
) -> None:
    server.receiver.on("/sis.wsdl", answer(status, b"", **headers))
    secret = f"{server.wsdl_url}?token=hunter2"

    attempt = enrol(opened(server, base_url=secret))

    assert attempt.outcome is Outcome.FAILED
    assert attempt.error == f"the WSDL cannot be used: {server.wsdl_url} {sentence}"


def test_nonsense_is_not_kept(opened: Open, server: SoapServer, folder: Path) -> None:
    good = server.documents["sis.wsdl"]
    server.publish(sis_wsdl="<html>please log in</html>")
    enrol(opened(server))
    server.publish(sis_wsdl=good)

    attempt = enrol(opened(server))

    assert attempt.outcome is Outcome.DELIVERED


def test_hanging_wsdl_is_given_up_in_time(opened: Open, server: SoapServer) -> None:
    server.receiver.on("/sis.wsdl", hang())

    attempt = enrol(opened(server, SystemClock(), timeout=0.3))

    assert attempt.outcome is Outcome.FAILED
    assert attempt.error == (
        f"the WSDL cannot be used: no answer from 127.0.0.1:{server.receiver.port} within 0.3 s"
    )


def test_endless_wsdl_is_cut(opened: Open, server: SoapServer) -> None:
    server.receiver.on("/sis.wsdl", endless)

    attempt = enrol(opened(server))

    assert attempt.error == f"the WSDL cannot be used: {server.wsdl_url} is longer than 5 MiB"


def test_imports_without_end_are_cut(opened: Open, server: SoapServer) -> None:
    numbers = iter(range(1_000_000))

    def another(exchange: Any) -> bool:
        text = wsdl("http://x").replace("abstract.wsdl", f"/more/{next(numbers)}")
        return answer(200, text.replace("urn:example:sis", f"urn:{next(numbers)}").encode())(exchange)

    server.receiver.otherwise(another)
    server.publish(sis_wsdl=wsdl("http://x").replace("abstract.wsdl", "/more/first"))

    attempt = enrol(opened(server))

    assert attempt.error == (
        "the WSDL cannot be used: with all its imports it is more than 100 documents or 20 MiB"
    )


def test_credentials_go_to_the_host_of_the_wsdl_alone(opened: Open, server: SoapServer) -> None:
    with Receiver() as other:
        other.on("/sis.xsd", answer(200, SIS_XSD.encode()))
        other.on("/common.xsd", answer(200, server.documents["common.xsd"].encode()))
        server.publish(abstract_wsdl=ABSTRACT_WSDL.replace("sis.xsd", f"{other.url}/sis.xsd"))
        auth = {"type": "basic", "username": "moodle", "password": "pw"}

        attempt = enrol(opened(server, auth=auth, headers={"X-Key": "k-12345"}))

        assert attempt.outcome is Outcome.DELIVERED
        assert [one.header("authorization") for one in server.receiver.requests] == ["Basic bW9vZGxlOnB3"] * 3
        assert [(one.header("authorization"), one.header("x-key")) for one in other.requests] == [
            (None, None),
            (None, None),
        ]


def test_address_in_the_settings_wins(opened: Open, server: SoapServer) -> None:
    server.publish(sis_wsdl=wsdl("http://other.example.org/sis"))

    attempt = enrol(opened(server, soap={"address": f"{server.receiver.url}/sis"}))

    assert attempt.outcome is Outcome.DELIVERED


def test_port_that_is_not_there_is_named(opened: Open, server: SoapServer) -> None:
    attempt = enrol(opened(server, soap={"port": "Soap13"}))

    assert attempt.outcome is Outcome.INVALID
    assert attempt.error == (
        "it cannot be sent: the WSDL has no such SOAP port; it has SisService.Soap11 and SisService.Soap12"
    )
