"""What a dispatcher looks at before it claims: pauses, circuits, and when something is due, in one query."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, select

from sidecar.model import Circuit, DeliveryState
from sidecar.store.circuits import circuit_of
from sidecar.store.queue import LIVE, SLOW
from sidecar.store.tables import circuits, queue, services


@dataclass(frozen=True, slots=True)
class Lookout:
    """The services as they are now. `due`: when the earliest pending delivery of each is or was due."""

    paused: frozenset[str]
    circuits: dict[str, Circuit]
    due: dict[str, datetime]


def look(conn: Connection) -> Lookout:
    """Look at all services. Uses `mih_queue_due`, by one index look-up for each service and lane.

    One statement: whoever sees that a service goes on also sees where its backlog ends.
    """
    live, slow = _first_due(LIVE), _first_due(SLOW)
    query = select(
        services.c.name, services.c.paused, circuits, live.label("live"), slow.label("slow")
    ).outerjoin_from(services, circuits, circuits.c.service == services.c.name)
    rows = conn.execute(query).all()
    return Lookout(
        frozenset(row.name for row in rows if row.paused),
        {row.name: circuit_of(row) for row in rows if row.service is not None},
        {row.name: due for row in rows if (due := _earlier(row)) is not None},
    )


def _first_due(lane: int) -> ScalarSelect[Any]:
    """The index is named: MySQL may take another one on a small table, and read all that waits."""
    return (
        select(queue.c.due_at)
        .with_hint(queue, "FORCE INDEX (mih_queue_due)", "mysql")
        .where(
            queue.c.service == services.c.name,
            queue.c.state == DeliveryState.PENDING,
            queue.c.lane == lane,
        )
        .order_by(queue.c.due_at)
        .limit(1)
        .correlate(services)
        .scalar_subquery()
    )


def _earlier(row: Row[Any]) -> datetime | None:
    return min((due for due in (row.live, row.slow) if due is not None), default=None)
