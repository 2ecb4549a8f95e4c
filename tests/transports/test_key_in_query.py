"""A key that travels in the URL, where so many things are tempted to write it down."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import SystemClock
from sidecar.gateway.line import Line
from sidecar.model import Attempt, Outcome
from sidecar.settings import Service
from sidecar.transports.soap_cache import library
from tests.deliveries import delivery
from tests.receiver import Behaviour, Exchange, Receiver, answer, hang, hang_up, raw, reset
from tests.transports.certificates import Authority
from tests.transports.multiplexed import Http2Server
from tests.transports.proxies import TestProxy
from tests.transports.soapserver import SoapServer, fault

KEY = "s3cret&k/y"
# As it is, as a URL has it, as XML has it.
SPELLINGS = ("s3cret&k/y", "s3cret%26k", "s3cret&amp;k")
AUTH = {"type": "apikey", "key": KEY, "query": "api_key"}
CALLED = {"rest": "/x", "soap": "/sis"}

Open = Callable[..., Line]


@pytest.fixture
def opened(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open the gateway's line to a receiver; it writes down whatever may be written down."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    library.forget()
    with ExitStack() as stack:

        def make(receiver: Receiver, **options: Any) -> Line:
            url = SoapServer(receiver).wsdl_url if kind == "soap" else receiver.url
            values = {"type": kind, "base_url": url, "timeout": 10, "auth": AUTH, **options}
            capture = {"request": True, "response": True}
            line = Line(Service.model_validate(values | {"capture": capture}), SystemClock())
            stack.callback(line.close)
            return line

        yield make


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Hear all that any library says."""
    caplog.set_level(logging.DEBUG)
    return caplog


def call(line: Line, kind: str) -> Attempt:
    body = json.dumps({"a": 1})
    return line.send(delivery(endpoint="Note" if kind == "soap" else "/x?page=1", body=body))


def assert_untold(attempt: Attempt, log: pytest.LogCaptureFixture) -> None:
    told = f"{attempt}\n{attempt.error}\n{attempt.response}\n{attempt.request}\n{log.text}"
    assert [spelling for spelling in SPELLINGS if spelling in told] == []


def tell(status: int) -> Behaviour:
    """Answer with the target of the request, as careless error pages do."""

    def behave(exchange: Exchange) -> bool:
        target = exchange.request.target
        return answer(status, f"{target} {KEY}".encode(), location=f"http://x.example{target}")(exchange)

    return behave


def tell_in_a_fault(exchange: Exchange) -> bool:
    text = exchange.request.target + KEY.replace("&", "&amp;")
    return answer(500, fault("e:Server", text))(exchange)


def test_every_request_has_it_and_no_header(
    opened: Open, kind: str, receiver: Receiver, log: pytest.LogCaptureFixture
) -> None:
    attempt = call(opened(receiver), kind)

    assert attempt.outcome is Outcome.DELIVERED
    expected = {
        "rest": ["/x?page=1&api_key=s3cret%26k%2Fy"],
        "soap": [
            f"/{name}?api_key=s3cret%26k%2Fy"
            for name in ("sis.wsdl", "abstract.wsdl", "sis.xsd", "common.xsd", "sis")
        ],
    }
    assert [one.target for one in receiver.requests] == expected[kind]
    assert [one.header("x-api-key") for one in receiver.requests] == [None] * len(expected[kind])
    assert attempt.request == '{"a": 1}'
    assert_untold(attempt, log)


@pytest.mark.parametrize(
    "behaviour",
    [
        tell(200),
        tell(302),
        tell(400),
        tell(500),
        tell_in_a_fault,
        raw(b"s3cret&k/y is no HTTP\r\n\r\n"),
        raw(b"HTTP/1.1 200 s3cret&k/y\r\nContent-Length: many\r\n\r\n"),
        reset,
        hang_up,
    ],
    ids=["200", "302", "400", "500", "fault", "garbage", "odd head", "reset", "nothing"],
)
def test_no_answer_brings_it_into_a_text(
    opened: Open, kind: str, receiver: Receiver, log: pytest.LogCaptureFixture, behaviour: Behaviour
) -> None:
    line = opened(receiver)
    receiver.on(CALLED[kind], behaviour)

    attempt = call(line, kind)

    assert "s3cret%26k%2Fy" in receiver.to(CALLED[kind])[0].target
    assert_untold(attempt, log)


@pytest.mark.parametrize(
    "behaviour",
    [tell(302), tell(404), hang_up, raw(b"s3cret&k/y\r\n\r\n")],
    ids=["302", "404", "nothing", "garbage"],
)
@pytest.mark.parametrize("kind", ["soap"], indirect=True)
@pytest.mark.parametrize("document", ["sis.wsdl", "sis.xsd"])
def test_wsdl_that_cannot_be_read_does_not_tell(  # noqa: PLR0917 - fixtures
    opened: Open,
    kind: str,
    receiver: Receiver,
    log: pytest.LogCaptureFixture,
    behaviour: Behaviour,
    document: str,
) -> None:
    line = opened(receiver)
    receiver.on(f"/{document}", behaviour)

    attempt = call(line, kind)

    assert attempt.outcome is Outcome.FAILED
    assert str(attempt.error).startswith("the WSDL cannot be used: ")
    assert_untold(attempt, log)


def test_deadline_does_not_tell(
    opened: Open, kind: str, receiver: Receiver, log: pytest.LogCaptureFixture
) -> None:
    line = opened(receiver, timeout=0.5)
    call(line, kind)
    receiver.on(CALLED[kind], hang())

    attempt = call(line, kind)

    assert attempt.error == f"no answer from 127.0.0.1:{receiver.port} within 0.5 s"
    assert_untold(attempt, log)


def test_proxy_that_refuses_does_not_tell(
    opened: Open, kind: str, receiver: Receiver, log: pytest.LogCaptureFixture
) -> None:
    with TestProxy(b"HTTP/1.1 407 s3cret&k/y\r\nContent-Length: 0\r\n\r\n") as proxy:
        attempt = call(opened(receiver, proxy=f"http://127.0.0.1:{proxy.port}"), kind)

    assert attempt.outcome is Outcome.UNSENT
    assert_untold(attempt, log)


@pytest.mark.parametrize("kind", ["rest"], indirect=True)
def test_libraries_of_http2_do_not_tell(
    opened: Open, kind: str, receiver: Receiver, trusted: Authority, log: pytest.LogCaptureFixture
) -> None:
    with Http2Server(trusted.server("IP:127.0.0.1")) as server:
        # The server of this test uses the same library, and has nothing else to say.
        attempt = call(opened(receiver, base_url=f"https://127.0.0.1:{server.port}", http2=True), kind)

    assert attempt.outcome is Outcome.DELIVERED
    assert [path for _, path, _ in server.bodies] == ["/x?page=1&api_key=s3cret%26k%2Fy"]
    assert_untold(attempt, log)
