"""Three services at one address of this machine: they take what the sidecar sends, each in its own way."""

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

from sidecar.clock import Clock

CRM, ANALYTICS, FLAKY = "crm", "lms-analytics", "flaky"
REFUSED = "/grades/deleted"

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER, 0 seconds: closing sends a reset


@dataclass(frozen=True, slots=True)
class Outages:
    """When a service is down: from `first_s` on for `length_s`, and again every `every_s`."""

    first_s: float
    length_s: float
    every_s: float

    def number_at(self, elapsed_s: float) -> int | None:
        """Return which outage it is, counted from 0; None while all is well."""
        number, within = divmod(elapsed_s - self.first_s, self.every_s)
        return int(number) if elapsed_s >= self.first_s and within < self.length_s else None


@dataclass(frozen=True, slots=True)
class Manner:
    """How a service answers: how fast, when not at all, and what it never takes."""

    latency_ms: tuple[float, float]
    outages: Outages | None = None
    refuses: str | None = None


class Verdict(Enum):
    """What happens to one request."""

    ACCEPT = auto()
    REFUSE = auto()  # 422: it will never be taken
    DOWN = auto()  # 503
    RESET = auto()  # the connection breaks, nothing was taken
    SWALLOW = auto()  # taken, but the connection breaks before the answer: it comes again


MANNERS = {
    CRM: Manner((5, 30)),
    ANALYTICS: Manner((100, 300)),
    FLAKY: Manner((20, 60), Outages(first_s=2.5, length_s=8, every_s=20), refuses=REFUSED),
}


class Desk:
    """What one service knows: the ids that it took, and how often each came."""

    def __init__(self, manner: Manner, rng: Random) -> None:
        self.taken: Counter[str] = Counter()
        self._manner, self._rng = manner, rng
        self._swallowed: set[int] = set()
        self._healed = False
        self._lock = threading.Lock()

    def judge(self, path: str, delivery_id: str, elapsed_s: float) -> tuple[Verdict, float]:
        """Return what happens to a request and after how many seconds; what is taken is written down."""
        with self._lock:
            verdict = self._verdict(path, elapsed_s)
            if verdict in (Verdict.ACCEPT, Verdict.SWALLOW):
                self.taken[delivery_id] += 1
            return verdict, self._rng.uniform(*self._manner.latency_ms) / 1000

    def heal(self) -> None:
        """Have no more outages."""
        with self._lock:
            self._healed = True

    def ids(self) -> Counter[str]:
        """Return how often each id was taken."""
        with self._lock:
            return Counter(self.taken)

    def _verdict(self, path: str, elapsed_s: float) -> Verdict:
        outages = self._manner.outages
        outage = None if self._healed or outages is None else outages.number_at(elapsed_s)
        if outage is not None:
            return self._fail(outage, path)
        return Verdict.REFUSE if path == self._manner.refuses else Verdict.ACCEPT

    def _fail(self, outage: int, path: str) -> Verdict:
        """Fail the way services do: the first request is still taken, only its answer gets lost."""
        if outage not in self._swallowed and path != self._manner.refuses:
            self._swallowed.add(outage)
            return Verdict.SWALLOW
        return Verdict.RESET if self._rng.random() < 0.3 else Verdict.DOWN


class Receiver:
    """Listens on a free port of loopback until it is closed."""

    def __init__(self, rng: Random, clock: Clock, pause: Callable[[float], None] = time.sleep) -> None:
        self.desks = {name: Desk(manner, rng) for name, manner in MANNERS.items()}
        self._clock, self._start = clock, clock.monotonic()
        self._server = _Server(("127.0.0.1", 0), self._handler(pause))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the services are: a service's name comes behind it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def taken(self) -> Counter[str]:
        """Return how often each delivery id was taken, over all services."""
        return sum((desk.ids() for desk in self.desks.values()), Counter[str]())

    def heal(self) -> None:
        """End all outages."""
        for desk in self.desks.values():
            desk.heal()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _elapsed_s(self) -> float:
        return self._clock.monotonic() - self._start

    def _handler(self, pause: Callable[[float], None]) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(_Handler):
            def decide(self, service: str, path: str, delivery_id: str) -> Verdict | None:
                desk = receiver.desks.get(service)
                if desk is None:
                    return None
                verdict, wait_s = desk.judge(path, delivery_id, receiver._elapsed_s())
                pause(wait_s)
                return verdict

        return Handler


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that went away in the middle is no news here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def decide(self, service: str, path: str, delivery_id: str) -> Verdict | None:
        """Return what happens to a request; None if there is no such service."""
        raise NotImplementedError

    def do_POST(self) -> None:
        """Take, refuse or fail, as the service decides."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service, _, rest = self.path.lstrip("/").partition("/")
        match self.decide(service, f"/{rest}", self.headers.get("webhook-id") or ""):
            case Verdict.ACCEPT:
                self._answer(201, "taken")
            case Verdict.REFUSE:
                self._answer(422, "a grade that was given cannot be taken back")
            case Verdict.DOWN:
                self._answer(503, "down for maintenance")
            case Verdict.RESET | Verdict.SWALLOW:
                self._break()
            case None:
                self._answer(404, "there is no such service")

    do_PUT = do_POST  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name for it
        """Say nothing: the screen belongs to the sidecar."""

    def _answer(self, status: int, message: str) -> None:
        body = json.dumps({"message": message}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _break(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.close()
