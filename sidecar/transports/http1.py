"""One connection of HTTP/1.1: a request goes out in one piece, llhttp reads what comes back."""

import re
from collections.abc import Iterable, Iterator, Sequence

import httpcore
import httptools
import httpx

from sidecar.errors import said
from sidecar.transports.stream import Stream

_PIECE = 65_536
_LONGEST_HEAD = 102_400
_SMALL_BODY = 65_536  # goes out together with the head, so that both are one segment and one system call
_HEADER = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n"
_HEAD = re.compile(rb"[A-Z]+ [\x21-\x7e]+ HTTP/1\.1\r\n(?:" + _HEADER + rb")*\r\n")
_OPENING = b"HTTP/1."
_SWITCHING = 101

Headers = Sequence[tuple[bytes, bytes]]


class Http1:
    """Used by one thread for one request at a time. Raises the errors of httpcore."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reading: _Reading | None = None

    @property
    def usable(self) -> bool:
        """Whether another request may go out: the last answer was whole and nothing follows it.

        What lies there unread would be taken for the next answer, or is the end of the connection.
        """
        last = self._reading
        return (last is None or last.reusable) and not self._stream.get_extra_info("is_readable")

    def ask(self, request: httpx.Request, target: bytes, headers: Headers) -> "Http1":
        """Send a request; return where to wait for the answer."""
        self._send(_head(request.method, target, headers), request.read())
        self._reading = _Reading(bodiless=request.method == "HEAD")
        return self

    def answer(self) -> httpx.Response:
        """Return the answer when its head is there. Its body is read as it is asked for."""
        reading = self._reading
        assert reading is not None
        while not reading.headed:
            self._hear(reading)
        return httpx.Response(reading.status, headers=reading.headers, stream=_Body(self, reading))

    def fileno(self) -> int:
        """Return the socket's number, to wait for the answer together with others."""
        number: int = self._stream.get_extra_info("socket").fileno()
        return number

    def take_in(self, most: int) -> bool:
        """Take in what has come; tell whether all of the answer is there, or more of its body than `most`.

        Where nothing has come yet it waits. An answer is not given up for what came in time and was read
        late, and it does not go on for ever because a little of it comes all the time, or very much around
        a small body: after `most` bytes it is others' turn.
        """
        stream, reading = self._stream, self._reading
        assert reading is not None
        before, piece = reading.length, stream.take(_PIECE)
        while piece is not None:
            reading.take(piece)
            if reading.whole or reading.body_length > most:
                return True
            if reading.length - before > most:
                stream.require_time()
                return False
            piece = stream.at_hand(_PIECE)
        return False

    def close(self) -> None:
        """Close the socket."""
        self._stream.close()

    def hear_body(self, reading: "_Reading") -> Iterator[bytes]:
        """Yield what comes of the body until it is whole."""
        while True:
            yield from reading.taken()
            if reading.whole:
                return
            self._hear(reading)

    def _send(self, head: bytes, body: bytes) -> None:
        """Send all. Whoever stops listening half way may have said why: then that is the answer."""
        together = len(body) <= _SMALL_BODY
        try:
            self._stream.write(head + body if together else head)
            if not together:
                self._stream.write(body)
        except httpcore.WriteError:
            if not self._stream.get_extra_info("is_readable"):
                raise

    def _hear(self, reading: "_Reading") -> None:
        reading.take(self._stream.read(_PIECE))


class _Reading:
    """One answer as it comes in; llhttp calls the methods that begin with `on_`."""

    def __init__(self, *, bodiless: bool) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.headed = self.whole = False
        self._bodiless = bodiless
        self._keeps_alive = self._surplus = False
        self.length = self.body_length = 0
        self._body = bytearray()  # and no list of pieces: each may be a byte long
        self._parser = httptools.HttpResponseParser(self)

    @property
    def reusable(self) -> bool:
        """Whether the connection can take another request after this."""
        return self.whole and self._keeps_alive and not self._surplus

    def take(self, data: bytes) -> None:
        """Take in what came, or its end. Raises RemoteProtocolError for what is no answer in HTTP/1.1."""
        if data:
            self._feed(data)
        else:
            self._end()

    def _feed(self, data: bytes) -> None:
        if self.whole:
            self._surplus = True
            return
        if self.length == 0 and data[: len(_OPENING)] != _OPENING[: len(data)]:
            raise httpcore.RemoteProtocolError(
                said("its answer begins with %(bytes)s", bytes=repr(data[:40]))
            )  # llhttp takes RTSP, too
        self.length += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.whole = True  # it speaks something else from here on
        except httptools.HttpParserError as error:
            self._surplus = True
            if not self.whole:
                raise httpcore.RemoteProtocolError(str(error) or type(error).__name__) from error
        if not self.headed and self.length > _LONGEST_HEAD:
            raise httpcore.RemoteProtocolError(
                said("its headers are longer than %(n)s bytes", n=f"{_LONGEST_HEAD:,}")
            )

    def _end(self) -> None:
        if not self.headed:
            raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
        if not self._ends_with_connection():
            raise httpcore.RemoteProtocolError("the server closed connection before the end of its answer")
        self.whole, self._keeps_alive = True, False

    def taken(self) -> Iterable[bytes]:
        """Return what has come of the body since it was asked last."""
        taken, self._body = bytes(self._body), bytearray()
        return [taken] if taken else []

    def on_message_begin(self) -> None:
        """Note where another answer follows that nobody has asked for."""
        self._surplus = self._surplus or self.whole

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what follows a body in pieces is none."""
        if not self.headed:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Tell an answer from what is only said on the way to it (RFC 9110, 15.2)."""
        if self.headed:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != _SWITCHING:
            self.headers.clear()
            return
        self.headed, self.status = True, status
        self._keeps_alive = self._parser.should_keep_alive() and status != _SWITCHING
        self.whole = self._bodiless

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if self.whole:
            self._surplus = True
        else:
            self._body += data
            self.body_length += len(data)

    def on_message_complete(self) -> None:
        """Note that the answer is there as a whole."""
        self.whole = self.headed

    def _ends_with_connection(self) -> bool:
        """Whether nothing but the end of the connection says where the body ends (RFC 9112, 6.3)."""
        said = {name.lower(): value.lower() for name, value in self.headers}
        coding = said.get(b"transfer-encoding")
        return not coding.endswith(b"chunked") if coding is not None else b"content-length" not in said


class _Body(httpx.SyncByteStream):
    def __init__(self, connection: Http1, reading: _Reading) -> None:
        self._connection = connection
        self._reading = reading

    def __iter__(self) -> Iterator[bytes]:
        return self._connection.hear_body(self._reading)


def _head(method: str, target: bytes, headers: Headers) -> bytes:
    """Return the head of a request. Raises LocalProtocolError where it would be read as something else."""
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode("ascii", "replace"), target, lines)
    # As many lines as were meant: a line break in one of them would begin another that is just as good.
    if head.count(b"\n") != len(headers) + 2 or not _HEAD.fullmatch(head):
        raise httpcore.LocalProtocolError(said("a header, the method or the path holds what cannot be sent"))
    return head
