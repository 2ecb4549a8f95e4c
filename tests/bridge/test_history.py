"""How often a rule would have matched: by the hour, within bounds, and honest about where it ended."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sidecar.bridge.history import Bounds, History, Stop, history, last
from sidecar.bridge.match import compile_one
from sidecar.clock import FakeClock
from sidecar.settings.draft import draft_rule
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.rows import insert_rows, log_row

EVENT = r"\x\event\y"
NOW = FakeClock().now()


WEEK = Bounds()


def looked(campus: Campus, *, bounds: Bounds = WEEK, **values: Any) -> list[History]:
    settings = campus.known.settings
    rule = draft_rule({"name": "r", "event": EVENT, "service": "crm", **values}, settings.services)
    with campus.moodle.read() as conn:
        pieces = history(
            conn, settings, compile_one(rule, settings), log=campus.log, clock=campus.clock, bounds=bounds
        )
        return list(pieces)


def put(campus: Campus, *rows: dict[str, Any]) -> list[int]:
    return insert_rows(campus.moodle.url.render_as_string(hide_password=False), rows)


def row(ago: timedelta, **changes: Any) -> dict[str, Any]:
    return log_row(eventname=EVENT, timecreated=int((NOW - ago).timestamp()), **changes)


def hour(ago: int) -> datetime:
    return NOW - timedelta(hours=ago)


def test_rows_are_counted_by_the_hour_and_by_what_became_of_them(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(
        campus,
        row(timedelta(days=8)),
        row(timedelta(hours=2), courseid=2),
        row(timedelta(hours=2), courseid=2, userid=9),
        row(timedelta(hours=1), courseid=3),
        row(timedelta(minutes=59), courseid=2, objectid=1),
    )

    found = looked(
        campus, where={"courseid": 2}, when="userid == 4", payload='{"x": {{ 1 // (objectid or 0) }}}'
    )[-1]

    assert found.done
    assert found.stopped is None
    assert found.back_to == NOW - timedelta(days=7)
    assert found.hours == {hour(2): {"failed": 1, "when": 1}, hour(1): {"where": 1, "matched": 1}}
    assert found.totals == {"failed": 1, "when": 1, "where": 1, "matched": 1}


def test_a_rule_that_is_off_or_in_the_shadow_is_tried_as_if_it_were_on(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, row(timedelta(hours=1)))

    assert looked(campus, state="off")[-1].totals == {"matched": 1}
    assert looked(campus, state="shadow")[-1].totals == {"matched": 1}


def test_age_holds_nothing_back(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, row(timedelta(days=3)))

    assert looked(campus, max_event_age="1h")[-1].totals == {"matched": 1}


def test_rows_beyond_the_bound_are_left_and_it_says_until_when_it_knows(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, *(row(timedelta(hours=ago)) for ago in (5, 4, 3, 2, 1)))

    found = looked(campus, bounds=Bounds(rows=3))[-1]

    assert found.stopped is Stop.ROWS
    assert found.totals == {"matched": 3}
    assert found.back_to > hour(4)


def test_it_ends_when_its_time_is_over(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, row(timedelta(hours=1)))

    found = looked(campus, bounds=Bounds(seconds=0))[-1]

    assert found.stopped is Stop.SECONDS
    assert found.back_to > found.since


def test_what_is_known_comes_in_pieces_and_can_be_stopped(make_campus: MakeCampus) -> None:
    campus = make_campus()
    first, *_ = put(campus, row(timedelta(hours=2)))
    put(campus, row(timedelta(hours=1), id=first + 20_000))
    settings = campus.known.settings
    rule = draft_rule({"name": "r", "event": EVENT, "service": "crm"}, settings.services)

    with campus.moodle.read() as conn:
        pieces = history(conn, settings, compile_one(rule, settings), log=campus.log, clock=campus.clock)
        (one,) = islice(pieces, 1)
        rest = last(pieces)

    assert not one.done
    assert one.totals == {"matched": 1}
    assert rest.totals == {"matched": 2}


def test_old_rows_of_a_restored_course_do_not_hide_what_is_before_them(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(campus, row(timedelta(days=2)))
    old = [row(timedelta(days=900), origin=None, ip=None) for _ in range(3_000)]
    put(campus, *old)
    put(campus, row(timedelta(hours=1)))

    assert looked(campus)[-1].totals == {"matched": 2}


def test_rows_of_impossible_times_and_broken_data_do_no_harm(make_campus: MakeCampus) -> None:
    campus = make_campus()
    put(
        campus,
        *(log_row(eventname=EVENT, timecreated=moment) for moment in (-1, 0, 10**17)),
        row(timedelta(hours=1), other="{broken"),
    )

    assert looked(campus, payload='{"id": {{ id }}}')[-1].totals == {"matched": 1}
    assert looked(campus, payload='{"o": {{ other.x }}}')[-1].totals == {"failed": 1}


def test_an_empty_log_is_no_history(make_campus: MakeCampus) -> None:
    found = looked(make_campus())[-1]

    assert (found.done, found.totals, found.rows) == (True, {}, 0)
