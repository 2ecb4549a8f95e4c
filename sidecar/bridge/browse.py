"""Moodle's log as people leaf through it: pages backwards by id, with what the rules made of each row."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.clock import Clock
from sidecar.model import Event, Held
from sidecar.moodle.decode import decode, mask
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.names import NameFilter
from sidecar.moodle.timeline import id_before
from sidecar.store import rules as table
from sidecar.store.search import of_events

_IDS_AT_ONCE = 5_000
_MOST_IDS = 20_000
_WITHIN_S = 1.5


@dataclass(frozen=True, slots=True)
class Wanted:
    r"""Which rows: those that match everything that is named.

    `event` is a name such as \core\event\user_created, a pattern with *, or a part of a name. Who asks for a
    user does not get anonymous rows.
    """

    event: str | None = None
    user: int | None = None
    course: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def names(self) -> NameFilter | None:
        """The event names as the log is asked for them."""
        if not self.event:
            return None
        whole = "*" in self.event or self.event.startswith("\\")
        return NameFilter.of([self.event if whole else f"*{self.event}*"])

    @property
    def columns(self) -> dict[str, int]:
        """The columns that have to have a value."""
        person = {"userid": self.user, "anonymous": 0} if self.user is not None else {}
        course = {"courseid": self.course} if self.course is not None else {}
        return {name: value for name, value in {**person, **course}.items() if value is not None}

    @property
    def times(self) -> tuple[int | None, int | None]:
        """The seconds that rows have to be created since and before."""
        since, until = self.since, self.until
        return (
            math.ceil(since.timestamp()) if since is not None else None,
            math.ceil(until.timestamp()) if until is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, the newest first, persons of anonymous ones masked.

    `next`: where the page before them begins, None at the beginning of what was asked for. A page may be
    short, or empty, and yet not the last: then 20,000 ids were looked at. `looked_at` counts them.
    """

    events: Sequence[Event]
    next: int | None
    looked_at: int


@dataclass(frozen=True, slots=True)
class Made:
    """A delivery that a rule made of a row."""

    number: int
    delivery_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Interest:
    """A rule that wants the event of a row. `held`: its columns do not fit. `made`: what became of it.

    Neither: its `when` was false, the row was too old, or the rule was not in force when the row was read.
    """

    rule: str
    state: str
    held: Held | None = None
    made: Made | None = None


@dataclass(slots=True)
class _Walk:
    events: list[Event] = field(default_factory=list)
    looked_at: int = 0


def browse(
    conn: Connection,
    log: LogStore,
    wanted: Wanted,
    *,
    clock: Clock,
    before: int | None = None,
    limit: int = 50,
) -> Page:
    """Return a page of rows below the id `before`. Reads ranges of the primary key, 5,000 ids at a time.

    Ends after 20,000 ids or a second and a half, whether or not it has found anything.
    """
    lowest, high = _bounds(conn, log, wanted, before)
    began, walk = clock.monotonic(), _Walk()
    while high > lowest and len(walk.events) < limit and walk.looked_at < _MOST_IDS:
        low = max(high - _IDS_AT_ONCE, lowest)
        rest = limit - len(walk.events)
        rows = log.newest(
            conn, low, high, wanted.names, columns=wanted.columns, times=wanted.times, limit=rest
        )
        walk.events += [_seen(event) for event in map(decode, rows)]
        walk.looked_at += high - low
        high = int(rows[-1].id) - 1 if len(rows) == rest else log.last_id(conn, low) or 0
        if clock.monotonic() - began >= _WITHIN_S:
            break
    return Page(walk.events, high + 1 if high > lowest else None, walk.looked_at)


def _bounds(conn: Connection, log: LogStore, wanted: Wanted, before: int | None) -> tuple[int, int]:
    """Return between which ids to look: lowest < id <= highest, where a row is."""
    highest = (log.head(conn) if before is None else log.last_id(conn, before - 1)) or 0
    lowest = id_before(conn, log, int(wanted.since.timestamp())) if wanted.since else 0
    if wanted.until is not None and before is None:
        # Twice the margin that lies below: once to be at the time, once for rows that waited.
        highest = min(highest, id_before(conn, log, int(wanted.until.timestamp())) + 2 * _IDS_AT_ONCE)
    return lowest, highest


def _seen(event: Event) -> Event:
    return mask(event) if event.anonymous else event


def interests(store: Connection, book: RuleBook, events: Sequence[Event]) -> Mapping[int, Sequence[Interest]]:
    """Return for the id of each event the rules that want it, also those that are off, and what they made.

    One look into the queue, by `mih_queue_rule`. Rules that are gone are found by what they made.
    """
    wanting = {item.rule.name: item for item in book.all}
    everybody = {*wanting, *(row.name for row in table.all_rows(store))}
    made: dict[int, dict[str, Made]] = defaultdict(dict)
    for row in of_events(store, [event.id for event in events], everybody):
        made[row.log_id][row.rule] = Made(row.id, row.delivery_id, row.state)
    willing = RuleBook([item.switched_on() for item in book.all])
    return {event.id: _of(event, willing, wanting, made[event.id]) for event in events}


def _of(
    event: Event, willing: RuleBook, wanting: Mapping[str, CompiledRule], made: Mapping[str, Made]
) -> list[Interest]:
    found = []
    for item in willing.for_event(event.eventname):
        name = item.rule.name
        held = Held.WHERE if item.misfits(event) and name not in made else None
        found.append(Interest(name, wanting[name].rule.state, held, made.get(name)))
    known = {one.rule for one in found}
    return [*found, *(Interest(name, "gone", None, one) for name, one in made.items() if name not in known)]
