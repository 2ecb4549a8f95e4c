"""A listener for health checks alone: it answers also where there is neither dashboard nor API."""

import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from sidecar.store.engine import Database
from sidecar.web.desk import Pulse

_log = logging.getLogger("mih.web")

_AWAY = "its database cannot be reached: its log says why"
_PATIENCE_S = 5

Check = Callable[[], str | None]


def store_problem(store: Database) -> str | None:
    """Say that the store is away; None: it is there."""
    try:
        with store.read() as conn:
            conn.execute(text("SELECT 1"))
    except SQLAlchemyError:
        return _AWAY
    return None


class PulseServer:
    """Answers `GET /healthz` and `/readyz` as the API does, in threads of its own, and nothing else."""

    def __init__(self, host: str, port: int, *, pulse: Pulse, store: Database) -> None:
        checks: dict[str, Check] = {"/healthz": pulse, "/readyz": lambda: pulse() or store_problem(store)}
        self._server = ThreadingHTTPServer((host, port), _handler(checks))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="pulse", daemon=True)

    def start(self) -> None:
        """Listen; returns at once."""
        self._thread.start()
        host, port = self._server.server_address[:2]
        _log.info("health.listening url=http://%s:%d/healthz", host, port)

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(checks: dict[str, Check]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_S
        server_version = "mih"
        sys_version = ""

        def do_GET(self) -> None:
            check = checks.get(self.path.partition("?")[0])
            if check is None:
                self.send_error(404)
                return
            reason = check()
            said = json.dumps({"status": "ill" if reason else "well", "reason": reason}).encode()
            self.send_response(503 if reason else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Say nothing: somebody asks every few seconds."""

    return Handler
