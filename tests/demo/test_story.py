"""What happens on the campus: rows that Moodle could have written, in the mix of the real logs."""

import json
import re
from collections import Counter
from importlib.resources import files
from random import Random

import pytest

from sidecar.demo.cast import Cast
from sidecar.demo.kinds import ANSWER, JOIN, LEAVE, LOGIN, PLOTS, LogRow, load_kinds
from sidecar.demo.story import Act, Story

_AT = 1_772_438_400


def _story(seed: int = 1) -> Story:
    dice = Random(seed)
    return Story(dice, Cast(dice))


def _column_types() -> dict[str, str]:
    schema = files("sidecar.demo").joinpath("moodle.sql").read_text(encoding="utf-8")
    table = re.search(r"CREATE TABLE mdl_logstore_standard_log \((.*?)\n\);", schema, re.DOTALL)
    assert table is not None
    return dict(re.findall(r"^  (\w+) (.+?),?$", table[1], re.MULTILINE))


def _problems(row: LogRow, types: dict[str, str]) -> list[str]:
    found = []
    for name in LogRow.__dataclass_fields__:
        value, kind = getattr(row, name), types[name]
        length = re.match(r"varchar\((\d+)\)", kind)
        if value is None and "NOT NULL" in kind:
            found.append(f"{name} is null")
        elif value is not None and isinstance(value, int) != kind.startswith("INTEGER"):
            found.append(f"{name} is {value!r}, not {kind}")
        elif value is not None and length and len(value) > int(length[1]):
            found.append(f"{name} is longer than {length[1]}")
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_row_fits_the_columns_of_moodles_log(seed: int) -> None:
    story, types = _story(seed), _column_types()

    rows = [row for _ in range(500) for row in story.next(_AT).rows]

    assert len(rows) > 500
    assert [problem for row in rows for problem in _problems(row, types)] == []


def test_the_mix_of_events_is_that_of_the_real_logs() -> None:
    story, kinds = _story(), load_kinds()
    real_rows = sum(kind.seen for kind in kinds.values())

    seen = Counter(row.eventname for _ in range(4_000) for row in story.next(_AT).rows)

    assert set(seen) == {name for name, kind in kinds.items() if kind.seen}
    for name, kind in kinds.items():
        assert seen[name] / seen.total() == pytest.approx(kind.seen / real_rows, abs=0.015), name


def test_all_kinds_of_the_real_logs_happen_in_some_plot() -> None:
    told = {event for plot in (*PLOTS, ANSWER) for event in plot.events}

    assert told == set(load_kinds())


def test_same_seed_tells_the_same_story() -> None:
    first, again, other = _story(7), _story(7), _story(8)

    told = [first.next(_AT) for _ in range(200)]

    assert [again.next(_AT) for _ in range(200)] == told
    assert [other.next(_AT) for _ in range(200)] != told


def test_who_joins_is_the_one_that_the_row_speaks_of() -> None:
    act = _story().tell(JOIN, _AT)

    assert act.joined is not None
    created = act.rows[-1]
    assert created.eventname == r"\core\event\user_created"
    assert (created.objectid, created.relateduserid, created.contextid) == (
        act.joined.id,
        act.joined.id,
        act.joined.contextid,
    )


def test_login_and_logout_carry_what_moodle_writes_into_other() -> None:
    login, _, logout = _story().tell(LOGIN, _AT).rows

    assert json.loads(login.other)["username"] == f"u{login.userid:05}"
    assert re.fullmatch(r"[0-9a-v]{26}", json.loads(logout.other)["sessionid"])
    assert (login.origin, login.userid) == ("web", logout.userid)


def test_feedback_is_anonymous_but_names_its_user_as_moodle_does() -> None:
    (row,) = _story().tell(ANSWER, _AT).rows

    assert row.anonymous == 1
    assert row.userid >= 3


def test_restored_rows_are_old_and_have_no_origin() -> None:
    act = _story().restored(_AT)

    assert {(row.timecreated, row.origin, row.ip) for row in act.rows} == {(_AT - 63_072_000, None, None)}


def test_campus_is_never_deserted() -> None:
    dice = Random(1)
    cast = Cast(dice)
    story = Story(dice, cast)

    acts: list[Act] = [story.tell(LEAVE, _AT) for _ in range(40)]

    assert len(cast.people) == 3
    assert sum(act.left is not None for act in acts) == 9
