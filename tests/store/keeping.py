"""The store under test, and the steps that many of its tests begin with."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from sidecar.model import Attempt, Claimed, Decision, Settlement
from sidecar.store import leases, queue
from sidecar.store.engine import Database
from sidecar.store.settle import settle as write
from sidecar.store.tables import queue as queue_table
from tests.deliveries import NOW, delivery

LEASE_S = 60


def put(store: Database, count: int = 1, service: str = "crm", *, at: datetime = NOW, **changes: Any) -> None:
    """Queue deliveries 1 to `count` at once."""
    with store.write() as conn:
        queue.enqueue(conn, [delivery(n, service, **changes) for n in range(1, count + 1)], now=at)


def take(
    store: Database, limit: int = 100, *, token: str = "replica-1#1", at: datetime = NOW, service: str = "crm"
) -> list[Claimed]:
    """Claim what is due."""
    with store.write() as conn:
        return leases.claim(conn, {service: limit}, token=token, now=at, lease_s=LEASE_S)


def settle(
    store: Database, claimed: Sequence[Claimed], attempt: Attempt | None, decision: Decision
) -> list[Settlement]:
    """Settle all of them alike."""
    with store.write() as conn:
        batch = [Settlement(item, attempt, decision) for item in claimed]
        return write(conn, batch, replica="replica-1", now=NOW)


def rows(store: Database) -> list[Row[Any]]:
    """Return the whole queue, the first queued first."""
    with store.read() as conn:
        return list(conn.execute(select(queue_table).order_by(queue_table.c.id)))
