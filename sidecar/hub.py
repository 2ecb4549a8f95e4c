"""Everything wired together from the settings: the one place that knows all rooms."""

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from sidecar import __version__, upkeep
from sidecar.bridge.dispatch import Dispatcher
from sidecar.bridge.harvest import Harvester
from sidecar.bridge.match import RuleBook, compile_book
from sidecar.bridge.sound import sound
from sidecar.bridge.tail import Tail
from sidecar.clock import Clock, SystemClock
from sidecar.errors import said
from sidecar.model import Settlement
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings, Source, again, parse, read
from sidecar.store import made, migrate, relayed, replicas, rules, services
from sidecar.store.engine import Database
from sidecar.store.faults import blame
from sidecar.store.replicas import Replica

if TYPE_CHECKING:
    from sidecar.bridge.relay import Relay

_log = logging.getLogger("mih")

ROLES = ("all", "tail", "dispatch")


@dataclass(frozen=True, slots=True)
class Loaded:
    """One state of the configuration: the file as read, its settings, its rules compiled."""

    source: Source
    settings: Settings
    book: RuleBook


class Hub:
    """One process's share of the work: `open` it, let the scheduler run it, `close` it.

    With `source`, the file that the settings were made of, it also follows what is made here.
    """

    def __init__(
        self,
        settings: Settings,
        book: RuleBook,
        *,
        role: str = "all",
        clock: Clock | None = None,
        settled: Callable[[Settlement], None] | None = None,
        source: Source | None = None,
    ) -> None:
        self.settings, self.book, self.role, self.source = settings, book, role, source
        self._changing = threading.RLock()
        self.discord: str | None = None
        self._odd: frozenset[str] = frozenset()
        self.replaying = True  # whether a replay was under way at the last look
        self.clock = clock or SystemClock()
        self._web_place = settings.web.place
        self.replica = _replica(role)
        self.moodle = Database(settings.moodle.url.get_secret_value())
        self.store = Database(settings.store_url.get_secret_value())
        self.log = LogStore(settings.moodle.prefix, settings.moodle.log_table)
        self.relay = self._relay()
        self.dispatcher = Dispatcher(
            self.store,
            settings.services,
            replica=self.replica.name,
            settings=settings.dispatch,
            clock=self.clock,
            rules=settings.rules,
            settled=settled,
            engine=self.relay.engine if self.relay else None,
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
            outlet=self.relay.outlet if self.relay else None,
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
            _tell_flaws(self.settings, None)
            self.refresh()  # what was made here could not be read before the tables were there
            self._write_down()
            with self.store.write() as conn:
                if self.relay is None and (count := relayed.take_back(conn, self.settings.services)):
                    _log.warning("relay.taken_back deliveries=%d: engine is database now", count)
                replicas.enter(conn, self.replica, now=self.clock.now())

    def refresh(self) -> bool:
        """Put in force what was made here since the last look; return whether there was anything.

        Cheap while nothing changes: one short query. Safe from any thread.
        """
        with self._changing:
            with self.store.read() as conn:
                news = made.news(conn, self.settings.site)
                self.replaying = news.replaying
                if self.source is None or news.mark == self.source.stored.mark:
                    return False
                stored = made.fetch(conn, made.keys_of(self.settings))
            first = self.source.stored.mark is None and not stored.mark  # no table yet, then an empty one
            loaded = understand(again(self.source, stored))
            self.reconfigure(loaded.settings, loaded.book, loaded.source)
        if not first:
            _log.info("definitions.changed services=%d rules=%d", *self._counted())
        return True

    def reload(self, source: Source) -> list[str]:
        """Put a file that was read anew in force, with what was made here; return as `reconfigure` does.

        Raises ConfigError for a file with problems: then all stays as it is.
        """
        with self._changing:
            stored = made.stored_in(self.store, parse(source))
            if stored.mark is None and self.source is not None:
                stored = self.source.stored  # the store is away: what it said before still holds
            loaded = understand(again(source, stored))
            later = self.reconfigure(loaded.settings, loaded.book, loaded.source)
        _log.info("config.reloaded services=%d rules=%d", *self._counted())
        return later

    def reconfigure(self, settings: Settings, book: RuleBook, source: Source | None = None) -> list[str]:
        """Put other services and rules in force; return the changed settings that need a restart."""
        with self._changing:
            fixed = ("site", "moodle", "store", "tail", "dispatch")
            # The key takes effect at once: with a restart between, what the new one seals could not be read.
            # So do ids that come again: reading stands still until they are known.
            key = {"secret_key": settings.store.secret_key}
            kept = {name: getattr(self.settings, name) for name in fixed}
            kept["store"] = self.settings.store.model_copy(update=key)
            again = {"ids_again_from": settings.moodle.ids_again_from}
            kept["moodle"] = self.settings.moodle.model_copy(update=again)
            later = [name for name in fixed if getattr(settings, name) != kept[name]]
            if settings.web.place != self._web_place:
                later.append("web")
            _tell_flaws(settings, self.settings)
            self.settings, self.book = settings.model_copy(update=kept), book
            self._write_down()
            self.tail.harvester = Harvester(self.settings, book)
            self.dispatcher.configure(self.settings.services, self.settings.rules)
            self.source = source or self.source  # last: what failed half way is done again at the next look
        return later

    def compare(self) -> None:
        """Look whether another process has written down the services and rules of another file: say so once.

        Each removes what only the others have, and only the one that tails matches its rules. What is odd at
        two looks in a row counts: a changed file reaches the others within seconds. Who was left alone writes
        its own down again.
        """
        with self._changing:
            lasting, self._odd = self._odd, self._odd_ones()
            lasting &= self._odd
            if lasting and self._is_alone():
                self._write_down()
                lasting = frozenset()
        before, self.discord = self.discord, _discord(lasting) if lasting else None
        if self.discord and not before:
            _log.warning("config.differs: %s", self.discord)

    def _odd_ones(self) -> frozenset[str]:
        """Return the names of the file's services and rules that either we or the store alone have."""
        ours = {name for name, one in self.settings.services.items() if one.source == "file"}
        rules_of_ours = {one.rule.name for one in self.book.all} - set(self.settings.made.rules)
        with self.store.read() as conn:
            return (services.of_file(conn) ^ ours) | (rules.of_file(conn) ^ rules_of_ours)

    def _is_alone(self) -> bool:
        since = self.clock.now() - _SILENT
        with self.store.read() as conn:
            return not replicas.others(conn, self.replica.name, since=since)

    def close(self) -> None:
        """Sign out, if the store is there to sign out from, and close all connections."""
        if self.relay is not None:
            self.relay.close()
        with suppress(SQLAlchemyError), self.store.write() as conn:
            replicas.leave(conn, self.replica.name)
        self.moodle.close()
        self.store.close()

    def _relay(self) -> "Relay | None":
        broker = self.settings.dispatch.broker
        if self.settings.dispatch.engine != "rabbitmq" or broker is None:
            return None
        # What speaks AMQP is only loaded where it is needed.
        from sidecar.bridge.relay import Relay  # noqa: PLC0415
        from sidecar.transports.relay.door import door_of  # noqa: PLC0415

        return Relay.open(
            self.store,
            door_of(broker, self.settings.site),
            self.clock,
            prefetch=broker.prefetch,
            services=lambda: [name for name, one in self.settings.services.items() if one.enabled],
            arrived=self._wake,
        )

    def _wake(self) -> None:
        self.dispatcher.wake()

    def _counted(self) -> tuple[int, int]:
        return len(self.settings.services), len(self.book.rules)

    def _write_down(self) -> None:
        now = self.clock.now()
        with self.store.write() as conn:
            services.sync(conn, self.settings.services, now=now)
            versions = [(item.rule, item.version) for item in self.book.all]
            rules.sync(conn, versions, made=self.settings.made.rules, now=now)


_MOST_NAMES = 5
_SILENT = timedelta(minutes=1)


def load(path: Path, env: Mapping[str, str]) -> Loaded:
    """Read the configuration and compile its rules. Raises ConfigError with all problems of the file.

    What was made here is among it where the store can be read; else it follows when the hub is opened.
    """
    return understand(made.overlaid(read(path, env)))


def understand(source: Source) -> Loaded:
    """Validate a configuration that was read and compile its rules. Raises ConfigError like `load`."""
    settings = sound(parse(source))
    return Loaded(source, settings, compile_book(settings, source))


def _tell_flaws(settings: Settings, before: Settings | None) -> None:
    """Say once of each service and rule that it is not in force, and why."""
    known = before.made.flaws if before else ()
    for flaw in settings.made.flaws:
        if flaw not in known:
            _log.warning(
                "definition.%s kind=%s name=%s: %s",
                "shadowed" if flaw.shadowed else "broken",
                flaw.kind,
                flaw.name,
                flaw.reason,
            )


def _discord(names: Collection[str]) -> str:
    return said(
        "another process on this store has a configuration with other services or rules (%(names)s): "
        "give all processes the same file; until then deliveries wait or are not made",
        names=", ".join(sorted(names)[:_MOST_NAMES]),
    )


def _replica(role: str) -> Replica:
    host = socket.gethostname()[:60]
    name = f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
    return Replica(name=name, role=role, host=host, pid=os.getpid(), version=__version__)
