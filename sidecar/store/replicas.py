"""Which processes work on this store: `mih_replicas`, one row a process, kept fresh while it lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from sidecar.store.tables import replicas


@dataclass(frozen=True, slots=True)
class Replica:
    """One process: `name` is unique to its run, `role` is all, tail or dispatch."""

    name: str
    role: str
    host: str
    pid: int
    version: str


def enter(conn: Connection, replica: Replica, *, now: datetime) -> None:
    """Sign in."""
    conn.execute(
        insert(replicas).values(
            name=replica.name,
            role=replica.role,
            host=replica.host,
            pid=replica.pid,
            version=replica.version,
            started_at=now,
            seen_at=now,
        )
    )


def beat(
    conn: Connection,
    name: str,
    *,
    tail_at: datetime | None,
    dispatch_at: datetime | None,
    now: datetime,
    problem: str | None = None,
) -> None:
    """Say that the process lives, when its loops last made their round, and what keeps them from it."""
    conn.execute(
        update(replicas)
        .where(replicas.c.name == name)
        .values(seen_at=now, tail_at=tail_at, dispatch_at=dispatch_at, problem=problem)
    )


def leave(conn: Connection, name: str) -> None:
    """Sign out."""
    conn.execute(replicas.delete().where(replicas.c.name == name))


def all_rows(conn: Connection) -> Sequence[Row[Any]]:
    """Return all signed-in processes, the oldest first."""
    return conn.execute(select(replicas).order_by(replicas.c.started_at)).all()


def others(conn: Connection, name: str, *, since: datetime) -> bool:
    """Tell whether any other process was seen since then."""
    alive = select(replicas.c.name).where(replicas.c.name != name, replicas.c.seen_at >= since)
    return conn.execute(alive.limit(1)).first() is not None


def forget(conn: Connection, *, before: datetime) -> int:
    """Remove processes that were last seen before `before`: they died without signing out."""
    return conn.execute(replicas.delete().where(replicas.c.seen_at < before)).rowcount
