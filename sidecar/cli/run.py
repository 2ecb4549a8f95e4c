"""`mih run`: the sidecar itself, until it is told to stop."""

import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import click

from sidecar.cli.options import config_option
from sidecar.errors import ConfigError, DatabaseUnavailable
from sidecar.hub import ROLES, Hub, Loaded, load
from sidecar.scheduler import Scheduler
from sidecar.settings import Watcher, read
from sidecar.web.pulse import PulseServer

_log = logging.getLogger("mih")

_IDLE_LOOK_S = 0.2
# Not for ever: a signal that another thread happened to take is looked at when this one runs.
_SIGNAL_LOOK_S = 1.0
_LONGEST_WAIT_S = 15.0


@click.command()
@config_option
@click.option(
    "--role", type=click.Choice(ROLES), default="all", show_default=True, help="What this process does."
)
@click.option("--until-idle", is_flag=True, help="Handle all there is, then exit.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
def run(config: Path, role: str, until_idle: bool, log_level: str) -> None:
    """Read Moodle's log and deliver its events until SIGTERM or Ctrl-C."""
    _log_in_utc(log_level)
    loaded = load(config, os.environ)
    stop = _stop_on_signals()
    hub = Hub(loaded.settings, loaded.book, role=role, source=loaded.source)
    _open(hub, stop, patient=not until_idle)
    scheduler = Scheduler(hub, reload=Reload(config, loaded, hub))
    _log.info("sidecar.started site=%s role=%s replica=%s", loaded.settings.site, role, hub.replica.name)
    stop_web = None if until_idle else _listening(hub, scheduler)
    pulse = None if until_idle else _answering(hub, scheduler)
    _keep_what_is_there()
    scheduler.start()
    while not stop.wait(_IDLE_LOOK_S if until_idle else _SIGNAL_LOOK_S):
        if until_idle and scheduler.idle():
            break
    if stop_web:
        stop_web()
    if pulse:
        pulse.stop()
    scheduler.stop()
    hub.close()
    _log.info("sidecar.stopped")


def _keep_what_is_there() -> None:
    """Spare the garbage collector all that the start has made: it stays, and a backlog has it look often."""
    gc.collect()
    gc.freeze()


def _listening(hub: Hub, scheduler: Scheduler) -> Callable[[], None] | None:
    """Let the web server listen; return what stops it.

    A port that is taken costs the dashboard, never the deliveries.
    """
    if not hub.settings.web.enabled or hub.role == "tail":
        return None
    from sidecar.web.server import CannotListen, Server  # noqa: PLC0415 - as much as all the rest of a start

    web = Server(hub, pulse=scheduler.ailment)
    try:
        web.start()
    except CannotListen as error:
        _log.warning("web.refused: %s The sidecar works without it.", error)
        return None
    if web.invitation:
        _log.warning("web.setup url=%s: nobody can sign in yet; it makes the first user", web.invitation)
        # Whatever the level of the log is: without it nobody gets in.
        click.echo(f"Make the first user of the dashboard: {web.invitation}")
    return web.stop


def _answering(hub: Hub, scheduler: Scheduler) -> PulseServer | None:
    """Return the listener for health checks, where there is to be one. A taken port costs nothing else."""
    host, port = hub.settings.web.host, hub.settings.web.health_port
    if port is None:
        return None
    try:
        pulse = PulseServer(host, port, pulse=scheduler.ailment, store=hub.store)
    except OSError as error:
        _log.warning(
            "health.refused: web.health_port %d cannot be listened on: %s. The sidecar works without it.",
            port,
            error.strerror,
        )
        return None
    pulse.start()
    return pulse


def _log_in_utc(level: str) -> None:
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _open(hub: Hub, stop: threading.Event, *, patient: bool) -> None:
    """Open the hub; wait for a database that is away, as in a stack of containers that starts all at once."""
    wait_s = 0.5
    while not stop.is_set():
        try:
            hub.open()
            return
        except DatabaseUnavailable as error:
            if not (patient and error.away):
                raise
            if wait_s < 1:
                _log.warning("sidecar.waiting: %s", error)
            stop.wait(wait_s)
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


class Reload:
    """Puts a changed configuration in force; a broken one is reported and the last good one stays."""

    def __init__(self, config: Path, loaded: Loaded, hub: Hub) -> None:
        self._config, self._hub = config, hub
        self._watcher = Watcher(loaded.source.looks)

    def __call__(self) -> None:
        """Look whether a file has changed, and if so try to use it."""
        if not self._watcher.changed():
            return
        source = read(self._config, os.environ)
        later: list[str] = []
        try:
            later = self._hub.reload(source)
        except ConfigError as error:
            _log.error("config.refused: the last good configuration stays in force\n%s", error)
        # Only now: if the store was away, the change is looked at again.
        self._watcher = Watcher(source.looks)
        if later:
            _log.warning(
                "config.restart_needed sections=%s: changes there take effect after a restart", later
            )


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    return stop
