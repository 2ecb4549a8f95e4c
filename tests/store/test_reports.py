"""The cookbook of reports: each query run on every database, over rows whose sums are known."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, Table, create_engine, insert

from sidecar.store import tables
from tests.databases import Database

REPORTS = Path(__file__).parents[2] / "sql" / "reports"
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
Report = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    """A connection to a store with a morning's rows in it."""
    with create_engine(database.url, poolclass=NullPool).begin() as connection:
        for table, rows in MORNING:
            connection.execute(insert(table), rows)
        yield connection


@pytest.fixture
def report(conn: Connection) -> Report:
    """Run a report and return some of its columns, figures as plain numbers."""

    def run(name: str, *columns: str) -> list[tuple[Any, ...]]:
        query = (REPORTS / f"{name}.sql").read_text(encoding="utf-8")
        found = conn.exec_driver_sql(query, execution_options={"no_parameters": True}).mappings()
        return [tuple(_plain(row[column]) for column in columns) for row in found]

    return run


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _deliveries() -> Sequence[dict[str, Any]]:
    states = [("crm", "delivered", 1), ("crm", "delivered", 1), ("crm", "delivered", 3)]
    states += [("crm", "pending", 0), ("lms", "dead", 4)]
    return [
        {
            "delivery_id": f"d{number}",
            "rule": "new-user",
            "service": service,
            "method": "POST",
            "endpoint": "/",
            "state": state,
            "attempts": attempts,
            "due_at": NOW,
            "created_at": NOW,
        }
        for number, (service, state, attempts) in enumerate(states, 1)
    ]


def _attempts() -> Sequence[dict[str, Any]]:
    tries: list[tuple[str, str, str, int | None, float]] = [
        ("d1", "crm", "delivered", 200, 10.0),
        ("d1", "crm", "delivered", 200, 20.0),
        ("d2", "crm", "delivered", 201, 30.0),
        ("d3", "crm", "failed", 503, 40.0),
        ("d5", "lms", "failed", None, 5000.0),
        ("d5", "lms", "failed", None, 5000.0),
    ]
    return [
        {
            "delivery_id": delivery,
            "rule": "new-user",
            "service": service,
            "method": "POST",
            "endpoint": "/",
            "attempt": 1,
            "outcome": outcome,
            "status": status,
            "latency_ms": latency,
            "error": None if outcome == "delivered" else f"{service} said no",
            "replica": "r",
            "created_at": NOW,
        }
        for delivery, service, outcome, status, latency in tries
    ]


def _letter() -> dict[str, Any]:
    return {
        "delivery_id": "d5",
        "rule": "new-user",
        "service": "lms",
        "method": "POST",
        "endpoint": "/",
        "reason": "exhausted",
        "error": "no answer",
        "attempts": 4,
        "created_at": NOW,
    }


def _rule(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "event": "*",
        "service": "crm",
        "method": "POST",
        "endpoint": "/",
        "enabled": True,
        "version": "v1",
        "definition": "{}",
        "source": "file",
        "updated_at": NOW,
    }


def _gap(first: int, last: int, state: str) -> dict[str, Any]:
    missing = last - first + 1
    return {
        "site": "campus",
        "first_id": first,
        "last_id": last,
        "missing": missing,
        "state": state,
        "seen_at": NOW,
    }


def _day(service: str, delivered: int, failed: int, latency_ms: float) -> dict[str, Any]:
    return {
        "span": "day",
        "service": service,
        "begins_at": NOW.replace(hour=0),
        "delivered": delivered,
        "failed": failed,
        "dead": failed // 4,
        "latency_ms": latency_ms,
        "latencies": "{}",
    }


_HOUR = timedelta(hours=1)
_CURSOR = {"site": "campus", "position": 90, "head": 100, "fence": 1, "updated_at": NOW}
MORNING: Sequence[tuple[Table, Sequence[dict[str, Any]]]] = (
    (tables.queue, _deliveries()),
    (tables.log, _attempts()),
    (tables.dlq, [_letter()]),
    (tables.stats, [_day("crm", 9, 1, 369.0), _day("lms", 0, 4, 0.0)]),
    (tables.rules, [_rule("new-user"), _rule("asleep")]),
    (tables.cursors, [_CURSOR]),
    (tables.gaps, [_gap(3, 4, "open"), _gap(7, 7, "open"), _gap(20, 24, "closed")]),
    (
        tables.counts,
        [
            {"hour": NOW, "rule": "new-user", "what": "queued", "n": 4},
            {"hour": NOW - _HOUR, "rule": "new-user", "what": "queued", "n": 9},
            {"hour": NOW, "rule": "new-user", "what": "when", "n": 2},
            {"hour": NOW, "rule": "new-user", "what": "too_old", "n": 36},
        ],
    ),
)


def test_states_are_counted_by_service(report: Report) -> None:
    found = report("state_by_service", "service", "state", "deliveries")

    assert found == [("crm", "delivered", 3), ("crm", "pending", 1), ("lms", "dead", 1)]


def test_attempts_have_a_share_of_successes_and_a_latency(report: Report) -> None:
    found = report("attempts_by_service", "service", "attempts", "delivered_percent", "average_ms")

    assert found == [("crm", 4, 75.0, 25.0), ("lms", 2, 0.0, 5000.0)]


def test_the_95th_percentile_leaves_failures_away(report: Report) -> None:
    assert report("latency_p95", "service", "p95_ms", "attempts") == [("crm", 30.0, 3)]


def test_a_service_is_followed_day_by_day(report: Report) -> None:
    found = report("service_by_day", "service", "delivered", "dead", "delivered_percent", "average_ms")

    assert found == [("crm", 9, 0, 90.0, 41.0), ("lms", 0, 1, 0.0, None)]


def test_tries_needed_are_counted(report: Report) -> None:
    assert report("tries_needed", "service", "tries", "deliveries") == [("crm", 1, 2), ("crm", 3, 1)]


def test_dead_letters_are_grouped_by_reason(report: Report) -> None:
    found = report("dead_letters_by_reason", "service", "rule", "reason", "letters", "an_error")

    assert found == [("lms", "new-user", "exhausted", 1, "no answer")]


def test_what_a_rule_did_is_summed_over_hours(report: Report) -> None:
    columns = ("rule", "queued", "dead", "held_by_where", "held_by_when", "too_old")

    assert report("rules_at_work", *columns) == [("new-user", 13, 0, 0, 2, 36)]


def test_a_rule_that_nothing_matched_is_listed(report: Report) -> None:
    assert report("idle_rules", "rule", "event", "service") == [("asleep", "*", "crm")]


def test_the_busiest_hour_comes_first(report: Report) -> None:
    assert [row[0] for row in report("busiest_hours", "deliveries")] == [9, 4]


def test_what_was_accepted_twice_is_found(report: Report) -> None:
    assert report("accepted_twice", "delivery_id", "service", "times") == [("d1", "crm", 2)]


def test_the_most_frequent_error_comes_first(report: Report) -> None:
    found = report("what_fails_most", "service", "status", "error", "attempts", "deliveries")

    assert found == [("lms", None, "lms said no", 2, 1), ("crm", 503, "crm said no", 1, 1)]


def test_the_cursor_shows_what_is_missing_below_it(report: Report) -> None:
    found = report("tail_position", "site", "position", "behind", "ids_open", "ids_given_up")

    assert found == [("campus", 90, 10, 3, 5)]


def test_every_report_is_tested_here() -> None:
    tested = Path(__file__).read_text(encoding="utf-8")

    assert [file.name for file in REPORTS.iterdir() if f'"{file.stem}"' not in tested] == []
