"""How often would a rule have matched lately? Its past rows are tried in pieces, the newest first."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from sidecar.bridge.match import CompiledRule
from sidecar.bridge.preview import trial
from sidecar.clock import Clock
from sidecar.model import Event
from sidecar.moodle.decode import decode
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.names import NameFilter
from sidecar.moodle.timeline import id_before
from sidecar.settings import Settings
from sidecar.store import counts

MATCHED = "matched"
FAILED = "failed"

_IDS_AT_ONCE = 5_000
_WORDS = {counts.QUEUED: MATCHED, counts.DEAD: FAILED}


class Stop(StrEnum):
    """Why the look back ended before the beginning of its span."""

    ROWS = "rows"
    SECONDS = "seconds"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a look back may go: whichever comes first ends it."""

    span: timedelta = timedelta(days=7)
    rows: int = 50_000
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class History:
    """What is known so far, by the hour: `matched`, `failed` (dead letters), `where`, `when`.

    Only what happened since `back_to` has been counted. `stopped` says why it is not all of the span; `done`
    that nothing more will come.
    """

    since: datetime
    back_to: datetime
    hours: Mapping[datetime, Mapping[str, int]] = field(default_factory=dict)
    rows: int = 0
    ids: int = 0
    done: bool = False
    stopped: Stop | None = None

    @property
    def totals(self) -> dict[str, int]:
        """All hours together."""
        found: Counter[str] = Counter()
        for tally in self.hours.values():
            found.update(tally)
        return dict(found)


def history(
    conn: Connection,
    settings: Settings,
    compiled: CompiledRule,
    *,
    log: LogStore,
    clock: Clock,
    bounds: Bounds = Bounds(),
) -> Iterator[History]:
    """Yield what is known after each piece, at last what is known at the end. Close it to stop it.

    Each piece reads 5,000 ids, of which the database picks the rule's events by name; these are rendered as
    the tail would, so those that would fail are found, too. Age holds nothing back: each is taken as new.
    """
    return _Look(conn, settings, compiled, log, clock.now(), bounds).pieces(clock)


@dataclass(slots=True)
class _Look:
    conn: Connection
    settings: Settings
    compiled: CompiledRule
    log: LogStore
    now: datetime
    bounds: Bounds
    back_to: datetime = field(init=False)
    hours: dict[datetime, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    rows: int = 0
    ids: int = 0

    def __post_init__(self) -> None:
        self.back_to = self.now

    @property
    def since(self) -> datetime:
        return self.now - self.bounds.span

    def pieces(self, clock: Clock) -> Iterator[History]:
        began = clock.monotonic()
        for low, high in self._windows():
            self._look(low, high)
            if self.rows >= self.bounds.rows:
                yield self._so_far(stopped=Stop.ROWS)
                return
            if clock.monotonic() - began >= self.bounds.seconds:
                yield self._so_far(stopped=Stop.SECONDS)
                return
            yield self._so_far()
        self.back_to = self.since
        yield self._so_far(done=True)

    def _windows(self) -> Iterator[tuple[int, int]]:
        """Yield ranges of ids, the highest first, without those in wide holes."""
        lowest = id_before(self.conn, self.log, int(self.since.timestamp()))
        high = self.log.head(self.conn)
        while high is not None and high > lowest:
            low = max(high - _IDS_AT_ONCE, lowest)
            yield low, high
            high = self.log.last_id(self.conn, low)

    def _look(self, low: int, high: int) -> None:
        names = NameFilter.of(self.compiled.rule.events)
        self.ids += high - low
        rows = self.log.newest(self.conn, low, high, names, limit=self.bounds.rows - self.rows)
        self.rows += len(rows)
        by_hour: dict[datetime, list[Event]] = defaultdict(list)
        for event in map(decode, rows):
            if self.since.timestamp() <= event.timecreated <= self.now.timestamp():
                by_hour[_hour(event)].append(event)
        for hour, events in by_hour.items():
            self._count(hour, events)
        whole = self.rows < self.bounds.rows
        self._reach(low if whole else int(rows[-1].id) - 1, high)

    def _reach(self, low: int, high: int) -> None:
        """Note until when everything is counted: by the rows at the edge that no restored course brought."""
        edge = self.log.time_after(self.conn, low, high)
        if edge is not None and self.since.timestamp() <= edge <= self.back_to.timestamp():
            self.back_to = datetime.fromtimestamp(edge, UTC)

    def _count(self, hour: datetime, events: Sequence[Event]) -> None:
        tally = trial(self.conn, self.settings, self.compiled, events, now=self.now).tally
        for (_, what), number in tally.items():
            self.hours[hour][_WORDS.get(what, what)] += number

    def _so_far(self, *, done: bool = False, stopped: Stop | None = None) -> History:
        hours = {hour: dict(self.hours[hour]) for hour in sorted(self.hours)}
        return History(
            self.since, self.back_to, hours, self.rows, self.ids, done or stopped is not None, stopped
        )


def last(pieces: Iterator[History], each: Callable[[History], None] = lambda _: None) -> History:
    """Return the last of the pieces; `each` is shown all of them."""
    for piece in pieces:
        each(piece)
    return piece


def _hour(event: Event) -> datetime:
    return datetime.fromtimestamp(event.timecreated // 3600 * 3600, UTC)
