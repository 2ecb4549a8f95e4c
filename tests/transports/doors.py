"""A door before a real server: whoever comes is treated as by a fault, until it is mended."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

_PATIENCE_S = 20.0
_DRIP_S = 0.02

Trick = Callable[[socket.socket, threading.Event], None]


def _leave(wire: socket.socket) -> None:
    """Close as one does in good order: who leaves with something unheard resets the connection."""
    wire.shutdown(socket.SHUT_WR)
    while wire.recv(65_536):
        pass


def reset(wire: socket.socket, _: threading.Event) -> None:
    """Hear what is wanted and throw the connection away (TCP RST)."""
    wire.recv(65_536)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(wire: socket.socket, _: threading.Event) -> None:
    """Hear what is wanted and close without a word."""
    wire.recv(65_536)
    _leave(wire)


def hang(wire: socket.socket, over: threading.Event) -> None:
    """Say nothing."""
    over.wait(_PATIENCE_S)


def say(words: bytes, *, slowly: bool = False) -> Trick:
    """Hear what is wanted, say something else, and close; or say it byte by byte."""

    def trick(wire: socket.socket, over: threading.Event) -> None:
        wire.recv(65_536)
        for piece in [words[at : at + 1] for at in range(len(words))] if slowly else [words]:
            wire.sendall(piece)
            if slowly and over.wait(_DRIP_S):
                return
        _leave(wire)

    return trick


def show(certificate: ssl.SSLContext) -> Trick:
    """Show another certificate than the server's."""

    def trick(wire: socket.socket, _: threading.Event) -> None:
        with contextlib.suppress(ssl.SSLError):
            certificate.wrap_socket(wire, server_side=True).close()

    return trick


class Door:
    """`closed` it holds its port and lets nobody connect. `trap` is called once when `bait` goes through.

    `sprung` is set when the trap has done its work, which the other side may notice before.
    """

    def __init__(self, trick: Trick | None = None, *, closed: bool = False) -> None:
        self.leads_to = 0
        self.bait = b""
        self.trap: Callable[[], object] = lambda: None
        self.sprung = threading.Event()
        self._trick = trick
        self._over = threading.Event()
        self._wires: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        if not closed:
            self._open()

    def mend(self) -> None:
        """Let in whoever comes from now on."""
        self._trick = None
        self._over.set()
        self.bait = b""
        if not self._threads:
            self._open()

    def close(self) -> None:
        """Close everything and wait for all threads."""
        self._over.set()
        for wire in [self._listener, *self._wires]:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        for wire in [self._listener, *self._wires]:
            wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        self._listener.listen()
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="door", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                wire, _ = self._listener.accept()
                self._wires.append(wire)
                self._start(self._serve, wire)

    def _serve(self, wire: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._trick is not None:
                self._trick(wire, self._over)
                wire.close()
                return
            there = socket.create_connection(("127.0.0.1", self.leads_to))
            self._wires.append(there)
            self._start(self._carry, there, wire)
            self._carry(wire, there)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                if self.bait and self.bait in piece:
                    self.bait = b""
                    self.trap()
                    self.sprung.set()
                    break
                sink.sendall(piece)
        for wire in (source, sink):
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
