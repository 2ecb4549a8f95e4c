"""How services fared over time: `mih_stats`, rows of a minute, ten minutes, an hour, six hours, a day.

They are made from the request log, again at any time by any replica with the same result. Only more than
what is there replaces it: attempts are pruned and dead letters replayed, and have been there all the same.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, case, func, or_, select

from sidecar.model import Outcome
from sidecar.store.dialect import upsert
from sidecar.store.latencies import Latencies, bucket_in_sql
from sidecar.store.tables import dlq, log, stats


class Span(StrEnum):
    """How long the time of a row is."""

    MINUTE = "minute"
    TEN = "ten"
    HOUR = "hour"
    QUARTER = "quarter"  # of a day
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """How long that is."""
        return _LENGTHS[self]

    def floor(self, moment: datetime) -> datetime:
        """Return when the row that a moment is in begins."""
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + (moment - midnight) // self.length * self.length

    def ceil(self, moment: datetime) -> datetime:
        """Return when the first row at or after a moment begins."""
        begins = self.floor(moment)
        return begins if begins == moment else begins + self.length


_LENGTHS = {
    Span.MINUTE: timedelta(minutes=1),
    Span.TEN: timedelta(minutes=10),
    Span.HOUR: timedelta(hours=1),
    Span.QUARTER: timedelta(hours=6),
    Span.DAY: timedelta(days=1),
}
_FINER = {Span.TEN: Span.MINUTE, Span.HOUR: Span.TEN, Span.QUARTER: Span.HOUR, Span.DAY: Span.QUARTER}
_NEWS = ("delivered", "failed", "dead", "latency_ms", "latencies")


@dataclass(frozen=True, slots=True)
class Tally:
    """What one service came to in some time. `failed`: tries that were not accepted, whoever's fault."""

    service: str
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    latencies: Latencies = field(default_factory=Latencies)

    def __add__(self, other: "Tally") -> "Tally":
        """Return both together."""
        return Tally(
            self.service,
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.dead + other.dead,
            self.latencies + other.latencies,
        )

    @property
    def tries(self) -> int:
        """How often it was called."""
        return self.delivered + self.failed

    @property
    def success(self) -> float | None:
        """The share of accepted tries; None without any."""
        return self.delivered / self.tries if self.tries else None

    def at_least(self, other: "Tally | None") -> "Tally":
        """Return what was counted here, or before where that was more."""
        if other is None:
            return self
        more = self if self.tries >= other.tries else other
        return replace(more, dead=max(self.dead, other.dead))


def count(conn: Connection, begins: datetime, ends: datetime) -> list[Tally]:
    """Count the attempts and dead letters from `begins` to before `ends`, by service.

    Uses `mih_log_created` and `mih_dlq_created`: reads no more than there was in that time.
    """
    found: dict[str, Tally] = {}
    for service, bucket, n, total_ms in conn.execute(_TRIES, {"begins": begins, "ends": ends}):
        failed = bucket is None
        latencies = Latencies() if failed else Latencies(total_ms, {int(bucket): n})
        one = Tally(service, 0 if failed else n, n if failed else 0, latencies=latencies)
        found[service] = found.get(service, Tally(service)) + one
    for service, n in conn.execute(_deaths(begins, ends)):
        found[service] = replace(found.get(service, Tally(service)), dead=n)
    return [found[service] for service in sorted(found)]


def _tries() -> Select[Any]:
    accepted = case((log.c.outcome == Outcome.DELIVERED, bucket_in_sql(log.c.latency_ms)))
    # Grouped one level up: PostgreSQL takes the tree for another one when its edges are parameters.
    tries = (
        select(log.c.service, log.c.latency_ms, accepted.label("bucket"))
        .where(log.c.created_at >= bindparam("begins"), log.c.created_at < bindparam("ends"))
        .subquery()
    )
    counted = (func.count(), func.sum(tries.c.latency_ms))
    return select(tries.c.service, tries.c.bucket, *counted).group_by(tries.c.service, tries.c.bucket)


# Made once: to build the tree takes longer than to ask the question.
_TRIES = _tries()


def _deaths(begins: datetime, ends: datetime) -> Select[Any]:
    query = select(dlq.c.service, func.count()).where(dlq.c.created_at >= begins, dlq.c.created_at < ends)
    return query.group_by(dlq.c.service)


def fold(conn: Connection, span: Span, begins: datetime) -> list[Tally]:
    """Return what a row's time came to, from the rows of the next finer span. By the primary key."""
    finer = between(conn, _FINER[span], begins, begins + span.length)
    found: dict[str, Tally] = {}
    for one in finer:
        found[one.service] = found.get(one.service, Tally(one.service)) + one
    return list(found.values())


def news(conn: Connection, span: Span, begins: datetime, found: Iterable[Tally]) -> list[Tally]:
    """Return the rows that differ from what is there."""
    there = {one.service: one for one in between(conn, span, begins, begins + span.length)}
    rows = [one.at_least(there.get(one.service)) for one in found]
    return [one for one in rows if not _same(one, there.get(one.service))]


def _same(one: Tally, other: Tally | None) -> bool:
    """Compare without the sums, which the databases round."""
    if other is None:
        return False
    counts = (one.delivered, one.failed, one.dead) == (other.delivered, other.failed, other.dead)
    return counts and one.latencies.buckets == other.latencies.buckets


def save(conn: Connection, span: Span, begins: datetime, found: Iterable[Tally]) -> None:
    """Write rows of one time, over what is there."""
    upsert(conn, stats, [_values(span, begins, one) for one in found], {name: name for name in _NEWS})


def between(conn: Connection, span: Span, begins: datetime, ends: datetime) -> list[Tally]:
    """Return the rows that begin in that time, the earliest first. Uses `mih_stats_begins`."""
    query = select(stats).where(stats.c.span == span, stats.c.begins_at >= begins, stats.c.begins_at < ends)
    return [tally(row) for row in conn.execute(query.order_by(stats.c.begins_at, stats.c.service))]


def tally(row: Row[Any]) -> Tally:
    """Return a row as what it says."""
    latencies = Latencies.read(row.latency_ms, row.latencies)
    return Tally(row.service, row.delivered, row.failed, row.dead, latencies)


def last(conn: Connection, span: Span, *, before: datetime | None = None) -> datetime | None:
    """Return when the newest row of a span begins. Uses `mih_stats_begins`."""
    query = select(func.max(stats.c.begins_at)).where(stats.c.span == span)
    if before is not None:
        query = query.where(stats.c.begins_at < before)
    found: datetime | None = conn.execute(query).scalar_one()
    return found


def next_at(conn: Connection, since: datetime | None) -> datetime | None:
    """Return when the next try was made or delivery given up, by the indexes of `created_at`."""
    found: list[datetime] = []
    for column in (log.c.created_at, dlq.c.created_at):
        query = select(column).order_by(column).limit(1)
        query = query if since is None else query.where(column >= since)
        found += conn.execute(query).scalars()
    return min(found, default=None)


def prune(conn: Connection, *, fine_before: datetime, before: datetime) -> int:
    """Delete rows of minutes that begin before `fine_before`, others before `before`; return how many."""
    fine: Sequence[Span] = (Span.MINUTE, Span.TEN)
    coarse: Sequence[Span] = (Span.HOUR, Span.QUARTER, Span.DAY)
    old = or_(
        stats.c.span.in_(fine) & (stats.c.begins_at < fine_before),
        stats.c.span.in_(coarse) & (stats.c.begins_at < before),
    )
    return conn.execute(stats.delete().where(old)).rowcount


def _values(span: Span, begins: datetime, one: Tally) -> dict[str, Any]:
    return {
        "span": span,
        "service": one.service,
        "begins_at": begins,
        "delivered": one.delivered,
        "failed": one.failed,
        "dead": one.dead,
        "latency_ms": round(one.latencies.total_ms, 1),
        "latencies": one.latencies.dump(),
    }
