"""What an answer in HTTP/1.1 may be like, and what is never taken for one (RFC 9112)."""

import select

import httpcore
import httpx
import pytest

from sidecar.clock import FakeClock, SystemClock
from sidecar.model import Outcome
from sidecar.settings import Service
from sidecar.transports.connection import OneConnection
from sidecar.transports.deadline import Deadline
from sidecar.transports.http import HttpTransport
from sidecar.transports.http1 import Http1
from sidecar.transports.steps import finished
from sidecar.transports.stream import Stream
from tests.receiver import Receiver, answer, hang, raw, surplus
from tests.transports.certificates import Authority
from tests.transports.conftest import Connect, request
from tests.transports.test_contract import said


@pytest.fixture
def kind() -> str:
    return "rest"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: late\r\n\r\n", b"ok"),
    ],
    ids=["interim", "no length", "HTTP/1.0", "trailers"],
)
def test_answer_is_whole(connect: Connect, receiver: Receiver, data: bytes, body: bytes) -> None:
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" if b"100" in data else b""
    receiver.on("/x", raw(data + final))

    attempt = connect().send(request(keep_bytes=100))

    assert (attempt.outcome, attempt.response) == (Outcome.DELIVERED, body.decode())


def test_connection_goes_on_after_interim_answers(connect: Connect, receiver: Receiver) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n"
    receiver.on("/x", surplus(interim), answer(202))
    transport = connect()

    statuses = [transport.send(request()).status for _ in range(2)]

    assert statuses == [201, 202]
    assert [one.connection for one in receiver.requests] == [1, 1]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
    ],
    ids=["close", "HTTP/1.0", "upgrade", "surplus"],
)
def test_connection_is_not_used_again(connect: Connect, receiver: Receiver, data: bytes) -> None:
    receiver.on("/x", surplus(data), answer(202))
    transport = connect()

    transport.send(request())
    second = transport.send(request())

    assert second.status == 202
    assert [one.connection for one in receiver.requests] == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ],
    ids=["RTSP", "HTTP/2", "two lengths", "length and pieces", "bare line feeds"],
)
def test_what_is_no_answer_is_a_failure(connect: Connect, receiver: Receiver, data: bytes) -> None:
    receiver.on("/x", surplus(data))

    attempt = connect().send(request())

    assert attempt.outcome is Outcome.FAILED
    assert "did not answer in HTTP" in said(attempt)


class _Impatient(Stream):
    """A server that answers before it has read, and then reads no more."""

    def __init__(self) -> None:
        pass

    def write(self, *_: object, **__: object) -> None:
        raise httpcore.WriteError("[Errno 32] Broken pipe")

    def read(self, *_: object, **__: object) -> bytes:
        return b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    def get_extra_info(self, info: str) -> bool:
        return info == "is_readable"


def test_answer_to_a_body_that_was_not_taken_is_read() -> None:
    message = httpx.Request("POST", "http://example.org/", content=b"x" * 100_000)

    connection = Http1(_Impatient())
    connection.ask(message, b"/", message.headers.raw)

    assert connection.answer().status_code == 413


@pytest.mark.parametrize(
    "headers",
    [[("X", "a\r\nX-Admin: yes")], [("X", "a\nb")], [("X\r\nX-Admin: yes\r\nY", "z")], [("X ", "y")]],
)
def test_line_breaks_begin_no_other_header(receiver: Receiver, headers: list[tuple[str, str]]) -> None:
    deadline = Deadline(SystemClock())
    deadline.start(5)
    connection = OneConnection(deadline)

    with pytest.raises(httpcore.LocalProtocolError):
        connection.handle_request(httpx.Request("GET", receiver.url, headers=headers))

    connection.close()
    assert receiver.requests == []


def test_who_waits_for_several_answers_is_kept_by_no_words_of_tls(
    trusted: Authority, clock: FakeClock
) -> None:
    with Receiver(trusted.server("IP:127.0.0.1")) as receiver:
        receiver.on("/x", hang(answer()))
        transport = HttpTransport(Service(base_url=receiver.url, timeout=10), clock)
        steps = transport.sending(request())

        socket = next(steps)
        assert _readable(socket)  # tickets for later sessions
        assert next(steps) == socket
        receiver.released.set()
        assert _readable(socket)
        clock.advance(11)  # it came in time, and is read late
        attempt = finished(steps)

        assert attempt.outcome is Outcome.DELIVERED
        transport.close()


def _readable(socket: int) -> bool:
    return bool(select.select([socket], [], [], 20)[0])
