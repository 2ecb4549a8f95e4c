"""A receiver that takes whatever comes and counts the delivery ids: what really arrived."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Arrival"], int]


class Arrival:
    """One request that arrived."""

    def __init__(self, path: str, delivery_id: str, body: bytes) -> None:
        self.path, self.delivery_id, self._body = path, delivery_id, body

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self._body)


class Sink:
    """Counts arrivals by delivery id; `answer` decides the status of each."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer: Answer = lambda _: 200
        self.arrivals: list[Arrival] = []
        self.accepted: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, arrival: Arrival) -> int:
        """Note an arrival and return its status."""
        status = self.answer(arrival)
        with self._lock:
            self.arrivals.append(arrival)
            if status == 200:
                self.accepted[arrival.delivery_id] += 1
        return status

    @property
    def repeated(self) -> int:
        """How many deliveries were accepted more than once."""
        return sum(1 for times in self.accepted.values() if times > 1)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    sink: Sink

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about connections that a killed sidecar has left behind."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return  # the sidecar was killed in the middle of it
        status = self.server.sink.take(Arrival(self.path, self.headers["webhook-id"], body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep the test's output clean."""


@contextmanager
def sink() -> Iterator[Sink]:
    """Yield a sink that listens on loopback."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.sink = Sink(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.sink
    server.shutdown()
    thread.join()
    server.server_close()
