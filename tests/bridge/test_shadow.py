"""A rule in the shadow: everything happens but the sending."""

from typing import Any

import pytest
from sqlalchemy import func, select

from sidecar.store import counts
from sidecar.store.tables import dlq, queue
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.rows import insert_rows, log_row

VIEWED: dict[str, Any] = {"name": "views", "event": r"\core\event\course_viewed"}


def after_reading(campus: Campus, *rows: dict[str, Any]) -> dict[str, int]:
    """Return what the tail counts of these rows."""
    tail = campus.tail()
    tail.run_once()
    insert_rows(campus.moodle.url.render_as_string(hide_password=False), rows)
    while tail.run_once().more:
        pass
    with campus.store.read() as conn:
        return {what: n for _, what, n in counts.totals(conn, since=campus.clock.now())}


def left(campus: Campus) -> tuple[int, int]:
    with campus.store.read() as conn:
        found = [conn.execute(select(func.count()).select_from(table)).scalar_one() for table in (queue, dlq)]
    return found[0], found[1]


def test_a_matching_row_is_counted_and_not_queued(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "state": "shadow", "where": {"courseid": 2}})

    counted = after_reading(campus, log_row(courseid=2), log_row(courseid=2), log_row(courseid=3))

    assert counted == {"shadow": 2, "where": 1}
    assert left(campus) == (0, 0)


def test_a_row_that_cannot_be_rendered_is_counted_and_no_dead_letter(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "state": "shadow", "payload": '{"x": {{ 1 // objectid }}}'})

    counted = after_reading(campus, log_row(objectid=None), log_row(objectid=1))

    assert counted == {"shadow": 1, "shadow_failed": 1}
    assert left(campus) == (0, 0)


@pytest.mark.parametrize("switch", [{"state": "off"}, {"enabled": False}, {"enabled": False, "state": "on"}])
def test_a_rule_that_is_off_matches_nothing(make_campus: MakeCampus, switch: dict[str, Any]) -> None:
    campus = make_campus({**VIEWED, **switch})

    assert after_reading(campus, log_row()) == {}
    assert left(campus) == (0, 0)


def test_beside_it_another_rule_sends_the_same_row(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "state": "shadow"}, {**VIEWED, "name": "second", "state": "on"})

    counted = after_reading(campus, log_row())

    assert counted == {"shadow": 1, "queued": 1}
    assert left(campus) == (1, 0)
