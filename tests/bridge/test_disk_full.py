"""A full disk under SQLite: the work stands still, says why, and goes on when there is room."""

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from sidecar.store.faults import explain
from sidecar.store.tables import queue
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.databases import Database
from tests.rows import insert_rows, log_row


def limit_pages(campus: Campus, pages: int) -> None:
    """Let the database file have this many pages at most: SQLite then reports what a full disk is."""
    campus.store.close()
    engine = campus.store._writer
    event.listen(engine, "connect", lambda conn, _: conn.execute(f"PRAGMA max_page_count = {pages}"))


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_full_disk_stops_the_tail_without_losing_a_row(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus({"name": "all", "event": r"\core\event\course_viewed"}, tail={"batch": 100})
    tail = campus.tail()
    tail.run_once()
    numbers = insert_rows(moodle_db.url, [log_row(other='{"x":"' + "y" * 3000 + '"}') for _ in range(300)])
    limit_pages(campus, 1)  # SQLite takes this as: no more than there are now

    with pytest.raises(OperationalError) as full:
        tail.run_once()
    assert "disk is full" in explain(full.value, "the store")

    limit_pages(campus, 1_000_000)
    while tail.run_once().more:
        pass
    with campus.store.read() as conn:
        assert list(conn.execute(select(queue.c.log_id).order_by(queue.c.log_id)).scalars()) == numbers
