"""What waits for a service, was made by a rule or has expired, as a whole: counted, cancelled or given up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, literal, select, update

from sidecar.model import DeadReason, DeliveryState
from sidecar.settings import Kind
from sidecar.store import order
from sidecar.store.dlq import EXPIRED
from sidecar.store.tables import dlq, queue

# What a dead letter takes over from its delivery.
_KEPT = (
    "delivery_id",
    "rule",
    "service",
    "event",
    "log_id",
    "method",
    "endpoint",
    "headers",
    "payload",
    "content_type",
    "attempts",
)


def count_waiting(conn: Connection, kind: Kind, name: str) -> int:
    """Return how many deliveries wait or are being sent, by `mih_queue_due` or `mih_queue_rule`."""
    states = [DeliveryState.PENDING, DeliveryState.SENDING]
    query = select(func.count()).where(_of(kind, name), queue.c.state.in_(states))
    return int(conn.execute(query).scalar_one())


def cancel_waiting(conn: Connection, kind: Kind, name: str, *, now: datetime) -> int:
    """Never send what waits; return how many that were. What is being sent is finished."""
    cancelled = {"state": DeliveryState.CANCELLED, "settled_at": now, "expires_at": None}
    return conn.execute(update(queue).where(_pending(kind, name)).values(cancelled)).rowcount


def bury_waiting(conn: Connection, kind: Kind, name: str, *, error: str, now: datetime) -> int:
    """Make dead letters of what waits, each with its payload; return how many.

    The rows are locked first, so that exactly those with a letter are dead.
    """
    ids = conn.execute(select(queue.c.id).where(_pending(kind, name)).with_for_update()).scalars().all()
    for start in range(0, len(ids), _PIECE):
        _bury(conn, ids[start : start + _PIECE], DeadReason.REMOVED, error, now)
    return len(ids)


def has_expired(conn: Connection, now: datetime) -> bool:
    """Whether anything waits that has expired; locks nothing. Uses `mih_queue_expires`."""
    return conn.execute(_expired(now).limit(1)).first() is not None


def bury_expired(conn: Connection, *, now: datetime, limit: int) -> int:
    """Make dead letters of what waits and has expired, at most `limit`; return how many.

    Skips what other processes hold. Uses `mih_queue_expires`, by force on MySQL and MariaDB: by another index
    they would lock what has not expired. Lets those come forward that waited for one of them.
    """
    ids = conn.execute(_expired(now).limit(limit).with_for_update(skip_locked=True)).scalars().all()
    for start in range(0, len(ids), _PIECE):
        _bury(conn, ids[start : start + _PIECE], DeadReason.EXPIRED, EXPIRED, now)
    order.pass_on(conn, ids)
    return len(ids)


def _expired(now: datetime) -> Select[tuple[int]]:
    query = select(queue.c.id).with_hint(queue, "FORCE INDEX (mih_queue_expires)", "mysql")
    return query.where(queue.c.expires_at <= now, queue.c.state == DeliveryState.PENDING)


_PIECE = 500


def _bury(conn: Connection, ids: Sequence[int], reason: DeadReason, error: str, now: datetime) -> None:
    """Make dead letters of rows that are locked."""
    piece = queue.c.id.in_(ids)
    said = [literal(str(reason)), literal(error), literal(now, dlq.c.created_at.type)]
    letters = select(*(queue.c[name] for name in _KEPT), *said).where(piece)
    conn.execute(dlq.insert().from_select([*_KEPT, "reason", "error", "created_at"], letters))
    dead = {"state": DeliveryState.DEAD, "settled_at": now, "last_error": error, "expires_at": None}
    conn.execute(update(queue).where(piece).values(dead))


def _pending(kind: Kind, name: str) -> Any:
    return _of(kind, name) & (queue.c.state == DeliveryState.PENDING)


def _of(kind: Kind, name: str) -> Any:
    return (queue.c.service if kind is Kind.SERVICE else queue.c.rule) == name
