"""Dead letters as people choose them: counted, leafed through, worked through from the oldest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, literal, select

from sidecar.model import DeadReason
from sidecar.store.search import Found
from sidecar.store.tables import dlq

_NUMBERS_AT_ONCE = 2_000
_MOST_NUMBERS = 20_000


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters: those that match everything that is named. Times are those of giving them up.

    `event` is a part of the event's name, `error` of the error; in both case counts as the database has it.
    """

    service: str | None = None
    rule: str | None = None
    reason: DeadReason | None = None
    status: int | None = None
    event: str | None = None
    log_id: int | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def _equal(self) -> dict[Any, Any]:
        wanted = {
            dlq.c.service: self.service,
            dlq.c.rule: self.rule,
            dlq.c.reason: self.reason,
            dlq.c.status: self.status,
            dlq.c.log_id: self.log_id,
        }
        return {column: value for column, value in wanted.items() if value is not None}

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """What a letter has to be."""
        found = [column == value for column, value in self._equal.items()]
        found += [
            column.contains(text, autoescape=True, escape="|")
            for column, text in ((dlq.c.event, self.event), (dlq.c.error, self.error))
            if text
        ]
        if self.since is not None:
            found.append(dlq.c.created_at >= self.since)
        if self.until is not None:
            found.append(dlq.c.created_at < self.until)
        return found


@dataclass(frozen=True, slots=True)
class Count:
    """How many letters match; `is_least`: there may be more, older ones were not looked at."""

    n: int
    is_least: bool = False


def count(conn: Connection, choice: Choice, *, upto: int) -> Count:
    """Return how many match, up to a number.

    By an index of service, rule, reason or time. Where a text is looked for: in the newest 20,000 numbers.
    """
    if not (choice.event or choice.error):
        return Count(_count(conn, choice, 0, upto))
    lowest, highest = _span(conn, choice, upto + 1)
    low = max(highest - _MOST_NUMBERS, lowest)
    return Count(_count(conn, choice, low, highest), is_least=last(conn, upto=low) > lowest)


def _count(conn: Connection, choice: Choice, low: int, high: int) -> int:
    query = select(func.count()).select_from(dlq).where(*choice.conditions, dlq.c.id <= high)
    return int(conn.execute(query if low <= 0 else query.where(dlq.c.id > low)).scalar_one())


def last(conn: Connection, *, upto: int | None = None) -> int:
    """Return the number of the newest letter, or of the newest up to a number; 0 where there is none."""
    query = select(func.max(dlq.c.id))
    return conn.execute(query if upto is None else query.where(dlq.c.id <= upto)).scalar() or 0


def search(conn: Connection, choice: Choice, *, before: int | None = None, limit: int = 50) -> Found:
    """Return a page of letters below the number `before`; `next` of the page before.

    By an index of service, rule, reason or time. Where a text is looked for: from ranges of the primary key,
    at most 20,000 numbers a page.
    """
    if choice.event or choice.error:
        return _of_ranges(conn, choice, before, limit)
    below = [] if before is None else [dlq.c.id < before]
    # First the numbers, which the indexes hold, then these rows: payloads are not sorted. "+ 0": else a
    # database may walk down the primary key, payloads and all, through everything that does not match.
    key = dlq.c.id + literal(0) if choice.conditions else dlq.c.id
    query = select(dlq.c.id).where(*choice.conditions, *below).order_by(key.desc()).limit(limit)
    numbers = list(conn.execute(query).scalars())
    return Found(_newest(conn, numbers), numbers[-1] if len(numbers) == limit else None)


def _of_ranges(conn: Connection, choice: Choice, before: int | None, limit: int) -> Found:
    found: list[int] = []
    looked, lowest, high = 0, *_span(conn, choice, before)
    while high > lowest and len(found) < limit and looked < _MOST_NUMBERS:
        low = max(high - _NUMBERS_AT_ONCE, lowest)
        query = select(dlq.c.id).where(dlq.c.id > low, dlq.c.id <= high, *choice.conditions)
        found += conn.execute(query.order_by(dlq.c.id.desc()).limit(limit - len(found))).scalars()
        looked += high - low
        high = found[-1] - 1 if len(found) == limit else last(conn, upto=low)
    return Found(_newest(conn, found), high + 1 if high > lowest else None)


def _span(conn: Connection, choice: Choice, before: int | None) -> tuple[int, int]:
    """Return between which numbers to look: lowest < number <= highest. Uses `mih_dlq_created`."""
    lowest, highest = 0, last(conn, upto=None if before is None else before - 1)
    at, number = dlq.c.created_at, select(dlq.c.id).limit(1)
    if choice.since is not None:
        first = conn.execute(number.where(at >= choice.since).order_by(at)).scalar()
        lowest = highest if first is None else max(first - _NUMBERS_AT_ONCE, 0)
    if choice.until is not None:
        newest = conn.execute(number.where(at < choice.until).order_by(at.desc())).scalar()
        highest = min(highest, (newest or 0) + _NUMBERS_AT_ONCE)
    return lowest, highest


def oldest(conn: Connection, choice: Choice, *, after: int, upto: int, limit: int) -> Sequence[Row[Any]]:
    """Return the first letters of those with numbers after < number <= upto."""
    within = (dlq.c.id > after, dlq.c.id <= upto)
    query = select(dlq.c.id).where(*choice.conditions, *within).order_by(dlq.c.id).limit(limit)
    return _rows(conn, list(conn.execute(query).scalars()), dlq.c.id)


def _newest(conn: Connection, numbers: Sequence[int]) -> Sequence[Row[Any]]:
    return _rows(conn, numbers, dlq.c.id.desc())


def _rows(conn: Connection, numbers: Sequence[int], order: Any) -> Sequence[Row[Any]]:
    if not numbers:
        return []
    return conn.execute(select(dlq).where(dlq.c.id.in_(numbers)).order_by(order)).all()
