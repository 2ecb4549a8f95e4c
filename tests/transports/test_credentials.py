"""Credentials of our own: where they go, what they prove, and that nobody gets to read them."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from sidecar.clock import FakeClock
from sidecar.model import Outcome
from sidecar.settings import Service
from sidecar.transports.base import Request
from sidecar.transports.http import HttpTransport
from sidecar.transports.outgoing import with_parameter
from tests.receiver import Exchange, Receiver, answer
from tests.transports.certificates import Authority
from tests.transports.conftest import Connect, MakeLine, request
from tests.transports.test_line import delivery

OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLasw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


MakeSender = Callable[..., HttpTransport]


@pytest.fixture
def kind() -> str:
    return "rest"


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[MakeSender]:
    """Open a transport to the receiver by a clock that the test turns."""
    with ExitStack() as stack:

        def make(clock: FakeClock, **options: Any) -> HttpTransport:
            service = Service.model_validate({"base_url": receiver.url, "timeout": 10, **options})
            transport = HttpTransport(service, clock)
            stack.callback(transport.close)
            return transport

        yield make


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h/x", "https://h/x?api_key=a%26b%3D%2F"),
        ("https://h/x?y=1", "https://h/x?y=1&api_key=a%26b%3D%2F"),
        ("https://h/x#here", "https://h/x?api_key=a%26b%3D%2F"),
    ],
)
def test_parameter_is_added_whatever_the_endpoint_holds(url: str, expected: str) -> None:
    assert with_parameter(url, "api_key", "a&b=/") == expected


def test_key_in_the_query_stands_in_no_header_and_in_no_text(make_line: MakeLine, receiver: Receiver) -> None:
    def tell(exchange: Exchange) -> bool:
        return answer(400, f"cannot use {exchange.request.target}".encode())(exchange)

    receiver.on("/x", tell)
    line = make_line(auth={"type": "apikey", "key": "s3cret&key", "query": "api_key"})

    attempt = line.send(delivery(endpoint="/x?page=1"))

    (got,) = receiver.requests
    assert got.target == "/x?page=1&api_key=s3cret%26key"
    assert got.header("x-api-key") is None
    assert attempt.response == "cannot use /x?page=1&api_key=********"


def verified(secret: str, received: Any) -> Any:
    headers = {name.lower(): value for name, value in received.headers}
    return Webhook(secret).verify(received.body, headers)


def test_signature_is_accepted_by_the_official_verifier(connect: Connect, receiver: Receiver) -> None:
    body = '{"name": "Zoë 😀"}'.encode()

    connect(signing={"secret": NEW}).send(request(body=body))

    (got,) = receiver.requests
    assert verified(NEW, got) == {"name": "Zoë 😀"}
    with pytest.raises(WebhookVerificationError):
        verified(OLD, got)


def test_while_a_secret_is_changed_both_verify(connect: Connect, receiver: Receiver) -> None:
    connect(signing={"secret": NEW, "previous": [OLD]}).send(request())

    (got,) = receiver.requests
    assert verified(NEW, got) == verified(OLD, got) == {"a": 1}
    signatures = str(got.header("webhook-signature")).split(" ")
    assert [one.partition(",")[0] for one in signatures] == ["v1", "v1"]


def test_retry_signs_the_same_body_at_a_new_time(sender: MakeSender, receiver: Receiver) -> None:
    clock = FakeClock()
    transport = sender(clock, signing={"secret": NEW})

    transport.send(request(headers={"webhook-timestamp": "1", "Webhook-Signature": "v1,forged"}))
    clock.advance(120)
    transport.send(request())

    first, second = receiver.requests
    assert (first.header("webhook-timestamp"), second.header("webhook-timestamp")) == (
        "1772438400",
        "1772438520",
    )
    assert first.header("webhook-id") == second.header("webhook-id") == "d-1"
    assert first.body == second.body
    assert first.header("webhook-signature") != second.header("webhook-signature")


def test_nothing_is_signed_unless_asked_for(connect: Connect, receiver: Receiver) -> None:
    connect().send(request())

    assert receiver.requests[0].header("webhook-signature") is None


def test_request_without_a_body_is_signed_as_an_empty_one(connect: Connect, receiver: Receiver) -> None:
    connect(signing={"secret": NEW}).send(Request("d-1", "GET", "/x", None, None))

    (got,) = receiver.requests
    expected = Webhook(NEW).sign("d-1", _at(got), "")
    assert got.header("webhook-signature") == expected


def _at(received: Any) -> Any:
    return datetime.fromtimestamp(int(received.header("webhook-timestamp")), UTC)


def asking_for_certificates(authority: Authority) -> ssl.SSLContext:
    context = authority.server("IP:127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    return context


def test_own_certificate_is_shown_and_own_authority_trusted(connect: Connect, authority: Authority) -> None:
    cert, key = authority.client("pw-of-key")
    tls = {"ca": str(authority.file), "cert": str(cert), "key": str(key), "key_password": "pw-of-key"}

    with Receiver(asking_for_certificates(authority)) as secure:
        with_certificate = connect(secure.url, tls=tls).send(request())
        without = connect(secure.url, tls={"ca": str(authority.file)}).send(request())

    assert with_certificate.outcome is Outcome.DELIVERED
    assert without.outcome is Outcome.FAILED
    assert len(secure.requests) == 1


def test_own_authority_replaces_the_others(connect: Connect, trusted: Authority, tmp_path: Any) -> None:
    another = tmp_path / "another"
    another.mkdir()
    stranger = Authority(another)

    with Receiver(trusted.server("IP:127.0.0.1")) as secure:
        attempt = connect(secure.url, tls={"ca": str(stranger.file)}).send(request())

    assert attempt.outcome is Outcome.FAILED
    assert "certificate verify failed" in str(attempt.error)


@pytest.mark.parametrize("wrong", ["password", "file"])
def test_certificate_that_cannot_be_used_any_more_is_told(
    connect: Connect, authority: Authority, wrong: str
) -> None:
    cert, key = authority.client("pw-of-key")
    tls = {"ca": str(authority.file), "cert": str(cert), "key": str(key), "key_password": "pw-of-key"}
    tls |= {"key_password": "s3cret"} if wrong == "password" else {"cert": f"{cert}.gone"}

    with Receiver(authority.server("IP:127.0.0.1")) as secure:
        attempt = connect(secure.url, tls=tls).send(request())

    assert attempt.outcome is Outcome.FAILED
    assert " of tls cannot be " in str(attempt.error)
    assert "s3cret" not in str(attempt.error)


def test_renewed_authority_is_used_from_the_next_connection_on(
    connect: Connect, authority: Authority, tmp_path: Any
) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    file = tmp_path / "ca.pem"
    file.write_bytes(Authority(folder).file.read_bytes())

    with Receiver(authority.server("IP:127.0.0.1")) as secure:
        transport = connect(secure.url, tls={"ca": str(file)})
        before = transport.send(request())
        file.write_bytes(authority.file.read_bytes())
        after = transport.send(request())

    assert (before.outcome, after.outcome) == (Outcome.FAILED, Outcome.DELIVERED)
