"""How services fared in the last hour, day, week, month: rates, latencies and the points of a chart."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Row, String, cast, func, select

from sidecar.store import stats
from sidecar.store.latencies import Latencies
from sidecar.store.stats import Span, Tally
from sidecar.store.tables import stats as table

_HOUR = timedelta(hours=1)
_NOTHING = Tally("")
_SUMMED = (table.c.delivered, table.c.failed, table.c.dead, table.c.latency_ms, table.c.latencies)


class Window(StrEnum):
    """How far back one looks."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"

    @property
    def length(self) -> timedelta:
        """How long that is."""
        return _GRAINS[self].length

    @property
    def step(self) -> timedelta:
        """How far the points of its chart are apart."""
        return _GRAINS[self].chart.length


@dataclass(frozen=True, slots=True)
class _Grain:
    """Which rows answer for a window; sums take fine ones at its edge, then ever coarser ones."""

    length: timedelta
    chart: Span
    sums: tuple[Span, ...]


_GRAINS: Mapping[Window, _Grain] = {
    Window.HOUR: _Grain(_HOUR, Span.MINUTE, (Span.MINUTE, Span.TEN)),
    Window.DAY: _Grain(24 * _HOUR, Span.TEN, (Span.TEN, Span.HOUR, Span.QUARTER)),
    Window.WEEK: _Grain(timedelta(days=7), Span.HOUR, (Span.HOUR, Span.QUARTER, Span.DAY)),
    Window.MONTH: _Grain(timedelta(days=30), Span.QUARTER, (Span.DAY,)),
}


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a chart: what happened from `begins_at` on for one step."""

    begins_at: datetime
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


def summaries(conn: Connection, window: Window, *, now: datetime) -> dict[str, Tally]:
    """Return what each service came to; a service that nothing happened to is not there.

    Complete minutes only, and from the first full row of the window on: of ten minutes, an hour, a day.
    """
    found: dict[str, _Sum] = {}
    for service, *values in _rows_for_sums(conn, _GRAINS[window], now):
        found.setdefault(service, _Sum()).add(*values)
    return {service: one.tally(service) for service, one in sorted(found.items())}


def _rows_for_sums(conn: Connection, grain: _Grain, now: datetime) -> Iterator[Row[Any]]:
    """Yield the rows of each span from where it fits to where the next coarser one does.

    The newest row of each span has all that is known of its time, so the last span goes up to now.
    """
    begins = grain.sums[0].ceil(now - grain.length)
    for span, coarser in zip_longest(grain.sums, grain.sums[1:]):
        ends = now if coarser is None else min(coarser.ceil(begins), now)
        yield from _rows(conn, span, begins, ends)
        begins = ends


def _rows(conn: Connection, span: Span, begins: datetime, ends: datetime) -> Sequence[Row[Any]]:
    """Return rows by their time. Uses `mih_stats_begins`."""
    if begins >= ends:
        return []
    query = select(table.c.service, *_SUMMED).where(table.c.span == span)
    return conn.execute(query.where(table.c.begins_at >= begins, table.c.begins_at < ends)).all()


@dataclass(slots=True)
class _Sum:
    """Rows added up in place: a month of fifty services is thousands of them."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    total_ms: float = 0.0
    buckets: dict[str, int] = field(default_factory=dict)

    def add(self, delivered: int, failed: int, dead: int, total_ms: float, latencies: str) -> None:
        self.delivered += delivered
        self.failed += failed
        self.dead += dead
        self.total_ms += total_ms
        for bucket, n in json.loads(latencies).items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + n

    def tally(self, service: str) -> Tally:
        latencies = Latencies(self.total_ms, {int(bucket): n for bucket, n in self.buckets.items()})
        return Tally(service, self.delivered, self.failed, self.dead, latencies)


def series(conn: Connection, window: Window, *, now: datetime, service: str | None = None) -> list[Point]:
    """Return the points of a chart, the earliest first, at most 169; latencies for one service only."""
    grain = _GRAINS[window]
    begins = grain.chart.floor(now - grain.length) + window.step
    found = _of_all(conn, grain.chart, begins) if service is None else _of(conn, grain.chart, begins, service)
    points = dict(found)
    steps = [begins + number * window.step for number in range((now - begins) // window.step + 1)]
    return [_point(at, points.get(at, _NOTHING)) for at in steps]


def sparks(conn: Connection, window: Window, *, now: datetime) -> dict[str, list[tuple[int, int]]]:
    """Return what each service took and refused, step by step, in few steps, the earliest first.

    Reads the index `mih_stats_begins` alone. Moments come as text, of which there are few: to make a datetime
    of each of a thousand rows would take longer than the query.
    """
    span = _SPARKS[window]
    begins = span.floor(now - window.length) + span.length
    columns = (table.c.service, cast(table.c.begins_at, String), table.c.delivered, table.c.failed)
    query = select(*columns).where(table.c.span == span, table.c.begins_at >= begins)
    steps = (now - begins) // span.length + 1
    places: dict[str, int] = {}
    found: dict[str, list[tuple[int, int]]] = {}
    for service, at, delivered, failed in conn.execute(query.where(table.c.begins_at <= now)):
        if at not in places:
            places[at] = (_moment(at) - begins) // span.length
        line = found.setdefault(service, [(0, 0)] * steps)
        line[places[at]] = (delivered, failed)
    return found


def _moment(text: str) -> datetime:
    """Return what a database writes of a moment; without an offset it is UTC."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


_SPARKS: Mapping[Window, Span] = {
    Window.HOUR: Span.MINUTE,
    Window.DAY: Span.HOUR,
    Window.WEEK: Span.QUARTER,
    Window.MONTH: Span.DAY,
}


def dead_per_hour(conn: Connection, *, now: datetime, hours: int = 24) -> list[tuple[datetime, int]]:
    """Return how many deliveries were given up in each of the last hours, this one included."""
    begins = Span.HOUR.floor(now) - (hours - 1) * _HOUR
    found = {at: one.dead for at, one in _of_all(conn, Span.HOUR, begins)}
    steps = [begins + number * _HOUR for number in range(hours)]
    return [(at, found.get(at, 0)) for at in steps]


def _of_all(conn: Connection, span: Span, begins: datetime) -> list[tuple[datetime, Tally]]:
    """Return the sums of all services by time. Reads the index `mih_stats_begins` alone."""
    sums = [func.sum(column) for column in (table.c.delivered, table.c.failed, table.c.dead)]
    query = select(table.c.begins_at, *sums).where(table.c.span == span, table.c.begins_at >= begins)
    rows = conn.execute(query.group_by(table.c.begins_at).order_by(table.c.begins_at))
    return [(at, Tally("", int(delivered), int(failed), int(dead))) for at, delivered, failed, dead in rows]


def _of(conn: Connection, span: Span, begins: datetime, service: str) -> list[tuple[datetime, Tally]]:
    """Return the rows of one service by time. By the primary key."""
    query = select(table).where(table.c.span == span, table.c.service == service, table.c.begins_at >= begins)
    return [(row.begins_at, stats.tally(row)) for row in conn.execute(query.order_by(table.c.begins_at))]


def _point(at: datetime, found: Tally) -> Point:
    return Point(
        at,
        found.delivered,
        found.failed,
        found.dead,
        found.latencies.quantile(0.5),
        found.latencies.quantile(0.95),
    )
