"""The queue as people ask for it: `mih_queue`, read only."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from sidecar.model import DeliveryState
from sidecar.store.tables import queue

_OWED = (DeliveryState.PENDING, DeliveryState.SENDING)
_UNDELIVERED = (*_OWED, DeliveryState.DEAD)


def find(
    conn: Connection,
    *,
    state: DeliveryState | None = None,
    service: str | None = None,
    rule: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Row[Any]]:
    """Return deliveries, newest first, a page at a time: `before` is the last number of the page before."""
    query = select(queue).order_by(queue.c.id.desc()).limit(limit)
    for column, value in ((queue.c.state, state), (queue.c.service, service), (queue.c.rule, rule)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(queue.c.id < before)
    return conn.execute(query).all()


def get(conn: Connection, key: str) -> Row[Any] | None:
    """Return one delivery by its number or its delivery id."""
    which = queue.c.id == int(key) if _is_number(key) else queue.c.delivery_id == key
    return conn.execute(select(queue).where(which)).one_or_none()


def numbers(conn: Connection, delivery_ids: Collection[str]) -> dict[str, int]:
    """Return the queue's number of each delivery that is still there, by its unique key."""
    query = select(queue.c.delivery_id, queue.c.id).where(queue.c.delivery_id.in_(sorted(delivery_ids)))
    return {row.delivery_id: row.id for row in conn.execute(query)}


@dataclass(frozen=True, slots=True)
class Owed:
    """How many deliveries of one service stand where, and since when the oldest that is not sent waits."""

    service: str
    pending: int = 0
    sending: int = 0
    dead: int = 0
    oldest: datetime | None = None


def totals(conn: Connection) -> list[Owed]:
    """Return what is owed to each service that is owed anything, or has dead letters, by name.

    Reads the index `mih_queue_due` alone, and what is delivered, most of the table, not at all: services
    first, then what each has that is not delivered. Of each state the lowest number is taken for the oldest.
    """
    names = list(conn.execute(_names(conn)).scalars())
    lowest = func.min(queue.c.id).label("lowest")
    query = select(queue.c.service, queue.c.state, func.count().label("n"), lowest)
    query = query.where(queue.c.service.in_(names), queue.c.state.in_(_UNDELIVERED))
    rows = conn.execute(query.group_by(queue.c.service, queue.c.state)).all()
    waits = [row.lowest for row in rows if row.state in _OWED]
    created = select(queue.c.id, queue.c.created_at).where(queue.c.id.in_(waits))
    since = {row.id: row.created_at for row in conn.execute(created)}
    of: dict[str, list[Row[Any]]] = {}
    for row in rows:
        of.setdefault(row.service, []).append(row)
    return [_owed(service, found, since) for service, found in sorted(of.items())]


def _owed(service: str, rows: Sequence[Row[Any]], since: Mapping[int, datetime]) -> Owed:
    n = {row.state: int(row.n) for row in rows}
    oldest = min((since[row.lowest] for row in rows if row.lowest in since), default=None)
    pending, sending, dead = (n.get(state, 0) for state in _UNDELIVERED)
    return Owed(service, pending, sending, dead, oldest)


def _names(conn: Connection) -> Select[Any]:
    """Return the query for all services in the queue that skips from one to the next.

    MySQL and MariaDB do so for DISTINCT and not for the recursion, PostgreSQL and SQLite the other way round.
    """
    if conn.dialect.name == "mysql":
        return select(queue.c.service).distinct()
    steps = select(func.min(queue.c.service).label("service")).cte("steps", recursive=True)
    following = select(func.min(queue.c.service)).where(queue.c.service > steps.c.service)
    steps = steps.union_all(select(following.scalar_subquery()).where(steps.c.service.is_not(None)))
    return select(steps.c.service).where(steps.c.service.is_not(None))


def _is_number(key: str) -> bool:
    """Whether a key is a number that the column can hold; else it is compared as a delivery id."""
    return key.isascii() and key.isdecimal() and len(key) < 19
