"""What the tables know of rows of Moodle's log: deliveries by rule and range, and what was delivered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from sidecar.model import DeliveryState, Outcome
from sidecar.store.tables import log, queue

_IDS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Made:
    """Where the delivery of a row stands."""

    service: str
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class Known:
    """A delivery of a row: which event it was then."""

    rule: str
    log_id: int
    delivery_id: str
    event: str
    event_at: datetime


def above(conn: Connection, position: int) -> list[Known]:
    """Return deliveries of rows with higher ids than `position`: the lowest ones and the highest.

    Reads the queue: for somebody who decides, not for a loop.
    """
    columns = (queue.c.rule, queue.c.log_id, queue.c.delivery_id, queue.c.event, queue.c.event_at)
    wanted = select(*columns).where(
        queue.c.log_id > position,
        queue.c.rule.is_not(None),
        queue.c.event.is_not(None),
        queue.c.event_at.is_not(None),
    )
    found = [
        Known(*row)
        for order in (queue.c.log_id, queue.c.log_id.desc())
        for row in conn.execute(wanted.order_by(order).limit(_IDS_AT_ONCE))
    ]
    return sorted(set(found), key=lambda one: one.log_id)


def made(conn: Connection, rule: str, after: int, upto: int) -> dict[str, Made]:
    """Return by delivery id what a rule made of rows with after < id <= upto. Uses `mih_queue_rule`."""
    query = select(queue.c.delivery_id, queue.c.service, queue.c.state).where(
        queue.c.rule == rule, queue.c.log_id > after, queue.c.log_id <= upto
    )
    return {row.delivery_id: Made(row.service, DeliveryState(row.state)) for row in conn.execute(query)}


def known(conn: Connection, delivery_ids: Sequence[str]) -> dict[str, DeliveryState]:
    """Return where these deliveries stand; those that the request log alone remembers were delivered.

    By the unique key of the queue, then by `mih_log_delivery`.
    """
    found: dict[str, DeliveryState] = {}
    for start in range(0, len(delivery_ids), _IDS_AT_ONCE):
        piece = delivery_ids[start : start + _IDS_AT_ONCE]
        query = select(queue.c.delivery_id, queue.c.state).where(queue.c.delivery_id.in_(piece))
        found |= {row.delivery_id: DeliveryState(row.state) for row in conn.execute(query)}
    left = [one for one in delivery_ids if one not in found]
    return {**dict.fromkeys(delivered(conn, left), DeliveryState.DELIVERED), **found}


def delivered(conn: Connection, delivery_ids: Sequence[str]) -> set[str]:
    """Return those of which the request log says that they were delivered. Uses `mih_log_delivery`."""
    found: set[str] = set()
    for start in range(0, len(delivery_ids), _IDS_AT_ONCE):
        piece = delivery_ids[start : start + _IDS_AT_ONCE]
        query = select(log.c.delivery_id).where(
            log.c.delivery_id.in_(piece), log.c.outcome == Outcome.DELIVERED
        )
        found |= set(conn.execute(query).scalars())
    return found
