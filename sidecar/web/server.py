"""The listener: its own thread, beside the loops that do the work."""

import asyncio
import logging
import socket
import threading
from contextlib import suppress

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from sidecar.errors import HubError
from sidecar.hub import Hub
from sidecar.settings import WebSettings
from sidecar.web.app import build
from sidecar.web.desk import Desk, Pulse
from sidecar.web.pages.gate import Gate, Invited

_log = logging.getLogger("mih.web")

_GRACE_S = 5
_LOOPBACK = ("127.", "::1", "localhost")


class CannotListen(HubError):
    """The port cannot be listened on; the text says why and what to do."""


class _Listener(uvicorn.Server):
    """Ends at once when it is told to; uvicorn's own looks ten times a second whether it is to end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def end(self) -> None:
        """Take no more requests. Safe from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """Do each second what uvicorn does: every tenth of its ticks sets the clock of the answers."""
        self._loop = asyncio.get_running_loop()
        tick = 0
        while not await self.on_tick(tick):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1)
            tick += 10

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let requests under way end. Where nobody is connected uvicorn waits for 0.1 s, too."""
        if self.server_state.connections:
            await super().shutdown(sockets)
            return
        for one in (*self.servers, *(sockets or ())):
            one.close()


class Server:
    """`start` it when the hub is open, `stop` it before the hub is closed. Port 0 takes any free one."""

    def __init__(
        self,
        hub: Hub,
        *,
        pulse: Pulse,
        port: int | None = None,
        listener: socket.socket | None = None,
        guest: Invited | None = None,
    ) -> None:
        self._settings: WebSettings = hub.settings.web
        self._port = self._settings.port if port is None else port
        self._listener = listener
        self._desk = Desk(hub, pulse)
        self._gate = Gate(self._desk, guest)
        config = uvicorn.Config(
            build(self._desk, self._gate),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # the guard decides whom to believe
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = _Listener(config)
        self._thread: threading.Thread | None = None
        self.url = ""
        self.invitation: str | None = None

    def start(self) -> None:
        """Listen; returns at once. Raises CannotListen."""
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        listener = self._listener or self._listen()
        # Connections inherit it. Head and body of an answer leave in two pieces, and without it the second
        # waits until the first is acknowledged, which browsers put off for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host, port = listener.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="web", daemon=True)
        self._thread.start()
        _log.info("web.listening url=%s tokens=%d", self.url, len(self._settings.tokens))
        if not self._settings.host.startswith(_LOOPBACK):
            _log.warning("web.exposed host=%s: put a proxy with TLS before it", self._settings.host)
        self._invite(host, port)

    def stop(self) -> None:
        """Take no more requests; those under way have a moment to end."""
        self._desk.stop()
        self._server.end()
        if self._thread is not None:
            self._thread.join()
        self._desk.close()

    def _invite(self, host: str, port: int) -> None:
        """Make the link that lets somebody in without a password, where there is one to be made."""
        try:
            path = self._gate.invitation()
        except SQLAlchemyError:
            return  # the store is away: whoever opens the dashboard is told how to add a user
        if path:
            here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
            self.invitation = f"http://{here}:{port}{path}"

    def _listen(self) -> socket.socket:
        host = self._settings.host
        try:
            family = socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, self._port), family=family, backlog=128)
        except OSError as error:
            # Python adds the address to the system's words, which are here already.
            reason = str(error.strerror or error).partition(" (while")[0]
            raise CannotListen(
                f"web: {host} port {self._port} cannot be listened on: {reason}."
                " Set web.port to a free one, or web.enabled to false."
            ) from None
