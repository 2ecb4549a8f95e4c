"""What waits in `mih_queue` is looked at first and taken then: deliveries that may share a request."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from sidecar.model import Claimed, DeliveryState, Route, Waiting
from sidecar.store import order
from sidecar.store.dialect import among, octets
from sidecar.store.leases import ANY_TIME, Due
from sidecar.store.queue import LANES, delivery_of, unexpired
from sidecar.store.tables import queue


def look(
    conn: Connection,
    service: str,
    lingers: Mapping[str, float],
    *,
    now: datetime,
    limit: int,
    due: Due = ANY_TIME,
) -> list[Waiting]:
    """Return the first deliveries of a service that may go out: due ones, and those that linger, live first.

    `lingers` has the seconds of each rule that lets its deliveries linger. Takes and locks nothing. Uses
    `mih_queue_due`.
    """
    latest = now + timedelta(seconds=max(lingers.values(), default=0))
    query = (
        select(
            queue.c.id,
            queue.c.rule,
            queue.c.method,
            queue.c.endpoint,
            queue.c.headers,
            queue.c.content_type,
            octets(conn, queue.c.payload).label("octets"),
            queue.c.due_at,
            queue.c.log_id,
            queue.c.order_key,
        )
        .with_hint(queue, "FORCE INDEX (mih_queue_due)", "mysql")
        .where(queue.c.service == service, queue.c.state == DeliveryState.PENDING)
        .where(due.within(latest), unexpired(now))
        .where((queue.c.due_at <= now) | (queue.c.rule.in_(list(lingers)) & _untried()))
        .order_by(queue.c.due_at, queue.c.id)
    )
    rows: list[Row[Any]] = []
    for lane in LANES:
        if len(rows) < limit:
            rows += conn.execute(query.where(queue.c.lane == lane).limit(limit - len(rows)))
    return [
        Waiting(row.id, row.rule, _route(row), row.octets or 0, row.due_at <= now, row.log_id, row.order_key)
        for row in rows
    ]


def take(
    conn: Connection, numbers: Sequence[int], *, token: str, now: datetime, lease_s: float
) -> list[Claimed]:
    """Take what `look` has found into this process's hands until the lease ends.

    Leaves out what another replica holds or has settled meanwhile, and what then is behind another of its
    key. Looked up by the primary key alone, as any other index would lock what others wait for.
    """
    query = select(queue).where(among(queue.c.id, numbers)).with_for_update(skip_locked=True)
    rows = [row for row in conn.execute(query) if _is_free(row, now)] if numbers else []
    turns = [turn for row in rows if (turn := order.turn_of(row, run=len(rows)))]
    behind = {turn.number for turn in turns} - order.ready(conn, turns)
    rows = [row for row in rows if row.id not in behind]
    if rows:
        conn.execute(
            update(queue)
            .where(among(queue.c.id, [row.id for row in rows]))
            .values(
                state=DeliveryState.SENDING, leased_by=token, leased_until=now + timedelta(seconds=lease_s)
            )
        )
    return [Claimed(row.id, delivery_of(row), row.attempts, token) for row in rows]


def _untried() -> ColumnElement[bool]:
    """What tells a delivery that lingers from one that waits for another try: nothing ever came of it."""
    return (queue.c.attempts == 0) & queue.c.last_error.is_(None)


def _is_free(row: Row[Any], now: datetime) -> bool:
    untried = row.attempts == 0 and row.last_error is None
    timely = row.expires_at is None or row.expires_at > now
    return row.state == DeliveryState.PENDING and timely and (row.due_at <= now or untried)


def _route(row: Row[Any]) -> Route:
    headers = json.loads(row.headers) if row.headers else {}
    return Route(row.method, row.endpoint, tuple(sorted(headers.items())), row.content_type)
