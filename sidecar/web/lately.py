"""What takes long to look at: looked at once for all who ask for it in the same moment."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from sidecar.clock import Clock
from sidecar.store import deliveries, stats, trends
from sidecar.store.deliveries import Owed
from sidecar.store.engine import Database
from sidecar.store.stats import Span, Tally
from sidecar.store.trends import Point, Window

_T = TypeVar("_T")

# So many are counted in a few milliseconds, each time anew: nobody sees an old figure. Of more nobody minds.
_FEW = 5_000
_FRESH_S = 2.0
_OLDEST_S = 15.0
_MOST_LOOKS = 256


@dataclass(frozen=True, slots=True)
class _Count:
    """What was found, when the count began, and how many changes had been made by then."""

    changes: int
    began: float
    found: Sequence[Owed]


class Owings:
    """What is owed to each service; where that is much, as it was a moment ago, counted anew meanwhile."""

    def __init__(self, store: Database, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._counting = threading.Lock()
        self._kept: _Count | None = None
        self._many = False
        self._changes = 0
        self._aside: threading.Thread | None = None

    def get(self, conn: Connection) -> Sequence[Owed]:
        """Return it, by name; at most 15 seconds old."""
        if (kept := self._young(_OLDEST_S)) is None:
            with self._counting:
                kept = self._young(_FRESH_S)  # somebody else may have counted while this one waited
                return self._count(conn) if kept is None else kept
        self.begin()
        return kept

    def begin(self) -> None:
        """Begin to count beside what else is looked at, where that takes long and somebody will soon ask."""
        if self._many and self._young(_FRESH_S) is None and self._counting.acquire(blocking=False):
            self._aside = threading.Thread(target=self._count_aside, name="count", daemon=True)
            self._aside.start()

    def forget(self) -> None:
        """Count anew when somebody asks: something was changed, whoever is counting just now."""
        self._changes += 1

    def close(self) -> None:
        """Wait for a count that is under way."""
        if self._aside is not None:
            self._aside.join()

    def _young(self, age_s: float) -> Sequence[Owed] | None:
        kept = self._kept
        if kept is None or kept.changes != self._changes:
            return None
        return kept.found if self._clock.monotonic() - kept.began <= age_s else None

    def _count(self, conn: Connection) -> Sequence[Owed]:
        changes, began, found = self._changes, self._clock.monotonic(), deliveries.totals(conn)
        self._many = sum(one.pending + one.sending + one.dead for one in found) > _FEW
        self._kept = _Count(changes, began, found) if self._many else None
        return found

    def _count_aside(self) -> None:
        try:
            # Whoever asks when it has become too old counts, and is told what is wrong with the store.
            with suppress(SQLAlchemyError), self._store.read() as conn:
                self._count(conn)
        finally:
            self._counting.release()


@dataclass(frozen=True, slots=True)
class _State:
    """What statistics depend on: they are written once a minute, and end with the minute that is over."""

    minute: datetime
    last: datetime | None


class Fortunes:
    """How services fared, from statistics that are read once after they were written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state: _State | None = None
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def at(self, conn: Connection, *, now: datetime) -> "Fortune":
        """Return them as they stand now; asks once whether anything was written since."""
        return Fortune(self, conn, now, _State(Span.MINUTE.floor(now), stats.last(conn, Span.MINUTE)))

    def kept(self, state: _State, key: tuple[Any, ...], look: Callable[[], _T]) -> _T:
        """Return what was found in this state, or look."""
        with self._lock:
            if state != self._state:
                self._state = state
                self._kept.clear()
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast("_T", self._kept[key])
        found = look()
        with self._lock:
            if state == self._state:
                self._kept[key] = found
            while len(self._kept) > _MOST_LOOKS:
                self._kept.popitem(last=False)
        return found


@dataclass(frozen=True, slots=True)
class Fortune:
    """How services fared, for one page at one moment; see trends."""

    fortunes: Fortunes
    conn: Connection
    now: datetime
    state: _State

    def is_counting(self, window: Window) -> bool:
        """Whether there is nothing only because the minute of what happened is not over."""
        if self.summaries(window):
            return False
        # Minutes are kept for longer than a day: without any, nothing of the last day was counted.
        last = self.state.last
        since = last + Span.MINUTE.length if last else self.now - Span.DAY.length
        return stats.next_at(self.conn, since) is not None

    def summaries(self, window: Window) -> Mapping[str, Tally]:
        """Return what each service came to."""
        return self._kept(("summaries", window), lambda: trends.summaries(self.conn, window, now=self.now))

    def sparks(self, window: Window) -> Mapping[str, Sequence[tuple[int, int]]]:
        """Return what each service took and refused, step by step."""
        return self._kept(("sparks", window), lambda: trends.sparks(self.conn, window, now=self.now))

    def series(self, window: Window, service: str | None = None) -> Sequence[Point]:
        """Return the points of a chart."""
        return self._kept(
            ("series", window, service),
            lambda: trends.series(self.conn, window, now=self.now, service=service),
        )

    def dead_per_hour(self) -> Sequence[tuple[datetime, int]]:
        """Return how many deliveries were given up in each of the last hours."""
        return self._kept(("dead",), lambda: trends.dead_per_hour(self.conn, now=self.now))

    def _kept(self, key: tuple[Any, ...], look: Callable[[], _T]) -> _T:
        return self.fortunes.kept(self.state, key, look)
