"""Deliveries that a broker carries: their rows of `mih_queue` wait meanwhile in lanes of their own.

Nobody claims there, so a claim never wades through them. The row stays the truth about its delivery: pending,
when it is due, how often it was tried. A message that says otherwise is a copy of one that was settled.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from sidecar.model import Delivery, DeliveryState
from sidecar.store import queue
from sidecar.store.dialect import among
from sidecar.store.order import RELAYED, RELAYED_LIVE, RELAYED_SLOW
from sidecar.store.tables import queue as table

_PIECE = 500
_SETTLED = {DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.CANCELLED}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a delivery stands that has come from the broker. `elsewhere`: the table has not given it away."""

    number: int
    settled: bool
    elsewhere: bool
    attempts: int
    due_at: datetime


def enqueue(conn: Connection, deliveries: Sequence[Delivery], *, now: datetime) -> None:
    """Queue deliveries that the broker will have when this transaction ends; known ids add nothing."""
    queue.enqueue(conn, deliveries, now=now, relayed=True)


def standing(conn: Connection, delivery_ids: Collection[str]) -> dict[str, Standing]:
    """Return how these deliveries stand; unknown ids are left out. By the unique key, locks nothing."""
    columns = (table.c.id, table.c.delivery_id, table.c.state, table.c.lane, table.c.attempts, table.c.due_at)
    query = select(*columns).where(table.c.delivery_id.in_(sorted(delivery_ids)))
    return {
        row.delivery_id: Standing(
            row.id,
            settled=row.state in _SETTLED,
            elsewhere=row.state not in _SETTLED and row.lane not in RELAYED,
            attempts=row.attempts,
            due_at=row.due_at,
        )
        for row in conn.execute(query)
    }


def load(conn: Connection, service: str, lane: int, limit: int, *, now: datetime) -> dict[int, Delivery]:
    """Return by number what is due in a lane and not with the broker yet, locked until the transaction ends.

    Skips rows that others hold. Uses `mih_queue_due`, by force on MySQL and MariaDB as claims do.
    """
    query = (
        select(table)
        .with_hint(table, "FORCE INDEX (mih_queue_due)", "mysql")
        .where(queue.pending(service), table.c.lane == lane, table.c.due_at <= now)
        .order_by(table.c.due_at, table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return {row.id: queue.delivery_of(row) for row in conn.execute(query)}


def relay(conn: Connection, numbers: Collection[int]) -> None:
    """Note that the broker has these rows, which this transaction has locked."""
    ours = among(table.c.id, sorted(numbers))
    conn.execute(update(table).where(ours).values(lane=table.c.lane + RELAYED_LIVE))


def slow_relayed(conn: Connection, service: str) -> int:
    """Return how many deliveries of the slow lane the broker has. Uses `mih_queue_due`."""
    query = select(func.count()).where(queue.pending(service), table.c.lane == RELAYED_SLOW)
    return int(conn.execute(query).scalar_one())


def take_back(conn: Connection, services: Collection[str]) -> int:
    """Let all deliveries of services be sent without a broker, when they are due; return how many."""
    ours = _relayed(services)
    return conn.execute(update(table).where(ours).values(lane=table.c.lane - RELAYED_LIVE)).rowcount


def bring_again(
    conn: Connection, services: Collection[str], *, due_before: datetime, now: datetime, limit: int
) -> int:
    """Let deliveries that were due by then be brought to the broker again, at most `limit`; return how many.

    What the broker has of them all the same becomes a copy. They are due now, so that this is not done again
    before long.
    """
    query = select(table.c.id).where(_relayed(services), table.c.due_at < due_before).limit(limit)
    numbers = list(conn.execute(query.with_for_update(skip_locked=True)).scalars())
    again = {"lane": table.c.lane - RELAYED_LIVE, "due_at": now}
    for start in range(0, len(numbers), _PIECE):
        conn.execute(update(table).where(among(table.c.id, numbers[start : start + _PIECE])).values(again))
    return len(numbers)


def overdue(conn: Connection, services: Collection[str], *, due_before: datetime) -> list[str]:
    """Return the services of which something that the broker has was due before then. By `mih_queue_due`."""
    return [
        name
        for name in sorted(services)
        if conn.execute(
            select(table.c.id).where(_relayed([name]), table.c.due_at < due_before).limit(1)
        ).first()
    ]


def count(conn: Connection, services: Collection[str]) -> dict[str, int]:
    """Return how many deliveries of each service the broker has, by `mih_queue_due`."""
    query = select(table.c.service, func.count().label("n")).where(_relayed(services))
    return {row.service: row.n for row in conn.execute(query.group_by(table.c.service))}


def _relayed(services: Collection[str]) -> ColumnElement[bool]:
    pending = table.c.state == DeliveryState.PENDING
    return table.c.service.in_(sorted(services)) & pending & table.c.lane.in_(RELAYED)
