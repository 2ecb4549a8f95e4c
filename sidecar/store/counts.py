"""What became of matching rows, counted: `mih_counts`, one row an hour, rule and kind."""

from collections import Counter
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from sidecar.store.dialect import upsert
from sidecar.store.tables import counts

QUEUED = "queued"
DEAD = "dead"
LATE = "late"  # of those queued: from rows that appeared in gaps which had been given up
SHADOW = "shadow"  # would have been queued, but the rule only looks on
SHADOW_FAILED = "shadow_failed"  # would have been a dead letter


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


def by_hour(conn: Connection, rule: str, *, since: datetime) -> dict[datetime, dict[str, int]]:
    """Return what became of a rule's rows since then, by the hour. By the primary key."""
    query = select(counts.c.hour, counts.c.what, counts.c.n).where(
        counts.c.hour >= since, counts.c.rule == rule
    )
    found: dict[datetime, dict[str, int]] = {}
    for hour, what, n in conn.execute(query.order_by(counts.c.hour)):
        found.setdefault(hour, {})[what] = int(n)
    return found


_WEEK = timedelta(days=7)
_WEEKS = 4
_WEEKS_KNOWN = 2
_ROWS_A_WEEK = 5


def is_busy(conn: Connection, hour: datetime) -> bool | None:
    """Tell whether the same hour of the last weeks always had matching rows; None: too little is known.

    Five an hour are asked for on average: where fewer are usual, none is nothing to wonder at.
    """
    begun = conn.execute(select(func.min(counts.c.hour))).scalar_one()
    weeks = [hour - number * _WEEK for number in range(1, _WEEKS + 1)]
    known = [week for week in weeks if begun is not None and begun <= week]
    if len(known) < _WEEKS_KNOWN:
        return None
    query = select(counts.c.hour, func.sum(counts.c.n)).where(counts.c.hour.in_(known))
    found = {at: int(n) for at, n in conn.execute(query.group_by(counts.c.hour))}
    return len(found) == len(known) and sum(found.values()) >= _ROWS_A_WEEK * len(known)


def prune(conn: Connection, *, before: datetime) -> int:
    """Delete the counts of hours before `before`; return how many rows."""
    return conn.execute(counts.delete().where(counts.c.hour < before)).rowcount
