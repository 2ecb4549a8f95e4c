"""A receiver that is no bottleneck: a process of its own that counts requests and answers with fixed bytes.

It looks for nothing but the end of the headers and Content-Length. As a program it takes commands on its
standard input, one a line, and answers each with a line of JSON.
"""

import json
import select
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, Self

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Counted:
    """What has arrived since the last reset: how many, when the first, and when the last was answered."""

    requests: int
    first: float
    last: float
    most: int  # in flight at once

    @property
    def rate(self) -> float:
        """Requests a second between the first that arrived and the last that was answered."""
        return self.requests / (self.last - self.first)


class Receiver:
    """The receiver as the benchmarks see it: started, asked, ended."""

    def __init__(self, delay_s: float = 0) -> None:
        command = [sys.executable, "-m", "benchmarks.receiver", str(delay_s)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{self._answer()}"

    def count(self) -> Counted:
        """Return what has arrived since the last reset."""
        return Counted(**self._ask("count"))

    def reset(self, *, keep: bool = False) -> None:
        """Begin to count anew; `keep`: also what arrives."""
        self._ask("keep" if keep else "reset")

    def kept(self) -> list[tuple[float, str]]:
        """Return when each request was there, on time.monotonic, and its body."""
        return [(at, body) for at, body in self._ask("kept")]

    def wait_for(self, requests: int, *, within_s: float = 300) -> Counted:
        """Wait until so many have been answered."""
        ends = time.monotonic() + within_s
        while (found := self.count()).requests < requests:
            if time.monotonic() > ends:
                raise TimeoutError(f"{found.requests} of {requests} requests came within {within_s:g} s")
            time.sleep(0.02)
        return found

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, what: str) -> Any:
        assert self._process.stdin
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


class _Desk:
    """The receiver itself: one thread, one epoll."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._wires: dict[int, socket.socket] = {}
        self._pending: dict[int, bytes] = {}
        self._due: deque[tuple[float, int]] = deque()
        self._poll = select.epoll()
        self._poll.register(self._listener, select.EPOLLIN)
        self._poll.register(sys.stdin, select.EPOLLIN)
        self._listening = self._listener.fileno()
        self._keep, self._bodies = False, list[tuple[float, str]]()
        self._requests = self._most = 0
        self._first = self._last = 0.0
        self._say(self._listener.getsockname()[1])

    def run(self) -> None:
        while True:
            wait_s = max(self._due[0][0] - time.monotonic(), 0) if self._due else -1
            for file, _ in self._poll.poll(wait_s):
                if file == self._listening:
                    self._accept()
                elif file in self._wires:
                    self._read(file)
                elif not self._obey(sys.stdin.readline().strip()):
                    return
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self._reply(self._due.popleft()[1])

    def _accept(self) -> None:
        wire, _ = self._listener.accept()
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wires[wire.fileno()] = wire
        self._pending[wire.fileno()] = b""
        self._poll.register(wire, select.EPOLLIN)

    def _read(self, file: int) -> None:
        try:
            data = self._wires[file].recv(65536)
        except OSError:
            data = b""
        if not data:
            self._poll.unregister(file)
            del self._pending[file]
            self._wires.pop(file).close()
            return
        data = self._pending[file] + data
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end or len(rest) < _length(head):
            self._pending[file] = data
            return
        self._pending[file] = rest[_length(head) :]
        self._take(file, rest)

    def _take(self, file: int, body: bytes) -> None:
        now = time.monotonic()
        self._first = self._first or now
        if self._keep:
            self._bodies.append((now, body.decode()))
        if self._delay_s:
            self._due.append((now + self._delay_s, file))
            self._most = max(self._most, len(self._due))
        else:
            self._reply(file)

    def _reply(self, file: int) -> None:
        if file in self._wires:
            try:
                self._wires[file].send(_ANSWER)
            except OSError:
                return
            self._requests += 1
            self._last = time.monotonic()

    def _obey(self, command: str) -> bool:
        match command:
            case "count":
                self._say(asdict(Counted(self._requests, self._first, self._last, self._most)))
            case "reset" | "keep":
                self._reset(keep=command == "keep")
                self._say(None)
            case "kept":
                self._say(self._bodies)
            case _:
                return False
        return True

    def _reset(self, *, keep: bool) -> None:
        self._keep = keep
        self._bodies.clear()
        self._requests = self._most = 0
        self._first = self._last = 0.0

    def _say(self, what: object) -> None:
        print(json.dumps(what), flush=True)


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


if __name__ == "__main__":
    _Desk(float(sys.argv[1])).run()
