"""The campus in its file: Moodle's tables, ids in Moodle's manner, and what the sidecar finds there."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from sidecar.demo.campus import Campus
from sidecar.demo.cast import Cast
from sidecar.demo.kinds import COURSE, ENROL, JOIN, VIEW
from sidecar.demo.story import Story
from sidecar.moodle import site
from sidecar.store.engine import Database

_AT = 1_772_438_400


class _Parts:
    """A founded campus, and a story to fill it with."""

    def __init__(self, path: Path) -> None:
        dice = Random(1)
        cast = Cast(dice)
        self.path, self.campus, self.story = path, Campus(path), Story(dice, cast)
        self.campus.found(cast, _AT)

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute(query).fetchall()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[_Parts]:
    made = _Parts(tmp_path / "moodle.sqlite")
    yield made
    made.campus.close()


def test_doctor_finds_a_moodle_with_its_log_store_enabled(parts: _Parts) -> None:
    database = Database(f"sqlite:///{parts.path}")

    with database.read() as conn:
        facts = site.facts(conn, "mdl_")

    database.close()
    assert facts.release.value == "4.5.6 (Build: 20250811)"
    assert facts.log_stores.value == ("logstore_standard",)
    assert facts.jsonformat.value is True


def test_ids_go_on_without_holes(parts: _Parts) -> None:
    act = parts.story.tell(ENROL, _AT)

    first, second = parts.campus.commit(act), parts.campus.commit(act)

    assert (list(first), list(second)) == ([1, 2, 3], [4, 5, 6])
    assert parts.campus.rows == 6


def test_drawn_ids_stay_a_hole_until_their_act_comes_late(parts: _Parts) -> None:
    view, enrol = parts.story.tell(VIEW, _AT), parts.story.tell(ENROL, _AT)
    ids = parts.campus.draw(3)
    parts.campus.commit(view)
    assert parts.ask("SELECT id FROM mdl_logstore_standard_log") == [(4,)]

    in_time = parts.campus.commit_late(ids, enrol, lambda: True)

    assert in_time
    assert parts.ask("SELECT id FROM mdl_logstore_standard_log ORDER BY id") == [(1,), (2,), (3,), (4,)]
    assert list(parts.campus.commit(view)) == [5]


def test_act_that_is_not_in_time_any_more_writes_nothing(parts: _Parts) -> None:
    ids = parts.campus.draw(3)

    in_time = parts.campus.commit_late(ids, parts.story.tell(ENROL, _AT), lambda: False)

    assert not in_time
    assert parts.ask("SELECT id FROM mdl_logstore_standard_log") == []


def test_failed_act_leaves_nothing_behind(parts: _Parts) -> None:
    act = parts.story.tell(JOIN, _AT)
    parts.campus.commit(act)
    people = parts.ask("SELECT count(*) FROM mdl_user")

    with pytest.raises(sqlite3.IntegrityError):
        parts.campus.commit(act)

    assert parts.ask("SELECT count(*) FROM mdl_user") == people
    assert list(parts.campus.commit(parts.story.tell(VIEW, _AT))) == [3]


def test_every_row_speaks_of_people_courses_and_contexts_that_are_there(parts: _Parts) -> None:
    for plot in (JOIN, COURSE):
        parts.campus.commit(parts.story.tell(plot, _AT))

    for _ in range(300):
        parts.campus.commit(parts.story.next(_AT))

    log = "FROM mdl_logstore_standard_log l WHERE"
    assert parts.ask(f"SELECT * {log} userid > 0 AND userid NOT IN (SELECT id FROM mdl_user)") == []
    assert parts.ask(f"SELECT * {log} relateduserid NOT IN (SELECT id FROM mdl_user)") == []
    assert parts.ask(f"SELECT * {log} courseid > 0 AND courseid NOT IN (SELECT id FROM mdl_course)") == []
    contexts = "SELECT id, contextlevel, instanceid FROM mdl_context"
    assert parts.ask(f"SELECT * {log} (contextid, contextlevel, contextinstanceid) NOT IN ({contexts})") == []
