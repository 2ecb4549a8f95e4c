"""Tries as people look for them: whatever is asked of the log, a page costs a bounded number of rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from sidecar.model import Outcome
from sidecar.store.log import newest_of
from sidecar.store.tables import log

_NUMBERS_AT_ONCE = 2_000
_MOST_NUMBERS = 20_000
# A try is written down when it has ended, and is listed by its beginning: so far the two orders may differ.
_LONGEST_TRY = timedelta(minutes=10)
_BRIEF = [column for column in log.c if column.name not in ("request", "response")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tries: those that match everything that is named. `error` is a part of the error."""

    service: str | None = None
    rule: str | None = None
    delivery_id: str | None = None
    outcome: Outcome | None = None
    status: int | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A page, the newest first, without what was sent and answered. `next`: where the next one begins.

    A page may be short, or empty, and yet not the last: then so many numbers were looked at in vain.
    """

    rows: Sequence[Row[Any]]
    next: int | None


def search(conn: Connection, wanted: Wanted, *, before: int | None = None, limit: int = 50) -> Found:
    """Return a page of tries below the number `before`; `next` of the page before.

    Those of one delivery by `mih_log_delivery`, all else from ranges of the primary key, at most 20,000
    numbers a page; where a service is named `mih_log_service` says over which of them to leap.
    """
    if wanted.delivery_id is not None:
        return _of_one_delivery(conn, wanted, before, limit)
    found: list[Row[Any]] = []
    looked, lowest, high = 0, *_span(conn, wanted, before)
    while high > lowest and len(found) < limit and looked < _MOST_NUMBERS:
        low = max(high - _NUMBERS_AT_ONCE, lowest)
        found += _range(conn, wanted, low, high, limit - len(found))
        looked += high - low
        high = found[-1].id - 1 if len(found) == limit else _below(conn, wanted.service, low)
    return Found(found, high + 1 if high > lowest else None)


def _of_one_delivery(conn: Connection, wanted: Wanted, before: int | None, limit: int) -> Found:
    query = select(*_BRIEF).where(*_conditions(wanted)).order_by(log.c.id.desc()).limit(limit)
    rows = conn.execute(query if before is None else query.where(log.c.id < before)).all()
    return Found(rows, rows[-1].id if len(rows) == limit else None)


def _range(conn: Connection, wanted: Wanted, low: int, high: int, limit: int) -> Sequence[Row[Any]]:
    query = select(*_BRIEF).where(log.c.id > low, log.c.id <= high, *_conditions(wanted))
    return conn.execute(query.order_by(log.c.id.desc()).limit(limit)).all()


def _span(conn: Connection, wanted: Wanted, before: int | None) -> tuple[int, int]:
    """Return between which numbers to look: lowest < number <= highest."""
    lowest, highest = 0, _last(conn, before - 1 if before is not None else None)
    if wanted.since is not None:
        lowest = _number_at(conn, wanted.since - _LONGEST_TRY, highest)
    if wanted.until is not None:
        highest = min(highest, _number_at(conn, wanted.until + _LONGEST_TRY, highest) + _NUMBERS_AT_ONCE)
    return lowest, highest


def _below(conn: Connection, service: str | None, number: int) -> int:
    """Return the highest number up to this one that can be of that service; 0: there is none."""
    last = _last(conn, number)
    if service is None or not last:
        return last
    at = conn.execute(select(log.c.created_at).where(log.c.id == last)).scalar()
    newest = newest_of(conn, service, log.c.created_at)
    found = conn.execute(
        newest if at is None else newest.where(log.c.created_at <= at + _LONGEST_TRY)
    ).scalar()
    if found is None:
        return 0
    return min(last, _number_at(conn, found + _LONGEST_TRY, last) + _NUMBERS_AT_ONCE)


def _number_at(conn: Connection, moment: datetime, highest: int) -> int:
    """Return a little below where the tries of a moment begin: a search by halves of the primary key."""
    low, high = 0, highest
    while high - low > _NUMBERS_AT_ONCE // 2:
        middle = (low + high) // 2
        query = select(log.c.created_at).where(log.c.id > middle).order_by(log.c.id).limit(1)
        found = conn.execute(query).scalar()
        if found is None or found >= moment:
            high = middle
        else:
            low = middle
    return low


def _last(conn: Connection, upto: int | None) -> int:
    """Return the highest number that there is, up to one: ranges that were pruned cost nothing."""
    query = select(func.max(log.c.id))
    return conn.execute(query if upto is None else query.where(log.c.id <= upto)).scalar() or 0


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    equal = {
        log.c.service: wanted.service,
        log.c.rule: wanted.rule,
        log.c.delivery_id: wanted.delivery_id,
        log.c.outcome: wanted.outcome,
        log.c.status: wanted.status,
    }
    found = [column == value for column, value in equal.items() if value is not None]
    if wanted.error:
        found.append(log.c.error.contains(wanted.error, autoescape=True, escape="|"))
    if wanted.since is not None:
        found.append(log.c.created_at >= wanted.since)
    if wanted.until is not None:
        found.append(log.c.created_at < wanted.until)
    return found
