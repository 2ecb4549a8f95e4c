"""One HTTP connection with one deadline, as an httpx transport.

httpx's own pool walks all its connections at every request, and its timeouts are per read: a server that
sends one byte a second is never given up. A sender thread needs one connection and one deadline.
"""

import ssl
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import certifi
import httpcore
import httpx

from sidecar.clock import Clock


class Deadline:
    """The moment at which everything about the current request has to be over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends = 0.0

    def start(self, seconds: float) -> None:
        """Give the next request `seconds` from now."""
        self._ends = self._clock.monotonic() + seconds

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
        self.was_reused = False

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
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _to(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        connection = self._connection
        self.was_reused = (
            connection is not None
            and connection.can_handle_request(origin)
            and connection.is_available()
            and not connection.has_expired()
        )
        if connection is None or not self.was_reused:
            self.close()
            connection = self._connection = httpcore.HTTPConnection(
                origin, ssl_context=_tls(), network_backend=self._backend
            )
        return connection


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


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
        stream = self._real.connect_tcp(host, port, self._deadline.left(), local_address, socket_options)
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    """A socket whose every wait ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._deadline.left())

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


@cache
def _tls() -> ssl.SSLContext:
    """Trust what this system trusts, and the public authorities where it has none of its own."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
