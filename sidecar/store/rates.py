"""When the next request of a service with a rate limit may go out, over all replicas: in `mih_circuits`."""

from datetime import datetime

from sqlalchemy import Connection, select, update

from sidecar.store.tables import circuits


def lock(conn: Connection, service: str) -> datetime | None:
    """Return the first moment that nobody has taken; it is ours to take until the transaction ends.

    Locks the service's row by its primary key. None: nobody ever took one.
    """
    query = select(circuits.c.next_slot_at).where(circuits.c.service == service).with_for_update()
    return conn.execute(query).scalar_one_or_none()


def lock_drain(conn: Connection, service: str) -> datetime | None:
    """Return the first moment at which more of a backlog may leave; locked as `lock` does it."""
    query = select(circuits.c.next_drain_at).where(circuits.c.service == service).with_for_update()
    return conn.execute(query).scalar_one_or_none()


def take_drain(conn: Connection, service: str, *, until: datetime) -> None:
    """Write down that a backlog has had all moments before `until`."""
    conn.execute(update(circuits).where(circuits.c.service == service).values(next_drain_at=until))


def take(conn: Connection, service: str, *, until: datetime) -> None:
    """Write down that all moments before `until` are taken."""
    conn.execute(update(circuits).where(circuits.c.service == service).values(next_slot_at=until))
