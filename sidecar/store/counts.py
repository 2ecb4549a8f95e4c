"""What became of matching rows, counted: `mih_counts`, one row an hour, rule and kind."""

from collections import Counter
from datetime import datetime

from sqlalchemy import Connection, func, select

from sidecar.store.dialect import upsert
from sidecar.store.tables import counts

QUEUED = "queued"
DEAD = "dead"


def add(conn: Connection, tally: Counter[tuple[str, str]], *, now: datetime) -> None:
    """Add a tally of (rule, what) to the counts of this hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    rows = [{"hour": hour, "rule": rule, "what": what, "n": n} for (rule, what), n in sorted(tally.items())]
    upsert(conn, counts, rows, {"n": "+n"})


def totals(conn: Connection, *, since: datetime) -> list[tuple[str, str, int]]:
    """Return (rule, what, how many) since then."""
    query = (
        select(counts.c.rule, counts.c.what, func.sum(counts.c.n))
        .where(counts.c.hour >= since)
        .group_by(counts.c.rule, counts.c.what)
        .order_by(counts.c.rule, counts.c.what)
    )
    return [(rule, what, int(n)) for rule, what, n in conn.execute(query)]


def prune(conn: Connection, *, before: datetime) -> int:
    """Delete the counts of hours before `before`; return how many rows."""
    return conn.execute(counts.delete().where(counts.c.hour < before)).rowcount
