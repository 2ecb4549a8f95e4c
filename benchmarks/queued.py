"""Deliveries that wait in the durable queue, and how to know that all of them are settled."""

from datetime import datetime

from sqlalchemy import func, insert, select, text

from sidecar.model import Delivery, DeliveryState
from sidecar.store import queue, stats, tables
from sidecar.store.engine import Database
from sidecar.store.latencies import Latencies
from sidecar.store.stats import Span, Tally

BODY = '{"id": 4711, "username": "maria.lopez", "email": "maria.lopez@example.org", "course": "Biology I"}'
_AT_ONCE = 5_000
_COPIED_AT_ONCE = 500_000
_FOUR_WEEKS_S = 28 * 24 * 3600
_UNLIKE = "CONCAT('0b7c1f0e-93ab-5a2c-8d12-', LPAD(n, 12, '0'))"


def fill(
    store: Database, count: int, *, now: datetime, services: tuple[str, ...] = ("crm",), first: int = 0
) -> None:
    """Queue so many deliveries, all due, spread over the services; `first` is the number of the first."""
    made = deliveries(count, now=now, services=services, first=first)
    for start in range(0, count, _AT_ONCE):
        with store.write() as conn:
            queue.enqueue(conn, made[start : start + _AT_ONCE], now=now)


def deliveries(
    count: int, *, now: datetime, services: tuple[str, ...] = ("crm",), first: int = 0
) -> list[Delivery]:
    """Return so many deliveries, spread over the services."""
    return [_delivery(number, services, now) for number in range(first, first + count)]


def settled(store: Database, *, after: int = 0) -> int:
    """Return how many tries were logged after that one: in one transaction with what became of them."""
    with store.read() as conn:
        return conn.execute(select(func.count()).where(tables.log.c.id > after)).scalar_one()


def last_try(store: Database) -> int:
    """Return the id of the newest line of the request log; 0 without any."""
    with store.read() as conn:
        return conn.execute(select(func.coalesce(func.max(tables.log.c.id), 0))).scalar_one()


def top_up(store: Database, depth: int, *, now: datetime, services: tuple[str, ...]) -> None:
    """See that so many deliveries wait; more than a few for one service are made by MariaDB itself."""
    with store.read() as conn:
        made = conn.execute(select(func.count()).select_from(tables.queue)).scalar_one()
        pending = tables.queue.c.state == DeliveryState.PENDING
        waiting = conn.execute(select(func.count()).where(pending)).scalar_one()
    if made or len(services) > 1:
        fill(store, depth - waiting, now=now, services=services, first=made)
    else:
        multiply(store, depth, now=now)


def multiply(store: Database, count: int, *, now: datetime) -> None:
    """Make so many deliveries of one, in MariaDB itself: a million takes half a minute."""
    fill(store, 1, now=now)
    _copy(store, "mih_queue", count, {"delivery_id": _UNLIKE, "log_id": "n"})


def write_log(store: Database, count: int, *, now: datetime) -> None:
    """Fill MariaDB's request log with tries of four weeks, already counted."""
    settled_row = {
        "delivery_id": "00000000-0000-5000-8000-000000000000",
        "rule": "new-user",
        "service": "crm",
        "method": "POST",
        "endpoint": "/users",
        "attempt": 1,
        "outcome": "delivered",
        "status": 200,
        "latency_ms": 12.3,
        "replica": "box-7",
        "created_at": now,
    }
    with store.write() as conn:
        conn.execute(insert(tables.log), settled_row)
        stats.save(
            conn, Span.MINUTE, Span.MINUTE.floor(now), [Tally("crm", 1, 0, 0, Latencies(12.3, {30: 1}))]
        )
    times = f"created_at - INTERVAL n % {_FOUR_WEEKS_S} SECOND"
    _copy(store, "mih_log", count, {"delivery_id": _UNLIKE, "created_at": times})


def _copy(store: Database, table: str, count: int, varied: dict[str, str]) -> None:
    columns = [column.name for column in tables.metadata.tables[table].columns if column.name != "id"]
    values = ", ".join(varied.get(name, name) for name in columns)
    for first in range(2, count + 1, _COPIED_AT_ONCE):
        numbers = f"seq_{first}_to_{min(first + _COPIED_AT_ONCE - 1, count)}"
        one = f"(SELECT * FROM {table} ORDER BY id LIMIT 1) one"
        made = f"SELECT {values} FROM {one}, (SELECT seq AS n FROM {numbers}) numbers"
        with store.write() as conn:
            conn.execute(text(f"INSERT INTO {table} ({', '.join(columns)}) {made}"))


def _delivery(number: int, services: tuple[str, ...], now: datetime) -> Delivery:
    return Delivery(
        delivery_id=f"0b7c1f0e-93ab-5a2c-8d11-{number:012}",
        rule="new-user",
        rule_version="v1",
        service=services[number % len(services)],
        event=r"\core\event\user_created",
        log_id=number + 1,
        method="POST",
        endpoint="/users",
        body=BODY,
        content_type="application/json",
        created_at=now,
    )
