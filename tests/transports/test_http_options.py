"""What a service can ask of REST: statuses of its own, compression, HTTP/2, and time for the connection."""

import gzip
import socket
from typing import Any

import pytest

from sidecar.model import Outcome
from tests.receiver import Receiver, answer
from tests.transports.certificates import Authority
from tests.transports.conftest import Connect, request
from tests.transports.multiplexed import Http2Server


@pytest.fixture
def kind() -> str:
    return "rest"


@pytest.mark.parametrize(
    ("options", "status", "outcome"),
    [
        ({"success_status": [200, 409]}, 409, Outcome.DELIVERED),
        ({"success_status": [200, 409]}, 201, Outcome.REJECTED),
        ({"success_status": "200-299, 304"}, 304, Outcome.DELIVERED),
        ({"retry_status": [404, "500-599"]}, 404, Outcome.BUSY),
        ({"retry_status": [404, "500-599"]}, 429, Outcome.REJECTED),
        ({"retry_status": [404, "500-599"]}, 503, Outcome.FAILED),
        ({"retry_status": "500, 502-599"}, 501, Outcome.REJECTED),
        ({"retry_status": []}, 503, Outcome.REJECTED),
        ({"success_status": 500}, 500, Outcome.DELIVERED),
        ({"retry_status": "400-499"}, 410, Outcome.BUSY),
    ],
)
def test_service_decides_which_statuses_are_good_and_which_come_again(
    connect: Connect, receiver: Receiver, options: dict[str, Any], status: int, outcome: Outcome
) -> None:
    receiver.on("/x", answer(status))

    assert connect(**options).send(request()).outcome is outcome


def test_large_body_is_sent_compressed_and_the_same_each_time(connect: Connect, receiver: Receiver) -> None:
    body = b'{"text": "' + b"abc " * 500 + b'"}'
    transport = connect(gzip=True)

    for _ in range(2):
        assert transport.send(request(body=body)).outcome is Outcome.DELIVERED

    first, second = receiver.requests
    assert first.header("content-encoding") == "gzip"
    assert len(first.body) < 200
    assert gzip.decompress(first.body) == body
    assert first.body == second.body


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"gzip": True}, {"body": b"x" * 1024}),
        ({"gzip": True}, {"body": None}),
        ({"gzip": False}, {"body": b"x" * 5000}),
        ({"gzip": True}, {"body": b"x" * 5000, "headers": {"Content-Encoding": "br"}}),
    ],
    ids=["small", "none", "off", "encoded by the rule"],
)
def test_body_is_left_alone_where_nothing_is_gained(
    connect: Connect, receiver: Receiver, options: dict[str, Any], changes: dict[str, Any]
) -> None:
    connect(**options).send(request(**changes))

    (got,) = receiver.requests
    assert got.header("content-encoding") == changes.get("headers", {}).get("Content-Encoding")
    assert got.body == (changes["body"] or b"")


def test_http2_is_spoken_where_the_service_offers_it(connect: Connect, trusted: Authority) -> None:
    with Http2Server(trusted.server("IP:127.0.0.1")) as server:
        transport = connect(f"https://127.0.0.1:{server.port}", http2=True)

        outcomes = [transport.send(request(f"/{number}")).outcome for number in range(3)]

    assert outcomes == [Outcome.DELIVERED] * 3
    assert server.bodies == [(1, f"/{number}", b'{"a": 1}') for number in range(3)]


def test_http2_falls_back_where_the_service_has_only_http1(connect: Connect, trusted: Authority) -> None:
    with Receiver(trusted.server("IP:127.0.0.1")) as secure:
        attempt = connect(secure.url, http2=True).send(request())

    assert attempt.outcome is Outcome.DELIVERED
    assert len(secure.requests) == 1


def test_http2_connection_that_takes_no_more_is_replaced(connect: Connect, trusted: Authority) -> None:
    with Http2Server(trusted.server("IP:127.0.0.1"), goaway=True) as server:
        transport = connect(f"https://127.0.0.1:{server.port}", http2=True)

        outcomes = [transport.send(request()).outcome for _ in range(3)]

    assert outcomes == [Outcome.DELIVERED] * 3
    assert [number for number, _, _ in server.bodies] == [1, 2, 3]


def test_http1_is_spoken_unless_asked_otherwise(connect: Connect, trusted: Authority) -> None:
    with Http2Server(trusted.server("IP:127.0.0.1")) as server:
        attempt = connect(f"https://127.0.0.1:{server.port}", timeout=2).send(request())

    assert attempt.outcome is Outcome.FAILED
    assert server.bodies == []


def test_connection_has_a_time_of_its_own(connect: Connect, trusted: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        transport = connect(f"https://127.0.0.1:{port}", timeout=20, connect_timeout=0.3)

        attempt = transport.send(request())

    assert attempt.outcome is Outcome.FAILED
    assert attempt.error == f"no connection to 127.0.0.1:{port} within 0.3 s"
    assert 300 <= attempt.latency_ms < 2_300


def test_answer_may_take_longer_than_the_connection(connect: Connect, receiver: Receiver) -> None:
    def late(exchange: Any) -> bool:
        exchange.receiver.closing.wait(0.4)
        return answer()(exchange)

    receiver.on("/x", late)

    attempt = connect(timeout=10, connect_timeout=0.2).send(request())

    assert attempt.outcome is Outcome.DELIVERED


def test_no_option_switches_the_verification_of_certificates_off(
    connect: Connect, authority: Authority
) -> None:
    cert, key = authority.client("pw-of-key")
    tls = {"cert": str(cert), "key": str(key), "key_password": "pw-of-key"}

    with Receiver(authority.server("IP:127.0.0.1")) as secure:
        attempts = [connect(secure.url, tls=tls, http2=http2).send(request()) for http2 in (False, True)]

    assert [attempt.outcome for attempt in attempts] == [Outcome.FAILED, Outcome.FAILED]
    assert secure.requests == []
