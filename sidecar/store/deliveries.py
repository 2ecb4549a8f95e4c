"""The queue as people ask for it: `mih_queue`, read only."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, case, func, select

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


def totals(conn: Connection) -> Sequence[Row[Any]]:
    """Return per service how many deliveries are pending, sending and dead, and since when the oldest waits.

    What is delivered is not looked at: it is most of the table. Uses `mih_queue_settled` by its state.
    """
    counted = [
        func.sum(case((queue.c.state == state, 1), else_=0)).label(str(state)) for state in _UNDELIVERED
    ]
    waiting = case((queue.c.state.in_(_OWED), queue.c.created_at))
    query = select(queue.c.service, *counted, func.min(waiting).label("oldest"))
    query = query.where(queue.c.state.in_(_UNDELIVERED)).group_by(queue.c.service)
    return conn.execute(query.order_by(queue.c.service)).all()


def _is_number(key: str) -> bool:
    """Whether a key is a number that the column can hold; else it is compared as a delivery id."""
    return key.isascii() and key.isdecimal() and len(key) < 19
