"""Statistics are made from the request log, as often as one likes, on every database with the same result."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from sidecar import upkeep
from sidecar.clock import FakeClock
from sidecar.settings import Settings
from sidecar.store import stats, tables, trends
from sidecar.store.dialect import insert_new
from sidecar.store.engine import Database
from sidecar.store.latencies import EDGES, bucket
from sidecar.store.stats import Span
from sidecar.store.trends import Point, Window
from tests import databases

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def store(database: databases.Database) -> Iterator[Database]:
    found = Database(database.url)
    yield found
    found.close()


def tried(store: Database, *at: datetime, service: str = "crm", **changes: Any) -> None:
    """Log an attempt of 40 ms that was accepted, at each of these moments."""
    row = {
        "delivery_id": "d",
        "service": service,
        "method": "POST",
        "endpoint": "/",
        "attempt": 1,
        "outcome": "delivered",
        "latency_ms": 40.0,
        "replica": "r",
        **changes,
    }
    with store.write() as conn:
        insert_new(conn, tables.log, [{**row, "created_at": moment} for moment in at])


def died(store: Database, *at: datetime, service: str = "crm") -> None:
    """Bury a delivery at each of these moments."""
    row = {"service": service, "method": "POST", "endpoint": "/", "reason": "exhausted", "error": "no answer"}
    rows = [{**row, "delivery_id": f"{service} {one}", "attempts": 1, "created_at": one} for one in at]
    with store.write() as conn:
        insert_new(conn, tables.dlq, rows)


def rows(store: Database, span: Span) -> list[tuple[str, str, int, int, int]]:
    with store.read() as conn:
        found = conn.execute(
            select(tables.stats).where(tables.stats.c.span == span).order_by(tables.stats.c.begins_at)
        ).all()
    return [(f"{one.begins_at:%d %H:%M}", one.service, one.delivered, one.failed, one.dead) for one in found]


def roll_up(store: Database, clock: FakeClock) -> int:
    """Roll up until nothing changes."""
    changed = 0
    while more := upkeep.roll_up(store, clock):
        changed += more
    return changed


def test_minutes_become_tens_hours_and_days(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - 70 * MINUTE, NOW - 8 * MINUTE, NOW - 3 * MINUTE, NOW - 3 * MINUTE)
    tried(store, NOW - 3 * MINUTE, outcome="failed", latency_ms=5000.0)
    died(store, NOW - 3 * MINUTE)

    roll_up(store, clock)

    assert rows(store, Span.MINUTE) == [
        ("02 06:50", "crm", 1, 0, 0),
        ("02 07:52", "crm", 1, 0, 0),
        ("02 07:57", "crm", 2, 1, 1),
    ]
    assert rows(store, Span.TEN) == [("02 06:50", "crm", 1, 0, 0), ("02 07:50", "crm", 3, 1, 1)]
    assert rows(store, Span.HOUR) == [("02 06:00", "crm", 1, 0, 0), ("02 07:00", "crm", 3, 1, 1)]
    assert rows(store, Span.DAY) == [("02 00:00", "crm", 4, 1, 1)]


def test_the_minute_that_is_not_over_is_left_for_later(store: Database, clock: FakeClock) -> None:
    tried(store, NOW + timedelta(seconds=10))
    clock.advance(50)

    assert roll_up(store, clock) == 0
    clock.advance(10)
    assert roll_up(store, clock) == 5


def test_doing_it_again_and_by_another_replica_changes_nothing(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - 3 * MINUTE, NOW - 2 * MINUTE)
    roll_up(store, clock)
    before = [rows(store, span) for span in Span]

    assert upkeep.roll_up(store, clock) == 0
    assert [rows(store, span) for span in Span] == before


def test_tries_that_are_settled_late_are_caught(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - MINUTE)
    roll_up(store, clock)
    tried(store, NOW - 4 * MINUTE)

    roll_up(store, clock)

    assert rows(store, Span.MINUTE) == [("02 07:56", "crm", 1, 0, 0), ("02 07:59", "crm", 1, 0, 0)]
    assert rows(store, Span.DAY) == [("02 00:00", "crm", 2, 0, 0)]


def test_what_was_pruned_or_replayed_since_stays_counted(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - 2 * MINUTE, NOW - 2 * MINUTE)
    died(store, NOW - 2 * MINUTE)
    roll_up(store, clock)
    with store.write() as conn:
        first = conn.execute(select(tables.log.c.id).limit(1)).scalar_one()
        conn.execute(tables.log.delete().where(tables.log.c.id == first))
        conn.execute(tables.dlq.delete())

    roll_up(store, clock)

    assert rows(store, Span.MINUTE) == [("02 07:58", "crm", 2, 0, 1)]


def test_old_history_becomes_hours_at_once(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - 20 * DAY, NOW - 20 * DAY + 5 * HOUR, NOW - 3 * DAY, NOW - HOUR)

    roll_up(store, clock)

    assert [row[0] for row in rows(store, Span.HOUR)] == ["10 08:00", "10 13:00", "27 08:00", "02 07:00"]
    assert [row[:3] for row in rows(store, Span.DAY)] == [
        ("10 00:00", "crm", 2),
        ("27 00:00", "crm", 1),
        ("02 00:00", "crm", 1),
    ]
    assert [row[0] for row in rows(store, Span.MINUTE)] == ["02 07:00"]


def test_a_long_backlog_is_made_up_in_pieces(store: Database, clock: FakeClock) -> None:
    tried(store, *(NOW - number * HOUR + MINUTE for number in range(1, 45)))

    pieces = []
    while more := upkeep.roll_up(store, clock):
        pieces.append(more)

    assert len(pieces) == 2

    assert sum(row[2] for row in rows(store, Span.HOUR)) == 44
    assert sum(row[2] for row in rows(store, Span.DAY)) == 44


def test_a_process_that_ends_leaves_the_rest_to_the_next(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - 20 * DAY, NOW - MINUTE)

    assert upkeep.roll_up(store, clock, stopping=lambda: True) == 0
    assert roll_up(store, clock) > 0


def test_the_last_minutes_before_days_of_standstill_are_counted(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - 5 * MINUTE)
    roll_up(store, clock)
    tried(store, NOW - MINUTE)
    clock.advance(3 * 86_400)

    roll_up(store, clock)

    assert rows(store, Span.HOUR) == [("02 07:00", "crm", 2, 0, 0)]


def test_a_clock_that_was_set_back_stops_nothing(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - MINUTE)
    roll_up(store, clock)
    clock.advance(-3600)
    tried(store, NOW - 62 * MINUTE)

    roll_up(store, clock)

    assert [row[0] for row in rows(store, Span.MINUTE)] == ["02 06:58", "02 07:59"]


def test_a_sum_that_a_killed_process_owed_is_made_up(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - 7 * MINUTE)
    with store.write() as conn:
        minute = NOW - 7 * MINUTE
        stats.save(conn, Span.MINUTE, minute, stats.count(conn, minute, minute + MINUTE))

    roll_up(store, clock)

    assert rows(store, Span.DAY) == [("02 00:00", "crm", 1, 0, 0)]


def test_every_latency_gets_the_same_bucket_in_sql(store: Database) -> None:
    values = [0.0, 0.05, *(round(edge * factor, 1) for edge in EDGES[8:] for factor in (0.99, 1.01)), 2e6]
    for value in values:
        tried(store, NOW, service=f"{value}", latency_ms=value)

    with store.read() as conn:
        found = {
            float(one.service): list(one.latencies.buckets) for one in stats.count(conn, NOW, NOW + MINUTE)
        }

    assert found == {value: [bucket(value)] for value in values}


def test_fine_rows_go_after_two_days_and_coarse_ones_as_configured(store: Database, clock: FakeClock) -> None:
    tried(store, NOW - HOUR)
    roll_up(store, clock)
    settings = Settings.model_validate(
        {"site": "campus", "moodle": {"url": "sqlite:////nowhere.sqlite"}, "retention": {"stats_days": 10}}
    )

    clock.advance(3 * 86_400)
    upkeep.prune(store, settings, clock)
    left = [len(rows(store, span)) for span in Span]
    clock.advance(8 * 86_400)
    upkeep.prune(store, settings, clock)

    assert left == [0, 0, 1, 1, 1]
    assert [len(rows(store, span)) for span in Span] == [0, 0, 0, 0, 0]


def test_no_roll_up_scans_the_log(store: Database) -> None:
    fill(store)

    found = plans(store, lambda conn: stats.count(conn, NOW - 2 * MINUTE, NOW - MINUTE))
    found += plans(store, lambda conn: stats.next_at(conn, NOW - 2 * MINUTE))

    assert ["mih_log_created" in plan or "mih_dlq_created" in plan for plan in found] == [True] * 4


def test_no_chart_reads_more_than_its_window(store: Database) -> None:
    fill(store)

    series = [plans(store, lambda conn, of=one: trends.series(conn, of, now=NOW)) for one in Window]  # type: ignore[misc]
    [newest] = plans(store, lambda conn: stats.last(conn, Span.MINUTE))

    assert ["mih_stats_begins" in of_all for [of_all] in series] == [True] * len(Window)
    assert "mih_stats_begins" in newest or "optimized away" in newest


@pytest.mark.parametrize(
    ("window", "points", "step"),
    [
        (Window.HOUR, 60, MINUTE),
        (Window.DAY, 144, 10 * MINUTE),
        (Window.WEEK, 168, HOUR),
        (Window.MONTH, 120, 6 * HOUR),
    ],
)
def test_a_chart_has_a_point_for_every_step(
    store: Database, clock: FakeClock, window: Window, points: int, step: timedelta
) -> None:
    tried(store, NOW - MINUTE)
    tried(store, NOW - MINUTE, service="erp", outcome="rejected")
    roll_up(store, clock)

    with store.read() as conn:
        found = trends.series(conn, window, now=NOW - timedelta(seconds=1))

    assert len(found) == points
    assert {later.begins_at - one.begins_at for one, later in pairwise(found)} == {step}
    assert found[-1] == Point(found[-1].begins_at, 1, 1, 0)
    assert found[-1].begins_at < NOW <= found[-1].begins_at + step
    assert sum(one.delivered for one in found) == 1


def test_a_chart_of_one_service_has_its_latencies(store: Database, clock: FakeClock) -> None:
    tried(store, *(NOW - 20 * MINUTE for _ in range(18)))
    tried(store, NOW - 20 * MINUTE, NOW - 20 * MINUTE, latency_ms=900.0)
    tried(store, NOW - 20 * MINUTE, service="erp")
    roll_up(store, clock)

    with store.read() as conn:
        [point] = [one for one in trends.series(conn, Window.DAY, now=NOW, service="crm") if one.delivered]

    assert (point.begins_at, point.delivered) == (NOW - 20 * MINUTE, 20)
    assert point.p50_ms == pytest.approx(40, rel=0.1)
    assert point.p95_ms == pytest.approx(900, rel=0.1)


@pytest.mark.parametrize(
    ("window", "tries"), [(Window.HOUR, 3), (Window.DAY, 5), (Window.WEEK, 6), (Window.MONTH, 7)]
)
def test_rates_are_those_of_the_window(store: Database, clock: FakeClock, window: Window, tries: int) -> None:
    clock.advance(1800)  # so that no window begins with a full row of the coarser kind
    now = clock.now()
    tried(store, now - MINUTE, now - 59 * MINUTE)
    tried(store, now - 2 * MINUTE, outcome="failed", latency_ms=9000.0)
    ago = (61 * MINUTE, DAY - 9 * MINUTE, 2 * DAY, 8 * DAY, 31 * DAY)
    tried(store, *(now - one for one in ago))
    roll_up(store, clock)

    with store.read() as conn:
        found = trends.summaries(conn, window, now=now)

    assert list(found) == ["crm"]
    assert found["crm"].tries == tries
    assert found["crm"].success == pytest.approx(1 - 1 / tries)
    assert found["crm"].latencies.mean_ms == 40.0


def test_dead_letters_are_counted_by_the_hour(store: Database, clock: FakeClock) -> None:
    clock.advance(1800)
    died(store, NOW - 2 * HOUR)
    died(store, NOW + 5 * MINUTE)
    died(store, NOW + 6 * MINUTE, service="erp")
    roll_up(store, clock)

    with store.read() as conn:
        found = trends.dead_per_hour(conn, now=clock.now(), hours=4)

    assert found == [(NOW - 3 * HOUR, 0), (NOW - 2 * HOUR, 1), (NOW - HOUR, 0), (NOW, 2)]


def fill(store: Database) -> None:
    """Fill in enough for a planner to see that an index is worth it."""
    tried(store, *(NOW - number * timedelta(seconds=30) for number in range(4000)), error="x" * 300)
    died(store, *(NOW - number * MINUTE for number in range(4000)))
    row = {"delivered": 1, "failed": 0, "dead": 0, "latency_ms": 40.0, "latencies": '{"33": 1}'}
    rows = [
        {**row, "span": span, "service": f"service-{service}", "begins_at": NOW - number * span.length}
        for span in Span
        for service in range(20)
        for number in range(800 if span is Span.HOUR else 300)
    ]
    analyze = {"sqlite": "ANALYZE", "mysql": "ANALYZE TABLE", "postgresql": "VACUUM ANALYZE"}[store.dialect]
    with store.write() as conn:
        insert_new(conn, tables.stats, rows)
    with store.read() as conn:
        for name in ("mih_log", "mih_dlq", "mih_stats"):
            conn.exec_driver_sql(f"{analyze} {name}")


def plans(store: Database, work: Callable[[Connection], object]) -> list[str]:
    """Return how the database answers each query that `work` asks."""
    asked: list[tuple[str, Any]] = []
    how = "EXPLAIN QUERY PLAN " if store.dialect == "sqlite" else "EXPLAIN "
    with store.read() as conn:
        event.listen(conn, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
        work(conn)
        explained = [one for one in asked if one[0].startswith("SELECT")]
        return [str(conn.exec_driver_sql(how + query, values).all()) for query, values in explained]
