"""How far the tail has read: `mih_cursors`, a row a site, moved by the holder of its lease."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, insert, select, update

from sidecar.errors import LeaseLost, said
from sidecar.model import Cursor
from sidecar.store.tables import cursors


def load(conn: Connection, site: str) -> Cursor | None:
    """Return the cursor of `site`, or None before its first start."""
    row = conn.execute(select(cursors).where(cursors.c.site == site)).one_or_none()
    return _cursor(row) if row else None


def sites(conn: Connection) -> list[str]:
    """Return all sites that have a cursor in this store."""
    return list(conn.execute(select(cursors.c.site).order_by(cursors.c.site)).scalars())


def create(conn: Connection, site: str, position: int, *, now: datetime) -> None:
    """Put the cursor of a new site at `position`; the row with the next higher id is the first one read."""
    conn.execute(insert(cursors).values(site=site, position=position, fence=0, updated_at=now))


def lease(conn: Connection, site: str, replica: str, *, now: datetime, lease_s: float) -> Cursor | None:
    """Take or extend the lease on the cursor; return None while another replica holds it.

    Locks the row. A takeover raises the fence, so that what the former holder still writes is refused.
    A lease that ends later than a lease can last is void: the clock was set back after it was given.
    """
    row = conn.execute(select(cursors).where(cursors.c.site == site).with_for_update()).one()
    cursor = _cursor(row)
    until = now + timedelta(seconds=lease_s)
    if cursor.leased_by not in {None, replica} and cursor.leased_until and now < cursor.leased_until <= until:
        return None
    fence = cursor.fence if cursor.leased_by == replica else cursor.fence + 1
    taken = replace(cursor, fence=fence, leased_by=replica, leased_until=until)
    conn.execute(
        update(cursors)
        .where(cursors.c.site == site)
        .values(fence=fence, leased_by=replica, leased_until=until, updated_at=now)
    )
    return taken


def renew(conn: Connection, cursor: Cursor, *, now: datetime, lease_s: float) -> Cursor | None:
    """Extend the lease of its holder, and write down how far it has looked; None: it is the holder no more.

    One statement, so that it may stand alone. Also when the lease was over and nobody has wanted it.
    """
    until = now + timedelta(seconds=lease_s)
    extended = conn.execute(
        update(cursors)
        .where(
            cursors.c.site == cursor.site,
            cursors.c.fence == cursor.fence,
            cursors.c.position == cursor.position,
            cursors.c.leased_by == cursor.leased_by,
        )
        .values(leased_until=until, head=cursor.head, caught_up_at=cursor.caught_up_at, updated_at=now)
    )
    return replace(cursor, leased_until=until) if extended.rowcount == 1 else None


def release(conn: Connection, cursor: Cursor, *, now: datetime) -> None:
    """Give the lease back, so that another replica need not wait for its end."""
    conn.execute(
        update(cursors)
        .where(cursors.c.site == cursor.site, cursors.c.fence == cursor.fence)
        .values(leased_by=None, leased_until=None, caught_up_at=cursor.caught_up_at, updated_at=now)
    )


def advance(conn: Connection, before: Cursor, after: Cursor, *, now: datetime) -> None:
    """Write the cursor's new place. Raises LeaseLost if anybody else moved or took it since it was read."""
    changed = conn.execute(
        update(cursors)
        .where(
            cursors.c.site == before.site,
            cursors.c.fence == before.fence,
            cursors.c.position == before.position,
        )
        .values(
            position=after.position,
            head=after.head,
            caught_up_at=after.caught_up_at,
            problem=after.problem,
            updated_at=now,
        )
    )
    if changed.rowcount != 1:
        raise LeaseLost(
            said(
                "The cursor of %(site)s was taken over by another replica; this round is void.",
                site=before.site,
            )
        )


def place(conn: Connection, site: str, position: int, *, now: datetime) -> None:
    """Put the cursor somewhere else by hand; the replica that tails notices and goes on from there."""
    conn.execute(
        update(cursors)
        .where(cursors.c.site == site)
        .values(
            position=position,
            fence=cursors.c.fence + 1,
            leased_by=None,
            leased_until=None,
            caught_up_at=None,
            problem=None,
            updated_at=now,
        )
    )


def _cursor(row: Row[tuple[object, ...]]) -> Cursor:
    found = row._mapping
    return Cursor(**{name: found[name] for name in Cursor.__dataclass_fields__})
