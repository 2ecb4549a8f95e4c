"""A real HTTP server for tests: does on each path what the test says, and remembers every request."""

import contextlib
import http.client
import itertools
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from types import TracebackType
from typing import Self

_PATIENCE_S = 20.0


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came over the wire. `connection` numbers the connections from 1."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int
    at: float

    def header(self, name: str) -> str | None:
        """Return the only value of a header, None without it."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a behaviour answers on, and to what."""

    receiver: "Receiver"
    wire: socket.socket
    request: Received


Behaviour = Callable[[Exchange], bool]


def message(status: int, body: bytes, headers: Mapping[str, str], *, bodiless: bool = False) -> bytes:
    """Return an answer of HTTP/1.1 as bytes."""
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}"]
    lines += [
        f"{name}: {value}" for name, value in ({"Content-Length": str(len(body))} | dict(headers)).items()
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if bodiless else body)


def answer(status: int = 200, body: bytes = b"ok", **headers: str) -> Behaviour:
    """Answer in good order and keep the connection. `retry_after="3"` becomes the header Retry-After."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}

    def behave(exchange: Exchange) -> bool:
        bodiless = exchange.request.method == "HEAD" or status in {204, 304}
        exchange.wire.sendall(message(status, b"" if status == 204 else body, named, bodiless=bodiless))
        return True

    return behave


def echo(status: int = 400) -> Behaviour:
    """Answer with all headers of the request, as careless debug pages do."""

    def behave(exchange: Exchange) -> bool:
        said = "\n".join(f"{name}: {value}" for name, value in exchange.request.headers)
        return answer(status, said.encode())(exchange)

    return behave


def hang(then: Behaviour | None = None) -> Behaviour:
    """Say nothing until the test releases the receiver, then answer."""

    def behave(exchange: Exchange) -> bool:
        exchange.receiver.released.wait(_PATIENCE_S)
        return (then or answer())(exchange)

    return behave


def raw(data: bytes) -> Behaviour:
    """Send just these bytes and close."""

    def behave(exchange: Exchange) -> bool:
        exchange.wire.sendall(data)
        return False

    return behave


def surplus(data: bytes) -> Behaviour:
    """Send just these bytes and keep the connection."""

    def behave(exchange: Exchange) -> bool:
        exchange.wire.sendall(data)
        return True

    return behave


def drip(data: bytes, every_s: float = 0.02) -> Behaviour:
    """Send byte after byte, so that each single wait of the reader is short."""

    def behave(exchange: Exchange) -> bool:
        for byte in data:
            exchange.wire.sendall(bytes([byte]))
            if exchange.receiver.closing.wait(every_s):
                break
        return False

    return behave


def endless(exchange: Exchange) -> bool:
    """Send a body that never ends, as fast as it goes."""
    exchange.wire.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    while not exchange.receiver.closing.is_set():
        exchange.wire.sendall(piece)
    return False


def reset(exchange: Exchange) -> bool:
    """Throw the connection away without a word (TCP RST)."""
    exchange.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def hang_up(exchange: Exchange) -> bool:
    """Close without a word."""
    return False


class Receiver:
    """Listens on a free port, or on the one named, until it is closed. `released` lets go all that `hang`."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, port: int = 0, otherwise: Behaviour | None = None
    ) -> None:
        self.released = threading.Event()
        self.closing = threading.Event()
        self.requests: list[Received] = []
        self._tls = tls
        self._behaviours: dict[str, list[Behaviour]] = {}
        self._default: Behaviour = otherwise or answer()
        self._changed = threading.Condition()
        self._open: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count(1)
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        """The address to use as a base_url."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def on(self, path: str, *behaviours: Behaviour) -> None:
        """Behave so on a path (its query does not count), one after the other; the last one stays."""
        with self._changed:
            self._behaviours[path] = list(behaviours)

    def otherwise(self, behaviour: Behaviour) -> None:
        """Behave so on all paths that nothing was said about."""
        self._default = behaviour

    def wait_for(self, count: int, path: str | None = None) -> list[Received]:
        """Return the requests (to a path) as soon as there are `count` of them."""
        with self._changed:
            arrived = self._changed.wait_for(lambda: len(self.to(path)) >= count, _PATIENCE_S)
        assert arrived, f"waited for {count} requests, got {len(self.to(path))}"
        return self.to(path)

    def to(self, path: str | None = None) -> list[Received]:
        """Return the requests to a path so far, or all."""
        return [one for one in self.requests if path in {None, one.target.partition("?")[0]}]

    def hang_up(self) -> None:
        """Close all connections, as servers do with idle ones; returns when the clients can see it."""
        with self._changed:
            wires = list(self._open.values())
            for wire in wires:
                _shut(wire)
            assert self._changed.wait_for(lambda: not self._open, _PATIENCE_S)

    def close(self) -> None:
        """Close everything and wait for all threads."""
        self.closing.set()
        self.released.set()
        _shut(self._listener)
        self._listener.close()
        with self._changed:
            for wire in self._open.values():
                _shut(wire)
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="receiver", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while not self.closing.is_set():
                wire, _ = self._listener.accept()
                self._start(partial(self._serve, wire, next(self._numbers)))

    def _serve(self, wire: socket.socket, number: int) -> None:
        with self._changed:
            self._open[number] = wire
        if self.closing.is_set():
            _shut(wire)
        try:
            with contextlib.suppress(OSError):
                if self._tls:
                    wire = self._open[number] = self._tls.wrap_socket(wire, server_side=True)
                with wire.makefile("rb") as lines:
                    while self._one(wire, lines, number):
                        pass
        finally:
            wire.close()
            with self._changed:
                del self._open[number]
                self._changed.notify_all()

    def _one(self, wire: socket.socket, lines: BufferedReader, number: int) -> bool:
        request = _read(lines, number)
        if request is None:
            return False
        with self._changed:
            self.requests.append(request)
            planned = self._behaviours.get(request.target.partition("?")[0], [self._default])
            behave = planned.pop(0) if len(planned) > 1 else planned[0]
            self._changed.notify_all()
        return behave(Exchange(self, wire, request))


def _read(lines: BufferedReader, number: int) -> Received | None:
    if not lines.peek(1)[:1].isalpha():
        return None  # no HTTP, such as a client's first words of TLS, which need not have an end of line
    first = lines.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = []
    while (line := lines.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    body = lines.read(length)
    if len(body) < length:
        return None
    return Received(first[0], first[1], tuple(headers), body, number, time.monotonic())


def _shut(wire: socket.socket) -> None:
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)
