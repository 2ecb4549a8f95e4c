"""What the handlers work with: the hub as it is now, the door out, and the process's pulse."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection
from starlette.requests import Request

from sidecar.bridge.match import RuleBook
from sidecar.bridge.replay import Again
from sidecar.clock import Clock
from sidecar.gateway.places import Places
from sidecar.hub import Hub
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.seen import Lookout
from sidecar.settings import Settings, Source
from sidecar.store.engine import Database
from sidecar.store.faults import blame
from sidecar.web.door import Door
from sidecar.web.lately import Fortunes, Owings

# Direct calls wait for services; none of the threads that answer everything else may wait with them.
_MOST_CALLS = 128
# Of one service that sets no max_concurrency: one slow service must not take all of them.
_OF_ONE_SERVICE = 16

Pulse = Callable[[], str | None]


class Stopping(Exception):
    """The process ends while a call waits for its next try."""


class Desk:
    """One for the whole process. What the file says may change meanwhile: always ask here."""

    def __init__(self, hub: Hub, pulse: Pulse) -> None:
        self._hub = hub
        self.pulse = pulse
        self.calls = ThreadPoolExecutor(_MOST_CALLS, thread_name_prefix="call")
        self._places = Places(otherwise=_OF_ONE_SERVICE, patient=False)
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.lookout = Lookout(hub.log, hub.clock)
        self.owings, self.fortunes = Owings(hub.store, hub.clock), Fortunes()
        self._door = self._open_door()

    @property
    def hub(self) -> Hub:
        """What the workshop works with."""
        return self._hub

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self._hub.settings

    @property
    def store(self) -> Database:
        """Where everything is kept."""
        return self._hub.store

    @property
    def source(self) -> Source | None:
        """The configuration file as it was read, with what was made here."""
        return self._hub.source

    @property
    def moodle(self) -> Database:
        """Moodle's database, which is only read."""
        return self._hub.moodle

    @property
    def log(self) -> LogStore:
        """Moodle's log."""
        return self._hub.log

    @property
    def book(self) -> RuleBook:
        """The rules in force, compiled."""
        return self._hub.book

    @property
    def clock(self) -> Clock:
        """The store's time, and a stopwatch."""
        return self._hub.clock

    @property
    def now(self) -> datetime:
        """The store's time."""
        return self._hub.clock.now()

    @property
    def door(self) -> Door:
        """The door to the services as they are configured now."""
        with self._lock:
            if self._made_for is not self._hub.settings:
                self._door.close()
                self._door = self._open_door()
            return self._door

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection to Moodle's database. Raises DatabaseUnavailable."""
        with blame(f"moodle.url ({self.moodle.shown})"), self.moodle.read() as conn:
            yield conn

    @property
    def busy(self) -> bool:
        """Whether this process is sending."""
        return self._hub.dispatcher.in_hand > 0

    def wake(self) -> None:
        """Have what is due now sent now."""
        self._hub.dispatcher.wake()

    def again(self) -> Again:
        """Return what renders dead letters with today's rules."""
        return Again(self._hub.settings, self._hub.book, self._hub.moodle, self._hub.log)

    def versions(self) -> dict[str, str]:
        """Return the version of each rule that the configuration in force has."""
        return {item.rule.name: item.version for item in self._hub.book.all}

    def stop(self) -> None:
        """Take no calls any more, and let those that wait for their next try end."""
        self._stopping.set()
        self.calls.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Hang up; what is still being sent fails."""
        self._door.close()
        self.owings.close()

    def _open_door(self) -> Door:
        self._made_for = self._hub.settings
        return Door(
            self._made_for, self._hub.store, clock=self._hub.clock, wait=self._wait, places=self._places
        )

    def _wait(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Stopping


def desk_of(request: Request) -> Desk:
    """Return the desk of the application that this request came to."""
    desk: Desk = request.app.state.desk
    return desk
