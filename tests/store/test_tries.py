"""Tries are found by whatever one knows of them, for a bounded number of rows a page, by an index."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from sidecar.model import Outcome
from sidecar.store import tables
from sidecar.store.dialect import insert_new
from sidecar.store.engine import Database
from sidecar.store.tries import Found, Wanted, search
from tests.conftest import make_tables
from tests.databases import Databases
from tests.store.test_search import explained

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
COUNT = 30_000
ANALYZE = {"sqlite": "ANALYZE", "mysql": "ANALYZE TABLE mih_log", "postgresql": "ANALYZE mih_log"}


@pytest.fixture
def store(databases: Databases) -> Iterator[Database]:
    """30,000 tries, one a second; of `rare` are the very first two and one in the middle. Only read here."""
    found = Database(databases.url(databases.template("tries", make_tables, fill)))
    yield found
    found.close()


def fill(url: str) -> None:
    found = Database(url)
    with found.write() as conn:
        for start in range(0, COUNT, 5_000):
            insert_new(conn, tables.log, [_row(number) for number in range(start, start + 5_000)])
        conn.execute(text(ANALYZE[found.dialect]))
    found.close()


def _row(number: int) -> dict[str, Any]:
    failed = number % 1_000 == 0
    return {
        "delivery_id": f"d-{number // 2}",
        "rule": "new-user",
        "service": "rare" if number in (0, 1, 15_000) else "crm",
        "method": "POST",
        "endpoint": "/users",
        "attempt": 1 + number % 2,
        "outcome": "failed" if failed else "delivered",
        "status": 503 if failed else 201,
        "latency_ms": 40.0,
        "error": "HTTP 503" if failed else None,
        "replica": "r",
        "created_at": NOW + timedelta(seconds=number),
    }


def at(number: int) -> datetime:
    """Return when that try began."""
    return NOW + timedelta(seconds=number)


def numbers(found: Found) -> list[int]:
    return [row.id - 1 for row in found.rows]


def test_tries_are_found_by_what_is_known_of_them(store: Database) -> None:
    with store.read() as conn:
        ask = partial(search, conn)

        assert numbers(ask(Wanted(), limit=3)) == [29_999, 29_998, 29_997]
        assert numbers(ask(Wanted(delivery_id="d-7"))) == [15, 14]
        assert numbers(ask(Wanted(outcome=Outcome.FAILED), limit=2)) == [29_000, 28_000]
        assert numbers(ask(Wanted(error="503", until=at(5_500)), limit=2)) == [5_000, 4_000]
        assert numbers(ask(Wanted(status=503, since=at(3_000), until=at(5_000)))) == [4_000, 3_000]


def test_a_rare_service_is_found_without_walking_over_the_others(store: Database) -> None:
    with store.read() as conn:
        found = search(conn, Wanted(service="rare"))
        nothing = search(conn, Wanted(service="nobody"))

    assert (numbers(found), found.next) == ([15_000, 1, 0], None)
    assert (numbers(nothing), nothing.next) == ([], None)


def test_page_after_page_shows_every_match_once_also_where_pages_are_empty(store: Database) -> None:
    wanted, before, seen, pages = Wanted(error="HTTP"), None, [], 0
    with store.read() as conn:
        while pages < 20:
            found = search(conn, wanted, before=before, limit=7)
            seen += numbers(found)
            pages, before = pages + 1, found.next
            if before is None:
                break

    assert seen == list(range(29_000, -1, -1_000))


def test_no_search_reads_the_whole_table(store: Database) -> None:
    wanted = [
        Wanted(),
        Wanted(service="rare"),
        Wanted(delivery_id="d-7"),
        Wanted(status=503, since=at(3_000), until=at(5_000)),
        Wanted(error="nothing says this"),
    ]
    with store.read() as conn:
        plans = [plan for one in wanted for plan in explained(conn, partial(search, conn, one))]

    assert len(plans) > len(wanted)
    assert [plan for plan in plans if _is_scan(plan)] == []


def _is_scan(plan: str) -> bool:
    _, _, lines = plan.partition("\n")
    return any(mark in lines for mark in ("Seq Scan", "'ALL'", "'index', ")) or (
        "SCAN mih_log" in lines and "USING" not in lines
    )
