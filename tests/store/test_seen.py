"""Which events a real Moodle writes and what they carry; and from a time to an id without walking the log."""

from collections.abc import Iterator

import pytest

from sidecar.clock import FakeClock
from sidecar.moodle.catalogue import EventKind, catalogue
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.seen import Fields, Lookout, fields_of
from sidecar.moodle.timeline import id_before
from sidecar.store.engine import Database as Opened
from tests.databases import Database
from tests.rows import insert_rows, log_row

CREATED = r"\core\event\user_created"


@pytest.fixture
def moodle(moodle_db: Database) -> Iterator[Opened]:
    opened = Opened(moodle_db.url)
    yield opened
    opened.close()


def fields(moodle: Opened, name: str) -> Fields:
    with moodle.read() as conn:
        return fields_of(conn, LogStore(), name)


def test_a_name_is_said_in_words() -> None:
    kind = EventKind.of(r"\mod_quiz\event\attempt_submitted")

    assert (kind.component, kind.title) == ("mod_quiz", "attempt submitted")
    assert EventKind.of("nonsense").title == "nonsense"
    assert len(catalogue()) == 603


def test_events_that_were_seen_come_first_with_their_counts(moodle: Opened, clock: FakeClock) -> None:
    with moodle.read() as conn:
        sighting = Lookout(LogStore(), clock).look(conn)
        query = (
            "SELECT count(*) FROM mdl_logstore_standard_log WHERE eventname LIKE '%user|_created' ESCAPE '|'"
        )
        there = conn.exec_driver_sql(
            query.replace("%", "%%" if conn.dialect.name != "sqlite" else "%")
        ).scalar_one()

    found = sighting.find(CREATED)
    assert found[0].kind.name == CREATED
    assert (found[0].rows, found[0].known) == (there, True)
    assert [one.rows for one in sighting.events] == sorted(
        (one.rows for one in sighting.events), reverse=True
    )
    assert CREATED in {one.kind.name for one in sighting.find("Created USER")}
    assert len(sighting.find()) == 603
    assert sighting.find("no such thing") == []


def test_it_looks_again_after_five_minutes_only(
    moodle: Opened, moodle_db: Database, clock: FakeClock
) -> None:
    lookout = Lookout(LogStore(), clock)
    with moodle.read() as conn:
        lookout.look(conn)
    insert_rows(moodle_db.url, [log_row(eventname=r"\local_shop\event\sold")])
    with moodle.read() as conn:
        soon = lookout.look(conn)
        clock.advance(301)
        later = lookout.look(conn)

    assert soon.find("sold") == []
    assert [(one.kind.component, one.known) for one in later.find("sold")] == [("local_shop", False)]


def test_the_fields_that_an_event_had_are_named_as_templates_name_them(
    moodle: Opened, moodle_db: Database
) -> None:
    name = r"\x\event\y"
    insert_rows(
        moodle_db.url,
        [
            log_row(eventname=name, other='{"a": {"b": 1}, "with-dash": "x", "list": [1]}', objectid=None),
            log_row(eventname=name, other='{"a": {"b": 2.5}, "it\'s": null}', objectid=5),
            log_row(eventname=name, other="{broken"),
        ],
    )

    found = {one.name: one for one in fields(moodle, name).fields}

    assert found["objectid"].rows == 1
    assert found["other.a.b"].kinds == ("number",)
    assert found["other.a.b"].samples == ("2.5", "1")
    assert found["other['with-dash']"].samples == ("x",)
    assert found[r"other['it\'s']"].rows == 0
    assert found["other.list"].kinds == ("list",)


def test_persons_of_anonymous_rows_are_no_samples(moodle: Opened, moodle_db: Database) -> None:
    insert_rows(moodle_db.url, [log_row(eventname=r"\x\event\y", anonymous=1, userid=4711, ip="10.9.8.7")])

    assert "4711" not in repr(fields(moodle, r"\x\event\y"))
    assert "10.9.8.7" not in repr(fields(moodle, r"\x\event\y"))


def test_an_event_that_was_never_written_has_no_fields(moodle: Opened) -> None:
    assert fields(moodle, r"\x\event\never") == Fields(0, ())


def test_fields_of_a_huge_row_are_bounded(moodle: Opened, moodle_db: Database) -> None:
    many = ", ".join(f'"k{number}": {number}' for number in range(5_000))
    insert_rows(moodle_db.url, [log_row(eventname=r"\x\event\y", other=f"{{{many}}}")])

    assert len(fields(moodle, r"\x\event\y").fields) == 200


def test_no_row_since_a_time_is_below_its_id(moodle: Opened, moodle_db: Database) -> None:
    begin = int(log_row()["timecreated"])
    numbers = insert_rows(
        moodle_db.url, [log_row(id=1_000 + n, timecreated=begin + n) for n in range(0, 40_000, 4)]
    )

    with moodle.read() as conn:
        below = id_before(conn, LogStore(), begin + 20_000)

    first = numbers[5_000]
    assert first - 4_000 < below < first


def test_rows_of_a_restored_course_do_not_mislead_it(moodle: Opened, moodle_db: Database) -> None:
    begin = int(log_row()["timecreated"])
    rows = [log_row(id=1_000 + n, timecreated=begin + n) for n in range(4_000)]
    old = [log_row(id=5_000 + n, timecreated=begin - 10**8, origin=None) for n in range(4_000)]
    after = [log_row(id=9_000 + n, timecreated=begin + 4_000 + n) for n in range(4_000)]
    insert_rows(moodle_db.url, [*rows, *old, *after])

    with moodle.read() as conn:
        assert id_before(conn, LogStore(), begin + 3_900) < 4_900


def test_in_an_empty_log_there_is_nothing_before(moodle: Opened, moodle_db: Database) -> None:
    with moodle.write() as conn:
        conn.exec_driver_sql("DELETE FROM mdl_logstore_standard_log")

    with moodle.read() as conn:
        assert id_before(conn, LogStore(), 0) == 0
