"""Deliveries found by what people know of them; no question reads the whole table."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from sidecar.model import DeliveryState
from sidecar.store.dialect import insert_new
from sidecar.store.engine import Database as Store
from sidecar.store.search import Wanted, of_events, search
from sidecar.store.tables import queue
from tests.databases import Database
from tests.deliveries import NOW


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    opened = Store(database.url)
    yield opened
    opened.close()


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "delivery_id": f"id-{number}",
        "rule": "r",
        "service": "crm",
        "event": r"\core\event\user_created",
        "log_id": 1000 + number,
        "method": "POST",
        "endpoint": "/u",
        "payload": "{}",
        "state": DeliveryState.DELIVERED,
        "attempts": 1,
        "due_at": NOW,
        "last_status": 200,
        "last_error": None,
        "created_at": NOW + timedelta(seconds=number),
        "settled_at": NOW,
        **changes,
    }


def put(store: Store, *rows: dict[str, Any]) -> None:
    with store.write() as conn:
        insert_new(conn, queue, rows)


def numbers(store: Store, wanted: Wanted, **page: Any) -> list[int]:
    with store.read() as conn:
        return [found.id for found in search(conn, wanted, **page).rows]


ODD: dict[str, tuple[Wanted, dict[str, Any]]] = {
    "state": (Wanted(state=DeliveryState.DEAD), {"state": DeliveryState.DEAD}),
    "delivered": (Wanted(state=DeliveryState.DELIVERED, rule="x"), {"rule": "x"}),
    "service": (Wanted(service="erp"), {"service": "erp"}),
    "rule": (Wanted(rule="other"), {"rule": "other"}),
    "event": (Wanted(event="forum"), {"event": r"\mod_forum\event\post_created"}),
    "log row": (Wanted(log_id=7), {"log_id": 7}),
    "rule and log row": (Wanted(rule="r", log_id=7), {"log_id": 7}),
    "status": (Wanted(status=503), {"last_status": 503}),
    "error": (Wanted(error="100% of_it |"), {"last_error": "refused 100% of_it | here"}),
    "since": (Wanted(since=NOW + timedelta(days=1)), {"created_at": NOW + timedelta(days=2)}),
    "until": (Wanted(until=NOW), {"created_at": NOW - timedelta(days=1)}),
    "all": (
        Wanted(state=DeliveryState.DEAD, service="erp", status=404),
        {"state": DeliveryState.DEAD, "service": "erp", "last_status": 404},
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_each_filter_finds_the_one_that_fits(store: Store, kind: str) -> None:
    wanted, changes = ODD[kind]
    put(store, row(1), row(2, **changes), row(3, last_error="refused 100 of it"))

    assert numbers(store, wanted) == [2]


def test_nothing_asked_is_everything_page_by_page(store: Store) -> None:
    put(store, *(row(number) for number in range(1, 8)))

    with store.read() as conn:
        first = search(conn, Wanted(), limit=3)
        second = search(conn, Wanted(), before=first.next, limit=3)
        third = search(conn, Wanted(), before=second.next, limit=3)

    assert [[one.id for one in page.rows] for page in (first, second, third)] == [[7, 6, 5], [4, 3, 2], [1]]
    assert third.next is None


def test_a_rare_thing_is_found_by_going_on_where_a_page_gave_up(store: Store) -> None:
    put(store, row(1, service="rare"), *(row(number * 1_000) for number in range(1, 41)))
    wanted, pages, before = Wanted(service="rare"), 0, None

    with store.read() as conn:
        while not (page := search(conn, wanted, before=before)).rows:
            assert page.next
            before, pages = page.next, pages + 1

    assert page.rows[0].id == 1
    assert pages == 1


def test_wide_holes_of_pruned_deliveries_cost_nothing(store: Store) -> None:
    put(store, row(5), row(10**8))

    assert numbers(store, Wanted(service="crm")) == [10**8, 5]


def test_a_long_gone_day_is_found_without_walking_there(store: Store) -> None:
    put(store, *(row(n, created_at=NOW + timedelta(minutes=n)) for n in range(1, 60_000, 100)))
    begin = NOW + timedelta(minutes=10_000)
    wanted = Wanted(since=begin, until=begin + timedelta(minutes=300))

    with store.read() as conn:
        page = search(conn, wanted)

    assert [found.id for found in page.rows] == [10_201, 10_101, 10_001]
    assert page.next is None


def test_the_deliveries_of_log_rows_are_found_by_rule(store: Store) -> None:
    put(store, row(1, log_id=5), row(2, log_id=5, rule="other"), row(3, log_id=6), row(4, log_id=9))

    with store.read() as conn:
        found = of_events(conn, {5, 6}, {"r"})
        nothing = of_events(conn, set(), {"r"})

    assert sorted(one.id for one in found) == [1, 3]
    assert nothing == []


FULL = {
    "everything": Wanted(),
    "owed": Wanted(state=DeliveryState.PENDING),
    "owed to one": Wanted(state=DeliveryState.PENDING, service="crm"),
    "dead": Wanted(state=DeliveryState.DEAD),
    "delivered": Wanted(state=DeliveryState.DELIVERED, service="nobody"),
    "rule": Wanted(rule="nobody"),
    "rule and log row": Wanted(rule="r", log_id=1_500),
    "error": Wanted(error="nothing of the kind", status=500),
    "time": Wanted(since=NOW + timedelta(seconds=9_000), until=NOW + timedelta(seconds=9_500)),
}
_ANALYZE = {"sqlite": "ANALYZE", "postgresql": "ANALYZE mih_queue", "mysql": "ANALYZE TABLE mih_queue"}


def test_no_question_reads_the_whole_table(store: Store, database: Database) -> None:
    put(store, *(row(n, state=_state(n), settled_at=None if n % 100 == 0 else NOW) for n in range(1, 20_001)))
    with store.write() as conn:
        conn.execute(text(_ANALYZE[database.dialect]))

    with store.read() as conn:
        plans = {kind: explained(conn, partial(search, conn, FULL[kind])) for kind in FULL}
        plans["of rows"] = explained(conn, partial(of_events, conn, range(1_500, 1_550), ["r", "x"]))

    assert all(plans.values())
    assert [(kind, plan) for kind, found in plans.items() for plan in found if is_scan(plan)] == []


def _state(number: int) -> DeliveryState:
    if number % 100 == 0:
        return DeliveryState.PENDING
    return DeliveryState.DEAD if number % 150 == 1 else DeliveryState.DELIVERED


def explained(conn: Connection, ask: Any) -> list[str]:
    """Return the plan of every query that `ask` makes."""
    asked: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(conn, "before_cursor_execute", note)
    ask()
    event.remove(conn, "before_cursor_execute", note)
    word = "EXPLAIN QUERY PLAN " if conn.dialect.name == "sqlite" else "EXPLAIN "
    return [
        f"{statement}\n"
        + "\n".join(str(tuple(line)) for line in conn.exec_driver_sql(word + statement, parameters))
        for statement, parameters in asked
    ]


def is_scan(plan: str) -> bool:
    """Tell whether a plan reads the table from one end to the other."""
    _, _, lines = plan.partition("\n")
    return any(mark in lines for mark in ("Seq Scan", "'ALL'", "SCAN mih_queue'", ", 'index', "))
