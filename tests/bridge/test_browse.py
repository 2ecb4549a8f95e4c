"""Moodle's log page by page: found in bounded steps, and each row knows its deliveries."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from sidecar.bridge.browse import Page, Wanted, browse, interests
from sidecar.clock import FakeClock
from sidecar.model import Event, Held, delivery_id
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.rows import insert_rows, log_row

NOW = FakeClock().now()
VIEWED = r"\core\event\course_viewed"


def put(campus: Campus, *rows: dict[str, Any]) -> list[int]:
    return insert_rows(campus.moodle.url.render_as_string(hide_password=False), rows)


ALL = Wanted()


def page(campus: Campus, wanted: Wanted = ALL, **where: Any) -> Page:
    with campus.moodle.read() as conn:
        return browse(conn, campus.log, wanted, clock=campus.clock, **where)


def ids(events: Sequence[Event]) -> list[int]:
    return [event.id for event in events]


def test_real_rows_come_newest_first_and_page_by_page_without_a_gap(make_campus: MakeCampus) -> None:
    campus = make_campus()
    seen: list[int] = []
    before = None

    while True:
        found = page(campus, before=before, limit=100)
        seen += ids(found.events)
        if found.next is None:
            break
        before = found.next

    with campus.moodle.read() as conn:
        there = [row.id for row in campus.log.rows(conn, 0, 10**9, None, 10_000)]
    assert seen == there[::-1]


@pytest.mark.parametrize("name", [r"\x\event\thing_made", r"\x\event\*", "thing_made"])
def test_events_are_found_by_name_pattern_or_a_part(make_campus: MakeCampus, name: str) -> None:
    campus = make_campus()
    made, _ = put(campus, log_row(eventname=r"\x\event\thing_made"), log_row())

    assert ids(page(campus, Wanted(event=name)).events) == [made]


def test_rows_are_found_by_user_course_and_time(make_campus: MakeCampus) -> None:
    campus = make_campus()
    early = int((NOW - timedelta(days=2)).timestamp())
    mine, theirs, old = put(
        campus,
        log_row(userid=70_001, courseid=80_001),
        log_row(userid=70_002, courseid=80_001),
        log_row(userid=70_001, courseid=80_002, timecreated=early),
    )

    assert ids(page(campus, Wanted(user=70_001)).events) == [old, mine]
    assert ids(page(campus, Wanted(course=80_001)).events) == [theirs, mine]
    assert ids(page(campus, Wanted(user=70_001, since=NOW)).events) == [mine]
    assert ids(page(campus, Wanted(user=70_001, until=NOW)).events) == [old]


def test_anonymous_rows_are_masked_and_not_found_by_their_user(make_campus: MakeCampus) -> None:
    campus = make_campus()
    (number,) = put(campus, log_row(userid=70_001, anonymous=1, ip="10.9.8.7"))

    shown = page(campus, limit=1).events[0]

    assert (shown.id, shown.userid, shown.ip) == (number, None, None)
    assert page(campus, Wanted(user=70_001)).events == []


def test_a_search_in_vain_gives_up_and_says_where_to_go_on(make_campus: MakeCampus) -> None:
    campus = make_campus()
    (wanted,) = put(campus, log_row(eventname=r"\x\event\rare"))
    put(campus, *(log_row(id=wanted + step * 2_500) for step in range(1, 13)))

    first = page(campus, Wanted(event="rare"))
    second = page(campus, Wanted(event="rare"), before=first.next)

    assert first.events == []
    assert first.next is not None
    assert first.looked_at == 20_000
    assert ids(second.events) == [wanted]


def test_a_wide_hole_in_the_ids_is_jumped_over(make_campus: MakeCampus) -> None:
    campus = make_campus()
    (low,) = put(campus, log_row(eventname=r"\x\event\rare"))
    put(campus, log_row(id=10**12))

    found = page(campus, Wanted(event="rare"))

    assert ids(found.events) == [low]


@pytest.mark.parametrize("other", ["{broken", 'O:3:"Foo":0:{}', "N;", "[]", '{"sessionid": "s3cr3t"}'])
def test_rows_that_nobody_can_decode_are_shown_all_the_same(make_campus: MakeCampus, other: str) -> None:
    campus = make_campus()
    (number,) = put(campus, log_row(other=other, timecreated=10**17))

    shown = page(campus, limit=1).events[0]

    assert shown.id == number
    assert "s3cr3t" not in repr(shown)


def test_each_row_tells_which_rules_want_it_and_what_they_made(make_campus: MakeCampus) -> None:
    campus = make_campus(
        {"name": "here", "event": VIEWED, "where": {"courseid": 2}},
        {"name": "elsewhere", "event": VIEWED, "where": {"courseid": 99}},
        {"name": "picky", "event": VIEWED, "when": "userid == 0"},
        {"name": "asleep", "event": VIEWED, "state": "off"},
    )
    tail = campus.tail()
    tail.run_once()
    (number,) = put(campus, log_row(courseid=2))
    tail.run_once()

    event = page(campus, limit=1).events[0]
    with campus.store.read() as conn:
        found = {one.rule: one for one in interests(conn, campus.known.book, [event])[number]}

    made = found["here"].made
    assert made
    assert (made.delivery_id, made.state) == (delivery_id("campus", "here", number), "pending")
    assert (found["elsewhere"].held, found["elsewhere"].made) == (Held.WHERE, None)
    assert (found["picky"].held, found["picky"].made) == (None, None)
    assert found["asleep"].state == "off"
