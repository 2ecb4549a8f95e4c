"""Every query of every page finds its rows by an index, on MariaDB and PostgreSQL."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from benchmarks import pages
from sidecar.clock import FakeClock
from sidecar.store import audit
from sidecar.store.engine import Database as Store
from sidecar.web.pages.register import tabs
from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.web.conftest import Enter, MakeSite, Site

# What grows without end; the others have as many rows as there are services, rules, processes, people.
GROWING = re.compile(r"\b(mih_(?:queue|log|dlq|audit|stats|counts)|mdl_logstore_standard_log)\b")
# What was given up and waits for somebody is grouped by an index alone.
ALL_OF_AN_INDEX = {"mih_dlq"}
# A service has tens of thousands of tries: what is sorted is read whole before. A piece of the numbers may
# be sorted, and what one delivery has.
NEVER_SORTED = re.compile(r"\bmih_log\b")
FEW = re.compile(r"mih_log\.id > .+ AND mih_log\.id <= |mih_log\.delivery_id = ")
Asked = dict[str, Any]


@pytest.fixture
def database(moodle_db: Database) -> Database:
    return moodle_db


@pytest.fixture
def site(make_site: MakeSite, database: Database, clock: FakeClock) -> Site:
    insert_rows(database.url, [log_row(courseid=number % 90, userid=number % 70) for number in range(4_000)])
    made = make_site(
        services={name: {"base_url": f"https://{name}.example.org"} for name in pages.SERVICES},
        rules=[pages.rule(number) for number in range(20)],
    )
    pages.fill(made.store, pages.Size(tries=5_000, queued=20_000), now=clock.now())
    with made.store.write() as conn:
        for number in range(1_000):
            thing = f"service {pages.SERVICES[number % 50]}"
            who, action = f"user-{number % 30}", f"action-{number % 20}"
            audit.write(conn, who=who, via="api", action=action, object=thing, now=clock.now())
    with made.store.read() as conn:
        conn.execute(
            text(
                "ANALYZE TABLE mih_audit, mdl_logstore_standard_log"
                if made.store.dialect == "mysql"
                else "VACUUM ANALYZE"
            )
        )
    return made


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_every_query_of_every_page_uses_an_index(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")
    paths = [*(tab.path for tab in tabs()), *pages.MORE]
    paths += [
        "/audit?who=user-7",
        "/audit?action=action-7",
        "/dead-letters?within=1h",
        "/log?delivery=delivery-000000000007",
    ]

    with noted() as asked:
        answers = {path: browser.get(path).status_code for path in paths}
        for path in pages.PARTS:
            browser.get(path, **{"HX-Request": "true"})

    assert {path: status for path, status in answers.items() if status != 200} == {}
    assert len(asked) > 60
    assert [query for query, values in asked.items() if is_scanned(site.store, query, values)] == []
    assert [query for query, values in asked.items() if is_sorted(site.store, query, values)] == []


@contextmanager
def noted() -> Iterator[Asked]:
    """Yield the statements that are asked meanwhile of tables that grow, each with values of one time."""
    found: Asked = {}

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")) and GROWING.search(statement):
            found.setdefault(statement, values)

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


def is_scanned(store: Store, query: str, values: Any) -> bool:
    """Tell whether the plan may read a table that grows from one end to the other."""
    steps = plan(store, query, values)
    if store.dialect == "postgresql":
        return any(_is_whole_in_postgresql(step["node"]) for step in steps if GROWING.search(step["node"]))
    return any(_is_whole_in_mariadb(step) for step in steps if GROWING.fullmatch(str(step["table"])))


def is_sorted(store: Store, query: str, values: Any) -> bool:
    """Tell whether tries are sorted: then as many are read as a service ever had."""
    if not NEVER_SORTED.search(query) or FEW.search(query):
        return False
    steps = plan(store, query, values)
    if store.dialect == "postgresql":
        return any("Sort Key" in step["node"] for step in steps)
    return any("filesort" in step["Extra"] for step in steps if NEVER_SORTED.fullmatch(str(step["table"])))


def plan(store: Store, query: str, values: Any) -> list[Any]:
    """Return the steps of a plan."""
    with store.read() as conn:
        if store.dialect == "postgresql":
            # Of a few thousand rows a scan is cheaper: without it there is one only where no index fits.
            conn.execute(text("SET enable_seqscan = off"))
            lines = "\n".join(line for (line,) in conn.exec_driver_sql(f"EXPLAIN {query}", values))
            return [{"node": node} for node in lines.split("->")]
        return list(conn.exec_driver_sql(f"EXPLAIN {query}", values).mappings())


def _is_whole_in_postgresql(node: str) -> bool:
    # In the order of an index, past all that does not fit: the end of the page may be the end of the table.
    walks = "Index Scan" in node and "Filter:" in node and "Index Cond:" not in node
    return "Seq Scan" in node or walks


def _is_whole_in_mariadb(step: Any) -> bool:
    if step["table"] in ALL_OF_AN_INDEX and "Using index" in step["Extra"]:
        return False
    walks = step["type"] == "index" and ("Using where" in step["Extra"] or int(step["rows"]) > 1_000)
    return step["type"] == "ALL" or walks
