"""The ledger's page: what became of every row, what is missing in red, and queued by a button."""

import pytest
from sqlalchemy import delete

from sidecar.hub import Hub
from sidecar.store import tables
from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.web.conftest import Enter, MakeSite, Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
CREATED = r"\core\event\user_created"


@pytest.fixture
def read(make_site: MakeSite, moodle_db: Database) -> Site:
    """A site whose tail has read three rows that a rule wants."""
    site = make_site(moodle={"url": moodle_db.url})
    tail(site.hub)
    now = int(site.hub.clock.now().timestamp())
    insert_rows(moodle_db.url, [log_row(eventname=CREATED, timecreated=now) for _ in range(3)])
    tail(site.hub)
    return site


def tail(hub: Hub) -> None:
    while hub.tail.run_once().more:
        pass


def lose_one(site: Site) -> None:
    with site.store.write() as conn:
        lost = conn.execute(tables.queue.select()).first()
        assert lost is not None
        conn.execute(delete(tables.queue).where(tables.queue.c.id == lost.id))


def test_rows_that_are_all_there_leave_nothing_unaccounted(read: Site, enter: Enter) -> None:
    shown = enter(read, "view").get("/ledger?within=24h").text

    assert "0 rows are unaccounted for." in shown
    assert 'data-label="Waiting" class="n">3<' in shown


def test_a_lost_row_is_named_and_queued_again_by_who_manages(read: Site, enter: Enter) -> None:
    lose_one(read)
    viewer, manager = enter(read, "view"), enter(read, "manage")

    seen = viewer.get("/ledger?within=24h").text
    assert "1 row is unaccounted for." in seen
    assert "Queue what is missing" not in seen
    assert viewer.post("/ledger/repair", {"within": "24h"}).status_code == 403

    manager.get("/ledger")
    answer = manager.post("/ledger/repair", {"within": "24h"})

    assert answer.status_code == 303
    assert "1 row was queued." in manager.get("/ledger").text
    assert "0 rows are unaccounted for." in viewer.get("/ledger?within=24h").text


def test_a_time_without_rows_says_where_to_look(read: Site, enter: Enter) -> None:
    shown = enter(read, "view").get("/ledger?rule=no-such-rule&within=1h").text

    assert shown.count("<h1") == 1
    assert "0 rows are unaccounted for." in shown or "No rule named a row in this time." in shown
