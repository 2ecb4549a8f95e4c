"""Dead letters as people choose them: counted, leafed through, worked through from the oldest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, literal, select

from sidecar.model import DeadReason
from sidecar.store.tables import dlq


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


def count(conn: Connection, choice: Choice, *, upto: int | None = None) -> int:
    """Return how many match, up to a number. By an index of service, rule or reason; texts are read for."""
    query = select(func.count()).select_from(dlq).where(*choice.conditions)
    return int(conn.execute(query if upto is None else query.where(dlq.c.id <= upto)).scalar_one())


def last(conn: Connection) -> int:
    """Return the number of the newest letter, 0 where there is none."""
    return conn.execute(select(func.max(dlq.c.id))).scalar() or 0


def newest(
    conn: Connection, choice: Choice, *, before: int | None = None, limit: int = 50
) -> Sequence[Row[Any]]:
    """Return a page, the newest first: `before` is the last number of the page before."""
    below = [] if before is None else [dlq.c.id < before]
    # First the numbers, which the indexes hold, then these rows: payloads are not sorted. "+ 0": else a
    # database may walk down the primary key, payloads and all, through everything that does not match.
    key = dlq.c.id + literal(0) if choice._equal else dlq.c.id
    query = select(dlq.c.id).where(*choice.conditions, *below).order_by(key.desc()).limit(limit)
    return _rows(conn, list(conn.execute(query).scalars()), dlq.c.id.desc())


def oldest(conn: Connection, choice: Choice, *, after: int, upto: int, limit: int) -> Sequence[Row[Any]]:
    """Return the first letters of those with numbers after < number <= upto."""
    within = (dlq.c.id > after, dlq.c.id <= upto)
    query = select(dlq.c.id).where(*choice.conditions, *within).order_by(dlq.c.id).limit(limit)
    return _rows(conn, list(conn.execute(query).scalars()), dlq.c.id)


def _rows(conn: Connection, numbers: Sequence[int], order: Any) -> Sequence[Row[Any]]:
    if not numbers:
        return []
    return conn.execute(select(dlq).where(dlq.c.id.in_(numbers)).order_by(order)).all()
