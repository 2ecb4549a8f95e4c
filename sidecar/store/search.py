"""Deliveries as people look for them: whatever is asked, a page costs a bounded number of rows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, literal, select

from sidecar.model import DeliveryState
from sidecar.store.tables import queue

# Rows are clustered by the number with their payloads in them: so many are read in a few milliseconds.
_NUMBERS_AT_ONCE = 2_000
_MOST_NUMBERS = 20_000
_FIRST_LOOK = 4_000
# Of these there are few enough to sort what the index of their state holds.
_FEW = frozenset((DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.DEAD, DeliveryState.CANCELLED))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries: those that match everything that is named. Times are those of their queueing.

    `event` is a part of the event's name, `error` of the last error; in both case counts as the database
    has it.
    """

    state: DeliveryState | None = None
    service: str | None = None
    rule: str | None = None
    event: str | None = None
    log_id: int | None = None
    status: int | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @property
    def _is_of_the_index(self) -> bool:
        """Whether nothing is asked that stands in no index of the states."""
        return self.state in _FEW and self == Wanted(state=self.state, service=self.service)


@dataclass(frozen=True, slots=True)
class Found:
    """A page, the newest first. `next`: where the next one begins, None at the end of the table.

    A page may be short, or empty, and yet not the last: then so many numbers were looked at in vain.
    """

    rows: Sequence[Row[Any]]
    next: int | None


def search(conn: Connection, wanted: Wanted, *, before: int | None = None, limit: int = 50) -> Found:
    """Return a page of deliveries below the number `before`; `next` of the page before.

    Those of a log row come by `mih_queue_rule` where a rule is named, those that are owed or dead by the
    index of their state, everything else from ranges of the primary key: at most 20,000 numbers a page.
    """
    if wanted.rule is not None and wanted.log_id is not None:
        return _of_the_index(conn, wanted, before, limit)
    if wanted._is_of_the_index:
        # Where there are many a page lies near; only where there are few are all of them quickly sorted.
        near = _of_ranges(conn, wanted, before, limit, most=_FIRST_LOOK)
        full = len(near.rows) == limit or near.next is None
        return near if full else _of_the_index(conn, wanted, before, limit)
    return _of_ranges(conn, wanted, before, limit)


def of_events(conn: Connection, log_ids: Collection[int], rules: Collection[str]) -> Sequence[Row[Any]]:
    """Return the deliveries that these rules made of these log rows, by `mih_queue_rule`; no payloads."""
    brief = (queue.c.id, queue.c.delivery_id, queue.c.rule, queue.c.log_id, queue.c.state)
    query = select(*brief).where(queue.c.rule.in_(sorted(rules)), queue.c.log_id.in_(sorted(log_ids)))
    return conn.execute(query).all() if log_ids and rules else []


def _of_the_index(conn: Connection, wanted: Wanted, before: int | None, limit: int) -> Found:
    # "+ 0": else a database may walk down the primary key through all that does not match.
    order = (queue.c.id + literal(0)).desc()
    query = select(queue.c.id).where(*_conditions(wanted)).order_by(order).limit(limit)
    if before is not None:
        query = query.where(queue.c.id < before)
    # First the numbers, which the index holds, then these rows: payloads are not sorted.
    numbers = list(conn.execute(query).scalars())
    return Found(_rows(conn, numbers), numbers[-1] if len(numbers) == limit else None)


def _of_ranges(
    conn: Connection, wanted: Wanted, before: int | None, limit: int, *, most: int = _MOST_NUMBERS
) -> Found:
    found: list[int] = []
    looked, lowest, high = 0, *_span(conn, wanted, before)
    while high > lowest and len(found) < limit and looked < most:
        low = max(high - _NUMBERS_AT_ONCE, lowest)
        query = select(queue.c.id).where(queue.c.id > low, queue.c.id <= high, *_conditions(wanted))
        found += conn.execute(query.order_by(queue.c.id.desc()).limit(limit - len(found))).scalars()
        looked += high - low
        high = found[-1] - 1 if len(found) == limit else _last(conn, low)
    return Found(_rows(conn, found), high + 1 if high > lowest else None)


def _span(conn: Connection, wanted: Wanted, before: int | None) -> tuple[int, int]:
    """Return between which numbers to look: lowest < number <= highest."""
    highest = _last(conn, before - 1 if before is not None else None)
    lowest = 0
    if wanted.since is not None:
        lowest = _number_at(conn, wanted.since, highest) - _NUMBERS_AT_ONCE
    if wanted.until is not None:
        highest = min(highest, _number_at(conn, wanted.until, highest) + _NUMBERS_AT_ONCE)
    return max(lowest, 0), highest


def _number_at(conn: Connection, moment: datetime, highest: int) -> int:
    """Return about where the deliveries of a moment begin: numbers and times have nearly one order.

    A search by halves of the primary key.
    """
    low, high = 0, highest
    while high - low > _NUMBERS_AT_ONCE // 2:
        middle = (low + high) // 2
        query = select(queue.c.created_at).where(queue.c.id > middle).order_by(queue.c.id).limit(1)
        found = conn.execute(query).scalar()
        if found is None or found >= moment:
            high = middle
        else:
            low = middle
    return low


def _last(conn: Connection, upto: int | None) -> int:
    """Return the highest number that there is, up to one: ranges that were pruned cost nothing."""
    query = select(func.max(queue.c.id))
    return conn.execute(query if upto is None else query.where(queue.c.id <= upto)).scalar() or 0


def _rows(conn: Connection, numbers: Sequence[int]) -> Sequence[Row[Any]]:
    if not numbers:
        return []
    return conn.execute(select(queue).where(queue.c.id.in_(numbers)).order_by(queue.c.id.desc())).all()


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    equal = {
        queue.c.state: wanted.state,
        queue.c.service: wanted.service,
        queue.c.rule: wanted.rule,
        queue.c.log_id: wanted.log_id,
        queue.c.last_status: wanted.status,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    found += [
        column.contains(text, autoescape=True, escape="|")
        for column, text in ((queue.c.event, wanted.event), (queue.c.last_error, wanted.error))
        if text
    ]
    if wanted.since is not None:
        found.append(queue.c.created_at >= wanted.since)
    if wanted.until is not None:
        found.append(queue.c.created_at < wanted.until)
    return found
