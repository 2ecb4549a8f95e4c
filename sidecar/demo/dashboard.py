"""The demo's dashboard: its port is taken at once, its pages follow while the first events are delivered."""

import logging
import secrets
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from sidecar.demo.config import GUEST
from sidecar.hub import Hub
from sidecar.scheduler import Scheduler

if TYPE_CHECKING:
    from sidecar.web.server import Server

_log = logging.getLogger("mih.demo")

_WANTED = 8080


class Dashboard:
    """`link` works from the start: who is quick waits a moment, as the port is listened on already."""

    def __init__(self) -> None:
        self._listener = _listener()
        self._code = secrets.token_urlsafe(16)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def link(self) -> str:
        """The address that lets its reader in."""
        return f"http://127.0.0.1:{self.port}/welcome?code={self._code}"

    def start(self, hub: Hub, scheduler: Scheduler) -> None:
        """Bring up the pages; returns at once."""
        self._thread = threading.Thread(
            target=self._serve, args=(hub, scheduler), name="dashboard", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End it, or never begin."""
        if self._thread is not None:
            self._thread.join()
        if self._server is not None:
            self._server.stop()
        self._listener.close()

    def _serve(self, hub: Hub, scheduler: Scheduler) -> None:
        # Takes a second or two that the first deliveries need not wait.
        from sidecar.web.pages.gate import Invited  # noqa: PLC0415
        from sidecar.web.server import Server  # noqa: PLC0415

        guest = Invited(GUEST, self._code)
        server = Server(hub, pulse=scheduler.ailment, listener=self._listener, guest=guest)
        server.start()
        self._server = server
        _log.info("demo.dashboard port=%d", self.port)


def _listener() -> socket.socket:
    """Return the usual port of this machine's own address if it is free, else any that is."""
    with suppress(OSError):
        return socket.create_server(("127.0.0.1", _WANTED))
    return socket.create_server(("127.0.0.1", 0))
