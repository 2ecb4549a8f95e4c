"""Everything wired together from the settings: the one place that knows all rooms."""

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from sidecar import __version__, upkeep
from sidecar.bridge.dispatch import Dispatcher
from sidecar.bridge.harvest import Harvester
from sidecar.bridge.match import RuleBook, compile_book
from sidecar.bridge.tail import Tail
from sidecar.clock import Clock, SystemClock
from sidecar.model import Settlement
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings, Source, parse, read
from sidecar.store import migrate, replicas, rules, services
from sidecar.store.engine import Database
from sidecar.store.faults import blame
from sidecar.store.replicas import Replica

ROLES = ("all", "tail", "dispatch")


@dataclass(frozen=True, slots=True)
class Loaded:
    """One state of the configuration: the file as read, its settings, its rules compiled."""

    source: Source
    settings: Settings
    book: RuleBook


class Hub:
    """One process's share of the work: `open` it, let the scheduler run it, `close` it."""

    def __init__(
        self,
        settings: Settings,
        book: RuleBook,
        *,
        role: str = "all",
        clock: Clock | None = None,
        settled: Callable[[Settlement], None] | None = None,
    ) -> None:
        self.settings, self.book, self.role = settings, book, role
        self.clock = clock or SystemClock()
        self._web_place = settings.web.place
        self.replica = _replica(role)
        self.moodle = Database(settings.moodle.url.get_secret_value())
        self.store = Database(settings.store_url.get_secret_value())
        self.log = LogStore(settings.moodle.prefix, settings.moodle.log_table)
        self.dispatcher = Dispatcher(
            self.store,
            settings.services,
            replica=self.replica.name,
            settings=settings.dispatch,
            clock=self.clock,
            rules=settings.rules,
            settled=settled,
        )
        self.tail = Tail(
            self.moodle,
            self.store,
            self.log,
            site=settings.site,
            replica=self.replica.name,
            settings=settings.tail,
            harvester=Harvester(settings, book),
            clock=self.clock,
            queued=self.dispatcher.wake,
        )

    def open(self) -> None:
        """Set the clock, bring the tables up to date or check them, and write down what is in force.

        Raises MigrationsPending if the tables are not as they must be, and DatabaseUnavailable if Moodle's
        log cannot be read or the store cannot be written.
        """
        if self.role != "dispatch":
            with blame(f"moodle.url ({self.moodle.shown})"), self.moodle.read() as conn:
                self.log.head(conn)
        with blame(f"store.url ({self.store.shown})"):
            upkeep.set_clock(self.store, self.clock)
            if self.settings.store.migrate == "apply":
                migrate.apply(self.store)
            migrate.require_current(self.store)
            self._write_down()
            with self.store.write() as conn:
                replicas.enter(conn, self.replica, now=self.clock.now())

    def reconfigure(self, settings: Settings, book: RuleBook) -> list[str]:
        """Put other services and rules in force; return the changed settings that need a restart."""
        fixed = ("site", "moodle", "store", "tail", "dispatch")
        later = [name for name in fixed if getattr(settings, name) != getattr(self.settings, name)]
        if settings.web.place != self._web_place:
            later.append("web")
        kept = {name: getattr(self.settings, name) for name in fixed}
        self.settings, self.book = settings.model_copy(update=kept), book
        self._write_down()
        self.tail.harvester = Harvester(self.settings, book)
        self.dispatcher.configure(self.settings.services, self.settings.rules)
        return later

    def close(self) -> None:
        """Sign out, if the store is there to sign out from, and close all connections."""
        with suppress(SQLAlchemyError), self.store.write() as conn:
            replicas.leave(conn, self.replica.name)
        self.moodle.close()
        self.store.close()

    def _write_down(self) -> None:
        now = self.clock.now()
        with self.store.write() as conn:
            services.sync(conn, self.settings.services, now=now)
            rules.sync(conn, [(item.rule, item.version) for item in self.book.all], now=now)


def load(path: Path, env: Mapping[str, str]) -> Loaded:
    """Read the configuration and compile its rules. Raises ConfigError with all problems found."""
    return understand(read(path, env))


def understand(source: Source) -> Loaded:
    """Validate a configuration that was read and compile its rules. Raises ConfigError like `load`."""
    settings = parse(source)
    return Loaded(source, settings, compile_book(settings, source))


def _replica(role: str) -> Replica:
    host = socket.gethostname()[:60]
    name = f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
    return Replica(name=name, role=role, host=host, pid=os.getpid(), version=__version__)
