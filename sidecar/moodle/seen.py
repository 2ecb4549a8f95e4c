"""Which events this Moodle writes, how often, with which fields: for whoever picks an event for a rule."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from sidecar.clock import Clock
from sidecar.model import EVENT_COLUMNS, Event
from sidecar.moodle.catalogue import EventKind, catalogue
from sidecar.moodle.decode import decode, mask
from sidecar.moodle.logstore import LogStore

_IDS_LOOKED_AT = 200_000
_IDS_AT_ONCE = 20_000
_WITHIN_S = 3.0
_KEPT_S = 300.0
_ROWS_OF_FIELDS = 20
_MOST_FIELDS = 200
_MOST_SAMPLES = 3
_LONGEST_SAMPLE = 80
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """One kind of event: how many rows of it were among those looked at. `known`: Moodle comes with it."""

    kind: EventKind
    rows: int = 0
    last_id: int | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen among the ids above `after` up to `head`, the most frequent first."""

    events: tuple[Seen, ...]
    after: int
    head: int
    at: datetime

    def find(self, text: str = "") -> list[Seen]:
        """Return what was seen, then what Moodle could write, as far as every word of `text` is in it."""
        words = text.lower().split()
        seen = {one.kind.name for one in self.events}
        others = [Seen(EventKind.of(name)) for name in sorted(catalogue() - seen)]
        return [one for one in (*self.events, *others) if one.kind.fits(words)]


class Lookout:
    """Remembers for five minutes what it saw, for all threads; while one looks, the others wait."""

    def __init__(self, log: LogStore, clock: Clock) -> None:
        self._log, self._clock = log, clock
        self._lock = threading.Lock()
        self._last: Sighting | None = None
        self._until = 0.0

    def look(self, conn: Connection) -> Sighting:
        """Return the events of the newest 200,000 ids, of fewer where these take more than three seconds."""
        with self._lock:
            if self._last is None or self._clock.monotonic() >= self._until:
                self._last = self._counted(conn)
                self._until = self._clock.monotonic() + _KEPT_S
            return self._last

    def _counted(self, conn: Connection) -> Sighting:
        began, head = self._clock.monotonic(), self._log.head(conn) or 0
        rows: Counter[str] = Counter()
        last: dict[str, int] = {}
        lowest, low = max(head - _IDS_LOOKED_AT, 0), head
        while low > lowest and self._clock.monotonic() - began < _WITHIN_S:
            high, low = low, max(low - _IDS_AT_ONCE, lowest)
            for name, number, newest in self._log.tally(conn, low, high):
                rows[name] += number
                last.setdefault(name, newest)
        known = catalogue()
        seen = (Seen(EventKind.of(name), n, last[name], name in known) for name, n in rows.most_common())
        return Sighting(tuple(seen), low, head, self._clock.now())


@dataclass(frozen=True, slots=True)
class Field:
    """Something that rows of an event had: how a template names it, in how many rows it was not empty.

    `samples` are of people's doings: for eyes that may see these.
    """

    name: str
    rows: int
    kinds: tuple[str, ...]
    samples: tuple[str, ...] = ()

    def without_samples(self) -> "Field":
        """Return it for everybody."""
        return replace(self, samples=())


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an event, and of how many rows that is known."""

    rows: int
    fields: tuple[Field, ...]


def fields_of(conn: Connection, log: LogStore, name: str) -> Fields:
    """Return what the newest 20 rows of an event had, its columns first; anonymous rows are masked.

    Looks at the newest 200,000 ids only.
    """
    events = [decode(row) for row in log.recent(conn, name, _ROWS_OF_FIELDS)]
    found: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        for field, value in _fields(mask(event) if event.anonymous else event):
            if field in found or len(found) < _MOST_FIELDS:
                found[field].append(value)
    return Fields(len(events), tuple(_field(field, values) for field, values in found.items()))


def _fields(event: Event) -> Iterator[tuple[str, Any]]:
    for column in EVENT_COLUMNS:
        if column != "other":
            yield column, getattr(event, column)
    yield from _inner("other", event.other, 1)


def _inner(place: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value and depth < _DEEPEST:
        for key, item in value.items():
            yield from _inner(_below(place, key), item, depth + 1)
    elif value is not None or depth > 1:
        yield place, value


def _below(place: str, key: str) -> str:
    """Return how a template names a key: with a dot where that can be written."""
    if key.isidentifier() and key.isascii():
        return f"{place}.{key}"
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"{place}['{escaped}']"


def _field(name: str, values: Sequence[Any]) -> Field:
    filled = [value for value in values if value is not None]
    kinds = tuple(dict.fromkeys(_kind(value) for value in filled))
    samples = tuple(dict.fromkeys(str(value)[:_LONGEST_SAMPLE] for value in filled))
    return Field(name, len(filled), kinds, samples[:_MOST_SAMPLES])


def _kind(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return "mapping"
