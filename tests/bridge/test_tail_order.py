"""What the tail writes down of a rule whose deliveries have an order, or expire."""

from typing import Any

import pytest
from sqlalchemy import select

from sidecar.errors import ConfigError
from sidecar.store.tables import dlq, queue
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.rows import insert_rows, log_row

VIEWED = {"name": "views", "event": "*", "max_event_age": "none"}
only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def queued(campus: Campus, *rows: dict[str, Any]) -> list[Any]:
    """Let rows appear after the cursor, read them, and return what is queued."""
    tail = campus.tail()
    tail.run_once()
    url = campus.moodle.url.render_as_string(hide_password=False)
    insert_rows(url, [log_row(**row) for row in rows])
    while tail.run_once().more:
        pass
    with campus.store.read() as conn:
        return list(conn.execute(select(queue).order_by(queue.c.id)))


@pytest.mark.parametrize("order_by", ["courseid", "{{ courseid }}", "course {{ courseid }}", "courseid * 2"])
@only_sqlite
def test_rows_with_one_value_of_order_by_have_one_key(make_campus: MakeCampus, order_by: str) -> None:
    campus = make_campus({**VIEWED, "order_by": order_by})

    one, two, three = queued(campus, {"courseid": 7}, {"courseid": 8}, {"courseid": 7})

    assert one.order_key == three.order_key != two.order_key
    assert len(one.order_key) == 16


@only_sqlite
def test_key_is_that_of_one_rule_and_nothing_can_be_read_from_it(make_campus: MakeCampus) -> None:
    other = {**VIEWED, "name": "others", "order_by": "'Zoë ' ~ courseid"}
    campus = make_campus({**VIEWED, "order_by": "'Zoë ' ~ courseid"}, other)

    one, two = queued(campus, {"courseid": 7})

    assert one.order_key != two.order_key
    assert len(one.order_key) == 16


@pytest.mark.parametrize("value", ["relateduserid", "''", "{{ relateduserid }}"])
@only_sqlite
def test_row_without_a_value_has_no_order(make_campus: MakeCampus, value: str) -> None:
    campus = make_campus({**VIEWED, "order_by": value})

    (one,) = queued(campus, {"relateduserid": None})

    assert one.order_key is None


@only_sqlite
def test_masked_person_gives_no_key(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "order_by": "userid"})

    (one,) = queued(campus, {"userid": 5, "anonymous": 1})

    assert one.order_key is None


@only_sqlite
def test_row_on_which_order_by_fails_is_a_dead_letter(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "order_by": "courseid // 0"})

    (one,) = queued(campus, {"courseid": 7})

    with campus.store.read() as conn:
        (letter,) = conn.execute(select(dlq))
    assert one.state == "dead"
    assert letter.reason == "render"
    assert letter.error.startswith("order_by")


@pytest.mark.parametrize(
    ("order_by", "problem"),
    [("usrid", "order_by, line 1"), ("userid +", "order_by"), ("{{ userid", "order_by")],
)
@only_sqlite
def test_wrong_order_by_is_told_at_its_place(make_campus: MakeCampus, order_by: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_campus({**VIEWED, "order_by": order_by})

    assert problem in str(error.value)


def test_delivery_expires_so_long_after_it_was_queued(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "expires_after": "15m"}, {**VIEWED, "name": "lasting"})

    rows = queued(campus, {"timecreated": 1})

    expires = {row.rule: row.expires_at and (row.expires_at - row.created_at).total_seconds() for row in rows}
    assert expires == {"views": 900.0, "lasting": None}
