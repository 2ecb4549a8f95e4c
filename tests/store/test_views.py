"""The views for people who query the tables: made and filled on every database, their columns fixed."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, NullPool, create_engine, insert, text

from sidecar.model import DeadReason
from sidecar.settings import Service
from sidecar.store import cursors, gaps, services, tables
from tests.databases import Database

VIEWS = Path(__file__).parents[2] / "sql" / "views"
NOW = datetime.now(UTC)
COLUMNS = {
    "mih_v_waiting": [
        *("service", "waiting", "sending", "tried_before", "oldest_at", "next_due_at"),
        *("circuit", "paused", "enabled"),
    ],
    "mih_v_dead_letters": [
        *("letter", "delivery_id", "service", "rule", "event", "log_id", "reason", "status", "error"),
        *("attempts", "created_at", "suggested_action"),
    ],
    "mih_v_gaps": [
        *("site", "first_id", "last_id", "missing_ids", "state", "seen_at", "closed_at", "reason"),
    ],
    "mih_v_stats": [
        *("span", "service", "begins_at", "delivered", "failed", "dead", "delivered_percent", "average_ms"),
    ],
    "mih_v_failures": [
        *("service", "outcome", "status", "attempts", "deliveries", "first_at", "last_at", "an_error"),
    ],
}


def make_views(conn: Connection) -> None:
    for name in ("common", conn.dialect.name):
        for statement in filter(str.strip, (VIEWS / f"{name}.sql").read_text().split(";\n")):
            conn.exec_driver_sql(statement, execution_options={"no_parameters": True})


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    """An autocommit connection to a store with its views."""
    engine = create_engine(database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        make_views(connection)
        yield connection


def delivery(number: int, **changes: object) -> dict[str, object]:
    return {
        "delivery_id": f"d{number}",
        "service": "crm",
        "method": "POST",
        "endpoint": "/",
        "state": "pending",
        "attempts": 0,
        "due_at": NOW,
        "created_at": NOW,
        **changes,
    }


@pytest.mark.parametrize("view", list(COLUMNS))
def test_the_columns_of_a_view_stay(conn: Connection, view: str) -> None:
    found = conn.execute(text(f"SELECT * FROM {view}"))

    assert list(found.keys()) == COLUMNS[view]
    assert found.all() == []


def test_views_are_made_anew_over_old_ones(conn: Connection) -> None:
    make_views(conn)

    assert conn.execute(text("SELECT COUNT(*) FROM mih_v_gaps")).scalar() == 0


def test_what_waits_is_counted_by_service(conn: Connection) -> None:
    services.sync(conn, {"crm": Service(base_url="http://crm.test")}, now=NOW)
    rows = [
        delivery(1),
        delivery(2, attempts=2),
        delivery(3, state="sending"),
        delivery(4, state="delivered"),
        delivery(5, service="gone"),
    ]
    for row in rows:
        conn.execute(insert(tables.queue).values(row))

    found = conn.execute(
        text(
            "SELECT service, waiting, sending, tried_before, circuit, paused, enabled"
            " FROM mih_v_waiting ORDER BY service"
        )
    ).all()

    assert [tuple(row) for row in found] == [
        ("crm", 2, 1, 1, "closed", 0, 1),
        ("gone", 1, 0, 0, None, 0, 0),
    ]


def test_failures_older_than_a_day_are_left_away(conn: Connection) -> None:
    attempts = [
        (1, "failed", 503, 1),
        (2, "failed", 503, 23),
        (3, "failed", 503, 25),
        (4, "delivered", 200, 1),
    ]
    for number, outcome, status, hours in attempts:
        conn.execute(
            insert(tables.log).values(
                delivery_id=f"d{number}",
                service="crm",
                method="POST",
                endpoint="/",
                attempt=1,
                outcome=outcome,
                status=status,
                latency_ms=1.0,
                error="answered 503" if status == 503 else None,
                replica="r",
                created_at=NOW - timedelta(hours=hours),
            )
        )

    found = conn.execute(
        text("SELECT service, outcome, status, attempts, deliveries, an_error FROM mih_v_failures")
    ).all()

    assert [tuple(row) for row in found] == [("crm", "failed", 503, 2, 2, "answered 503")]


def test_every_reason_of_a_dead_letter_has_its_advice(conn: Connection) -> None:
    for reason in DeadReason:
        conn.execute(
            insert(tables.dlq).values(
                delivery_id=reason.value,
                service="crm",
                method="POST",
                endpoint="/",
                reason=reason,
                error="no",
                attempts=1,
                created_at=NOW,
            )
        )

    advice = {
        row.reason: row.suggested_action
        for row in conn.execute(text("SELECT reason, suggested_action FROM mih_v_dead_letters"))
    }

    assert sorted(advice) == sorted(DeadReason)
    assert Counter(advice.values()).most_common(1)[0][1] == 1
    assert "read the error, then replay or delete it" not in advice.values()


def test_gaps_are_counted_in_ids(conn: Connection) -> None:
    cursors.create(conn, "campus", 9, now=NOW)
    gaps.remember(conn, "campus", [(3, 3), (5, 8)], seen_at=NOW)

    found = conn.execute(
        text("SELECT first_id, last_id, missing_ids, state FROM mih_v_gaps ORDER BY first_id")
    ).all()

    assert [tuple(row) for row in found] == [(3, 3, 1, "open"), (5, 8, 4, "open")]


def test_rates_and_averages_are_worked_out(conn: Connection) -> None:
    row = {"span": "hour", "begins_at": NOW, "dead": 0, "latencies": "{}"}
    for service, delivered, failed, latency in (("crm", 3, 1, 100.0), ("erp", 0, 2, 0.0), ("lms", 0, 0, 0.0)):
        counted = {"delivered": delivered, "failed": failed, "latency_ms": latency}
        conn.execute(insert(tables.stats).values(service=service, **row, **counted))

    found = conn.execute(
        text("SELECT service, delivered_percent, average_ms FROM mih_v_stats ORDER BY service")
    ).all()

    assert [(name, *(None if one is None else float(one) for one in rest)) for name, *rest in found] == [
        ("crm", 75.0, 33.3),
        ("erp", 0.0, None),
        ("lms", None, None),
    ]
