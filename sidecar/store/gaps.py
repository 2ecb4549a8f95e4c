"""Ids that were missing when the tail passed them: `mih_gaps`, one row a range."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from sidecar.model import Gap
from sidecar.store.tables import gaps

OPEN = "open"
CLOSED = "closed"


def waiting(conn: Connection, site: str) -> list[Gap]:
    """Return the gaps that a late row may still fill, lowest ids first. Uses `mih_gaps_state`."""
    found = conn.execute(
        select(gaps.c.first_id, gaps.c.last_id, gaps.c.seen_at, gaps.c.id)
        .where(gaps.c.site == site, gaps.c.state == OPEN)
        .order_by(gaps.c.first_id)
    )
    return [Gap(first_id=row[0], last_id=row[1], seen_at=row[2], number=row[3]) for row in found]


def remember(conn: Connection, site: str, ranges: Iterable[tuple[int, int]], *, seen_at: datetime) -> None:
    """Note ranges of missing ids."""
    rows = [
        {"site": site, "first_id": first, "last_id": last, "state": OPEN, "seen_at": seen_at}
        for first, last in ranges
    ]
    if rows:
        conn.execute(insert(gaps), rows)


def split(conn: Connection, site: str, gap: Gap, rest: Sequence[tuple[int, int]]) -> None:
    """Replace a gap by what is still missing of it; its age stays."""
    conn.execute(delete(gaps).where(gaps.c.id == gap.number))
    remember(conn, site, rest, seen_at=gap.seen_at)


def close(conn: Connection, given_up: Iterable[Gap], reason: str, *, now: datetime) -> None:
    """Stop asking for these gaps; they stay listed with the reason."""
    numbers = [gap.number for gap in given_up]
    if numbers:
        conn.execute(
            update(gaps).where(gaps.c.id.in_(numbers)).values(state=CLOSED, closed_at=now, reason=reason)
        )


def closed(conn: Connection, site: str, *, limit: int) -> list[tuple[Gap, datetime, str]]:
    """Return the gaps given up last, with when and why."""
    found = conn.execute(
        select(gaps)
        .where(gaps.c.site == site, gaps.c.state == CLOSED)
        .order_by(gaps.c.id.desc())
        .limit(limit)
    )
    return [(Gap(row.first_id, row.last_id, row.seen_at, row.id), row.closed_at, row.reason) for row in found]


def missing_ids(conn: Connection, site: str, state: str) -> int:
    """Return how many ids the gaps in `state` cover."""
    width = func.coalesce(func.sum(gaps.c.last_id - gaps.c.first_id + 1), 0)
    return int(conn.execute(select(width).where(gaps.c.site == site, gaps.c.state == state)).scalar_one())


def prune(conn: Connection, *, before: datetime, limit: int) -> int:
    """Forget gaps that were given up before `before`, at most `limit`; return how many."""
    numbers = list(
        conn.execute(
            select(gaps.c.id).where(gaps.c.state == CLOSED, gaps.c.closed_at < before).limit(limit)
        ).scalars()
    )
    if numbers:
        conn.execute(delete(gaps).where(gaps.c.id.in_(numbers)))
    return len(numbers)
