"""Whatever the other side does, a transport answers with an Attempt, in time, and works again afterwards.

The faults that all transports have in common are in test_faults.py; here is what is HTTP's and TLS's own.
"""

import socket
import threading
import time
import tracemalloc

import pytest

from sidecar.model import Attempt, Outcome
from sidecar.transports.base import Transport
from tests.receiver import (
    Behaviour,
    Receiver,
    answer,
    drip,
    endless,
    hang,
    hang_up,
    raw,
    reset,
    surplus,
)
from tests.transports.certificates import Authority
from tests.transports.conftest import Connect, request

TIMEOUT_S = 0.3
# How much longer than its timeout an attempt may take on a busy machine; without a deadline it is for ever.
SLACK_S = 2.0

# What a transport does before any protocol is spoken is asked of all of them.
every_kind = pytest.mark.parametrize("kind", ["rest", "amqp", "soap"], indirect=True)
PLAIN = {"rest": "http", "amqp": "amqp", "soap": "http"}
SECURE = {"rest": "https", "amqp": "amqps", "soap": "https"}
SENT = {"rest": b'{"a": 1}', "soap": b":a>1</"}


def timed(transport: Transport, endpoint: str = "/x", **changes: object) -> tuple[Attempt, float]:
    started = time.monotonic()
    attempt = transport.send(request(endpoint, **changes))
    return attempt, time.monotonic() - started


def said(attempt: Attempt) -> str:
    assert attempt.error is not None
    return attempt.error


def test_delivered_says_so_and_nothing_else(connect: Connect, receiver: Receiver, kind: str) -> None:
    attempt = connect().send(request())

    assert attempt.outcome is Outcome.DELIVERED
    assert attempt.status == 200
    assert attempt.error is None
    assert attempt.response is None
    assert [SENT[kind] in one.body for one in receiver.requests] == [True]


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (reset, "broke: [Errno 104] Connection reset by peer"),
        (hang_up, "closed the connection without an answer"),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "did not answer in HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "closed the connection in the middle of its answer"),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"),
            "closed the connection in the middle of its answer",
        ),
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"),
            "closed the connection in the middle of its answer",
        ),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), "did not answer in HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000), "did not answer in HTTP"),
    ],
    ids=["reset", "nothing", "garbage", "half a head", "half a body", "half a chunk", "length", "huge head"],
)
def test_broken_answer_is_a_failure_and_the_next_request_works(
    connect: Connect, receiver: Receiver, behaviour: Behaviour, sentence: str
) -> None:
    receiver.on("/x", behaviour, answer())
    transport = connect()

    first, second = transport.send(request()), transport.send(request())

    assert first.outcome is Outcome.FAILED
    assert first.status is None
    assert sentence in said(first)
    assert second.outcome is Outcome.DELIVERED
    assert len(receiver.requests) == 2


HEAD_AND_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    "behaviour",
    [
        hang(),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 2000),
        drip(HEAD_AND_BODY + b"z" * 1000),
        drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    ],
    ids=["hangs", "slow head", "slow body", "continues for ever"],
)
def test_deadline_holds_over_the_whole_attempt(
    connect: Connect, receiver: Receiver, behaviour: Behaviour
) -> None:
    receiver.on("/x", behaviour, answer())
    transport = connect(timeout=TIMEOUT_S)

    attempt, took_s = timed(transport)

    assert attempt.outcome is Outcome.FAILED
    assert said(attempt) == f"no answer from 127.0.0.1:{receiver.port} within 0.3 s"
    assert TIMEOUT_S <= took_s < TIMEOUT_S + SLACK_S
    assert transport.send(request()).outcome is Outcome.DELIVERED


# An envelope of 30 MB takes longer to build than the deadline is away.
@pytest.mark.parametrize("kind", ["rest"], indirect=True)
def test_deadline_holds_for_a_reader_that_takes_little_at_a_time(connect: Connect) -> None:
    done = threading.Event()

    def sip(listener: socket.socket) -> None:
        wire, _ = listener.accept()
        with wire:
            while not done.wait(0.02):
                wire.recv(20_000)

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        reader = threading.Thread(target=sip, args=(listener,), daemon=True)
        reader.start()
        transport = connect(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=TIMEOUT_S)

        attempt, took_s = timed(transport, body=b"x" * 30_000_000)

        done.set()
        reader.join()
    assert attempt.outcome is Outcome.FAILED
    assert took_s < TIMEOUT_S + SLACK_S


@every_kind
def test_deadline_holds_while_a_name_is_looked_up(
    connect: Connect, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = threading.Event()

    def stuck(*_: object, **__: object) -> list[object]:
        found.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", stuck)

    attempt, took_s = timed(connect(f"{PLAIN[kind]}://slow.example:80", timeout=TIMEOUT_S))

    found.set()
    assert attempt.outcome is Outcome.FAILED
    assert said(attempt) == "no answer from slow.example:80 within 0.3 s"
    assert took_s < TIMEOUT_S + SLACK_S


def test_second_address_of_a_name_is_tried(
    connect: Connect, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def two(host: str, port: int, *rest: object, **named: object) -> object:
        if host == "two.example":
            return [
                *real("127.0.0.2", port, type=socket.SOCK_STREAM),
                *real("127.0.0.1", port, type=socket.SOCK_STREAM),
            ]
        return real(host, port, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", two)

    attempt = connect(f"http://two.example:{receiver.port}").send(request())

    assert attempt.outcome is Outcome.DELIVERED
    assert receiver.requests[0].header("host") == f"two.example:{receiver.port}"


def test_large_answer_is_cut_and_costs_no_memory(connect: Connect, receiver: Receiver) -> None:
    receiver.on("/x", answer(500, b"x" * 10_000_000), answer())
    transport = connect()
    tracemalloc.start()

    attempt = transport.send(request())

    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert attempt.status == 500
    assert attempt.response == "x" * 2048
    # The receiver's own copies are in this process, too: its body and the message made of it.
    assert used < 10_000_000 * 2 + 5_000_000
    assert transport.send(request()).outcome is Outcome.DELIVERED


def test_endless_answer_ends(connect: Connect, receiver: Receiver) -> None:
    receiver.on("/x", endless, answer())
    transport = connect()

    first, second = transport.send(request()), transport.send(request())

    assert (first.status, second.status) == (200, 200)
    assert [one.connection for one in receiver.requests] == [1, 2]


def test_one_connection_serves_many_requests(connect: Connect, receiver: Receiver) -> None:
    transport = connect()

    for _ in range(50):
        assert transport.send(request()).outcome is Outcome.DELIVERED

    assert {one.connection for one in receiver.requests} == {1}


def test_kept_connection_that_the_server_closed_is_replaced(connect: Connect, receiver: Receiver) -> None:
    transport = connect()
    transport.send(request())
    receiver.hang_up()

    attempt = transport.send(request())

    assert attempt.outcome is Outcome.DELIVERED
    assert [one.connection for one in receiver.requests] == [1, 2]


def test_kept_connection_that_closes_as_the_request_arrives_is_replaced(
    connect: Connect, receiver: Receiver
) -> None:
    receiver.on("/x", answer(), hang_up, answer())
    transport = connect()
    transport.send(request())

    attempt = transport.send(request())

    assert attempt.outcome is Outcome.DELIVERED
    assert [one.connection for one in receiver.requests] == [1, 1, 2]


def test_request_is_not_repeated_once_an_answer_has_begun(connect: Connect, receiver: Receiver) -> None:
    receiver.on("/x", answer(), raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"), answer())
    transport = connect()
    transport.send(request())

    attempt = transport.send(request())

    assert attempt.outcome is Outcome.FAILED
    assert len(receiver.requests) == 2


def test_answer_to_a_request_is_never_taken_from_what_was_left_over(
    connect: Connect, receiver: Receiver
) -> None:
    twice = b"HTTP/1.1 500 Odd\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    receiver.on("/x", surplus(twice), answer(404))
    transport = connect()

    statuses = [transport.send(request()).status for _ in range(2)]

    assert statuses == [500, 404]
    assert [one.connection for one in receiver.requests] == [1, 2]


def test_latency_is_the_time_until_the_answer_is_read(connect: Connect, receiver: Receiver) -> None:
    receiver.on("/x", drip(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", every_s=0.005))

    attempt, took_s = timed(connect())

    assert 40 * 5 <= attempt.latency_ms <= took_s * 1000


def test_excerpt_survives_what_is_no_text(connect: Connect, receiver: Receiver) -> None:
    receiver.on("/x", answer(400, b"caf\xe9 \x00 \xf0\x9f"))

    attempt = connect().send(request())

    assert attempt.response == "caf\ufffd \ufffd \ufffd"


def test_certificate_of_a_trusted_authority_is_accepted(connect: Connect, trusted: Authority) -> None:
    with Receiver(trusted.server("IP:127.0.0.1")) as secure:
        attempt = connect(secure.url).send(request())

    assert attempt.outcome is Outcome.DELIVERED


@every_kind
def test_certificate_of_an_unknown_authority_is_a_failure(
    connect: Connect, kind: str, authority: Authority
) -> None:
    with Receiver(authority.server("IP:127.0.0.1")) as secure:
        attempt = connect(f"{SECURE[kind]}://127.0.0.1:{secure.port}").send(request())

    assert attempt.outcome is Outcome.FAILED
    assert "certificate verify failed: unable to get local issuer certificate" in said(attempt)
    assert secure.requests == []


@every_kind
@pytest.mark.parametrize(
    ("name", "days", "sentence"),
    [("DNS:other.example", 2, "IP address mismatch"), ("IP:127.0.0.1", -1, "certificate has expired")],
)
def test_wrong_certificate_is_a_failure(  # noqa: PLR0917 - fixtures
    connect: Connect, kind: str, trusted: Authority, name: str, days: int, sentence: str
) -> None:
    with Receiver(trusted.server(name, days=days)) as secure:
        attempt = connect(f"{SECURE[kind]}://127.0.0.1:{secure.port}").send(request())

    assert attempt.outcome is Outcome.FAILED
    assert sentence in said(attempt)
    assert secure.requests == []


@every_kind
def test_tls_handshake_that_hangs_ends_at_the_deadline(
    connect: Connect, kind: str, trusted: Authority
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = connect(f"{SECURE[kind]}://127.0.0.1:{silent.getsockname()[1]}", timeout=TIMEOUT_S)

        attempt, took_s = timed(transport)

    assert attempt.outcome is Outcome.FAILED
    assert took_s < TIMEOUT_S + SLACK_S


@every_kind
def test_no_tls_where_tls_is_wanted_is_a_failure(connect: Connect, kind: str, trusted: Authority) -> None:
    def complain(listener: socket.socket) -> None:
        wire, _ = listener.accept()
        with wire:
            wire.recv(10_000)
            wire.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=complain, args=(listener,), daemon=True)
        server.start()

        attempt = connect(f"{SECURE[kind]}://127.0.0.1:{listener.getsockname()[1]}").send(request())

        server.join()
    assert attempt.outcome is Outcome.FAILED
    assert said(attempt).startswith("could not connect to 127.0.0.1:")
