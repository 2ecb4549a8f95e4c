"""A real HTTP proxy for tests: tunnels, passes on, and remembers what it was asked."""

import contextlib
import re
import socket
import threading
from types import TracebackType
from typing import Self

_PATIENCE_S = 20.0
_ASKED = re.compile(rb"([A-Z]+ )http://[^/ ]+")


class TestProxy:
    """Tunnels CONNECT and passes on what has a full address; with `says` it answers that and nothing else."""

    __test__ = False

    def __init__(self, says: bytes | None = None) -> None:
        self.heads: list[str] = []
        self._says = says
        self._wires: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def close(self) -> None:
        """Close everything and wait for all threads."""
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

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
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
            data = b""
            while b"\r\n\r\n" not in data:
                piece = wire.recv(65_536)
                if not piece:
                    return
                data += piece
            head, _, rest = data.partition(b"\r\n\r\n")
            self.heads.append(head.decode("latin-1"))
            if self._says is None:
                self._pass_on(wire, head, rest)
            else:
                wire.sendall(self._says)
                wire.shutdown(socket.SHUT_RDWR)

    def _pass_on(self, wire: socket.socket, head: bytes, rest: bytes) -> None:
        method, target, _ = head.split(b"\r\n")[0].split()
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            there = self._connect(host, int(port))
            wire.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            found = re.match(rb"http://([^:/]+):(\d+)(/.*)", target)
            assert found
            there = self._connect(found[1].decode(), int(found[2]))
            there.sendall(head.replace(target, found[3], 1) + b"\r\n\r\n" + rest)
            self._start(_pump, there, wire)
            self._pass_on_more(wire, there)
            return
        self._start(_pump, wire, there)
        _pump(there, wire)

    def _pass_on_more(self, wire: socket.socket, there: socket.socket) -> None:
        """Pass on what follows over the same connection; each request comes with its head in one piece."""
        with contextlib.suppress(OSError):
            while piece := wire.recv(65_536):
                found = _ASKED.match(piece)
                if found:
                    self.heads.append(piece.partition(b"\r\n\r\n")[0].decode("latin-1"))
                    piece = found[1] + piece[found.end() :]
                there.sendall(piece)
            there.shutdown(socket.SHUT_WR)

    def _connect(self, host: str, port: int) -> socket.socket:
        # Whatever a name is elsewhere, the services of these tests are here.
        there = socket.create_connection(("127.0.0.1" if host.endswith(".example") else host, port))
        self._wires.append(there)
        return there


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
