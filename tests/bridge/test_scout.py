"""The piece of the log that is read ahead: used only where it is what would be read now."""

from pathlib import Path

import pytest
from sqlalchemy import select

from sidecar.bridge.harvest import Harvester
from sidecar.store import cursors
from sidecar.store.tables import queue
from tests.bridge.conftest import MakeCampus
from tests.build import Campus, loaded

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

AHEAD = {"start": "beginning", "batch": 50}
EVERYTHING = {"name": "all", "event": "*", "max_event_age": "none", "endpoint": "/old"}


def queued(campus: Campus) -> list[tuple[int, str]]:
    with campus.store.read() as conn:
        rows = conn.execute(select(queue.c.log_id, queue.c.endpoint).order_by(queue.c.log_id))
        return [(row.log_id, row.endpoint) for row in rows]


def test_rules_that_change_meanwhile_hold_for_what_was_read_ahead(
    make_campus: MakeCampus, tmp_path: Path
) -> None:
    campus = make_campus(EVERYTHING, tail=AHEAD)
    tail = campus.tail()
    assert tail.run_once().more

    url = campus.moodle.url.render_as_string(False)
    new = loaded(tmp_path, url, rules=[{**EVERYTHING, "endpoint": "/new"}], tail=AHEAD)
    tail.harvester = Harvester(new.settings, new.book)
    tail.run_once()

    endpoints = [endpoint for _, endpoint in queued(campus)]
    assert endpoints == ["/old"] * 50 + ["/new"] * 50


def test_cursor_that_is_put_elsewhere_meanwhile_is_followed(make_campus: MakeCampus) -> None:
    campus = make_campus(EVERYTHING, tail=AHEAD)
    tail = campus.tail()
    tail.run_once()

    with campus.store.write() as conn:
        cursors.place(conn, "campus", 300, now=campus.clock.now())
    while not tail.run_once().tailing:
        pass

    assert [number for number, _ in queued(campus)] == [*range(1, 51), *range(301, 351)]


def test_a_gentle_tail_reads_nothing_ahead(make_campus: MakeCampus, monkeypatch: pytest.MonkeyPatch) -> None:
    campus = make_campus(EVERYTHING, tail=AHEAD)
    tail = campus.tail()
    started: list[str] = []
    monkeypatch.setattr("sidecar.bridge.scout.threading.Thread.start", lambda it: started.append(it.name))

    while tail.run_once(gently=True).more:
        pass

    assert "scout" not in started
    assert [number for number, _ in queued(campus)][:60] == list(range(1, 61))
