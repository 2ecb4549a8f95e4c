"""One HTTP connection with one deadline, as an httpx transport.

httpx's own pool walks all its connections at every request, and its timeouts are per read: a server that
sends one byte a second is never given up. A sender thread needs one connection and one deadline.
"""

import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any

import certifi
import httpcore
import httpx

from sidecar.clock import Clock


class Deadline:
    """The moment at which everything about the current request has to be over.

    `heard` tells whether anything has come from the other side since it was started.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends = 0.0
        self.heard = False

    def start(self, seconds: float) -> None:
        """Give the next request `seconds` from now."""
        self._ends = self._clock.monotonic() + seconds
        self.heard = False

    def left(self) -> float:
        """Return the seconds left. Raises httpcore.ReadTimeout when there are none."""
        left = self._ends - self._clock.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left


class OneConnection(httpx.BaseTransport):
    """Keeps one connection and opens another when it is gone or the origin is a different one."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._backend = _Backend(deadline)
        self._connection: httpcore.HTTPConnection | None = None
        self._was_reused = False

    @property
    def was_stale(self) -> bool:
        """Whether a failure may only mean that the server had closed the kept connection meanwhile."""
        return self._was_reused and not self._deadline.heard

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        connection = self._to(url.origin)
        assert isinstance(request.stream, httpx.SyncByteStream)
        answer = connection.handle_request(
            httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream)
        )
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, self))

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close_if_out_of_step(self) -> None:
        """Give up a connection that holds more than the answer: it would be taken for the next one's.

        httpcore keeps such bytes; those that have not been read yet make its connection expire.
        """
        state = getattr(getattr(self._connection, "_connection", None), "_h11_state", None)
        if state is not None and state.trailing_data[0]:
            self.close()

    def _to(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        connection = self._connection
        self._was_reused = (
            connection is not None
            and connection.can_handle_request(origin)
            and connection.is_available()
            and not connection.has_expired()
        )
        if connection is None or not self._was_reused:
            self.close()
            connection = self._connection = httpcore.HTTPConnection(
                origin, ssl_context=tls_context(), network_backend=self._backend
            )
        return connection


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, owner: OneConnection) -> None:
        self._answer = answer
        self._owner = owner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()
        self._owner.close_if_out_of_step()


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline holds
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _addresses(host, port, self._deadline)
        problem: Exception | None = None
        for number, address in enumerate(addresses):
            share = self._deadline.left() / (len(addresses) - number)
            try:
                stream = self._real.connect_tcp(address, port, share, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
            else:
                return _Stream(stream, self._deadline)
        raise problem or httpcore.ConnectError(f"{host} has no address")


class _Stream(httpcore.NetworkStream):
    """A socket whose every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        received = self._stream.read(max_bytes, self._deadline.left())
        self._deadline.heard = self._deadline.heard or bool(received)
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all. httpcore's own loop gives each piece the whole time again when the reader is slow."""
        wire: socket.socket = self._stream.get_extra_info("socket")
        left = memoryview(buffer)
        try:
            while left:
                wire.settimeout(self._deadline.left())
                left = left[wire.send(left) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        left = self._deadline.left()
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int, deadline: Deadline) -> list[str]:
    """Look a name up. The system's resolver knows no deadline, so a thread of its own waits for it."""
    answer: SimpleQueue[list[str] | Exception] = SimpleQueue()
    threading.Thread(target=_look_up, args=(host, port, answer), name="look-up", daemon=True).start()
    try:
        found = answer.get(timeout=deadline.left())
    except Empty:
        raise httpcore.ConnectTimeout(f"the name {host} was not resolved in time") from None
    if isinstance(found, Exception):
        raise httpcore.ConnectError(str(found)) from found
    return found


def _look_up(host: str, port: int, answer: "SimpleQueue[list[str] | Exception]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answer.put(list(dict.fromkeys(str(address[0]) for *_, address in found)))
    except (OSError, UnicodeError) as error:
        answer.put(error)


@cache
def tls_context() -> ssl.SSLContext:
    """Trust what this system trusts, and the public authorities where it has none of its own."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
