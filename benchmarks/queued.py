"""Deliveries that wait in the durable queue, and how to know that all of them are settled."""

from datetime import datetime

from sqlalchemy import func, select

from sidecar.model import Delivery
from sidecar.store import queue, tables
from sidecar.store.engine import Database

BODY = '{"id": 4711, "username": "maria.lopez", "email": "maria.lopez@example.org", "course": "Biology I"}'
_AT_ONCE = 5_000


def fill(store: Database, count: int, *, now: datetime, services: tuple[str, ...] = ("crm",)) -> None:
    """Queue so many deliveries, all due, spread over the services."""
    for start in range(0, count, _AT_ONCE):
        numbers = range(start, min(start + _AT_ONCE, count))
        with store.write() as conn:
            queue.enqueue(conn, [_delivery(number, services, now) for number in numbers], now=now)


def settled(store: Database) -> int:
    """Return how many tries the request log has: each is written in one transaction with its settlement."""
    with store.read() as conn:
        return conn.execute(select(func.count()).select_from(tables.log)).scalar_one()


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
