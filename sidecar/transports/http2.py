"""One connection that speaks HTTP/2 where the server does, by httpcore; else it speaks HTTP/1.1."""

import ssl
from collections.abc import Iterable, Iterator, Sequence

import httpcore
import httpx


class Http2:
    """Used by one thread for one request at a time. Raises the errors of httpcore."""

    def __init__(self, url: httpx.URL, tls: ssl.SSLContext, network: httpcore.NetworkBackend) -> None:
        self._url = url
        origin = httpcore.Origin(url.raw_scheme, url.raw_host, url.port or 443)
        self._connection = httpcore.HTTPConnection(
            origin, ssl_context=tls, http2=True, network_backend=network
        )
        self._asked: httpcore.Request | None = None

    @property
    def usable(self) -> bool:
        """Whether another request may go out."""
        return self._connection.is_available() and not self._connection.has_expired()

    def ask(self, request: httpx.Request, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Note a request: httpcore sends it and waits for the answer in one step."""
        url = self._url
        where = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target)
        assert isinstance(request.stream, httpx.SyncByteStream)
        self._asked = httpcore.Request(request.method, where, headers=headers, content=request.stream)

    def answer(self) -> httpx.Response:
        """Send it; return the answer when its head is there. Its body is read as it is asked for."""
        assert self._asked is not None
        answer = self._connection.handle_request(self._asked)
        assert isinstance(answer.stream, Iterable)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer, self))

    def close(self) -> None:
        """Close the socket."""
        self._connection.close()

    def close_if_out_of_step(self) -> None:
        """Give up a connection in HTTP/1.1 that holds more than the answer: the next would begin with it.

        httpcore keeps such bytes; those that have not been read yet make its connection expire.
        """
        state = getattr(getattr(self._connection, "_connection", None), "_h11_state", None)
        if state is not None and state.trailing_data[0]:
            self.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, owner: Http2) -> None:
        self._answer = answer
        self._owner = owner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()
        self._owner.close_if_out_of_step()
