"""Gaps that are many: logs that use every other id, and rows that appear where they were given up."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from sqlalchemy import Connection, Engine, delete, event, func, select

from sidecar.bridge import sight
from sidecar.bridge.tail import Tail
from sidecar.clock import FakeClock
from sidecar.model import Level
from sidecar.moodle.proof import Method, Proof
from sidecar.store import counts, gaps, watch
from sidecar.store import tables as t
from tests.bridge.conftest import MakeCampus
from tests.bridge.test_tail import queued_ids
from tests.build import Campus
from tests.databases import Database
from tests.rows import LOG, insert_rows, log_row

VIEWED = {"name": "views", "event": r"\core\event\course_viewed", "max_event_age": "none"}
OTHER = r"\core\event\other"


def head_of(campus: Campus) -> int:
    with campus.moodle.read() as conn:
        return campus.log.head(conn) or 0


def open_gaps(campus: Campus) -> int:
    with campus.store.read() as conn:
        return conn.execute(select(func.count()).where(t.gaps.c.state == gaps.OPEN)).scalar_one()


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collect the statements about Moodle's log."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "logstore" in statement:
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
def patient(make_campus: MakeCampus) -> Campus:
    """A campus whose tail can prove nothing, as on a Galera cluster: only patience ends a gap."""
    return make_campus(VIEWED, tail={"gap_patience": 3600})


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_log_that_uses_every_third_id_is_few_gaps_and_loses_no_late_row(
    patient: Campus, moodle_db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_nothing(monkeypatch)
    tail = patient.tail()
    tail.run_once()
    head = head_of(patient)
    insert_rows(moodle_db.url, [log_row(id=head + 3 * n, eventname=OTHER) for n in range(1, 2001)])

    while tail.run_once().more:
        pass
    assert open_gaps(patient) == 1
    late = [head + 4, head + 2999, head + 5999]
    insert_rows(moodle_db.url, [log_row(id=id_) for id_ in late])
    tail.run_once()

    assert queued_ids(patient) == late
    with patient.store.read() as conn:
        assert gaps.missing(conn, "campus").ids_open == 4000 - 3


def test_a_trickle_on_every_other_id_stays_a_few_gaps_and_a_few_queries(
    patient: Campus, moodle_db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_nothing(monkeypatch)
    tail = patient.tail()
    tail.run_once()
    head = head_of(patient)

    for step in range(150):
        rows = [log_row(id=head + step * 10 + 2 * n, eventname=OTHER) for n in range(1, 6)]
        insert_rows(moodle_db.url, rows)
        clock.advance(10)
        tail.run_once()

    assert open_gaps(patient) < 250
    clock.advance(1)
    with watched() as statements:
        tail.run_once()
    assert len(statements) <= 4


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize("ids", [[100_000], [2 * n for n in range(1, 3001)]], ids=["a large gap", "strides"])
def test_what_is_missing_costs_less_than_a_second_poll(
    patient: Campus, moodle_db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, ids: list[int]
) -> None:
    prove_nothing(monkeypatch)
    tail = patient.tail()
    tail.run_once()

    idle = cost_of_a_minute(tail, clock)
    head = head_of(patient)
    insert_rows(moodle_db.url, [log_row(id=head + number, eventname=OTHER) for number in ids])
    while tail.run_once().more:
        pass
    missing = cost_of_a_minute(tail, clock)

    assert open_gaps(patient) >= 1
    assert idle >= 120
    assert missing < 2 * idle


def cost_of_a_minute(tail: Tail, clock: FakeClock) -> int:
    """Return how many statements about the log two polls a second come to."""
    with watched() as statements:
        for _ in range(120):
            clock.advance(0.5)
            tail.run_once()
    return len(statements)


def test_a_row_in_a_gap_that_was_given_up_is_delivered_and_counted_as_late(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_nothing(monkeypatch)
    campus = make_campus(VIEWED, tail={"gap_patience": 60})
    tail = campus.tail()
    tail.run_once()
    head = head_of(campus)
    insert_rows(moodle_db.url, [log_row(id=head + 10, eventname=OTHER)])
    tail.run_once()
    for _ in range(10):
        clock.advance(10)
        tail.run_once()
    assert open_gaps(campus) == 0

    insert_rows(moodle_db.url, [log_row(id=head + 5)])
    clock.advance(600)
    tail.run_once()

    assert queued_ids(campus) == [head + 5]
    with campus.store.read() as conn:
        listed = [
            (one.gap.first_id - head, one.gap.last_id - head) for one in gaps.closed(conn, "campus", limit=9)
        ]
        totals = counts.totals(conn, since=clock.now().replace(year=2000))
    assert sorted(listed) == [(1, 4), (6, 9)]
    assert ("views", counts.LATE, 1) in totals


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_rows_that_moodle_deleted_before_they_were_read_are_told(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    campus = make_campus(VIEWED)
    tail = campus.tail()
    tail.run_once()
    head = head_of(campus)
    numbers = insert_rows(moodle_db.url, [log_row() for _ in range(5)])

    with campus.store.write() as conn:
        conn.execute(delete(LOG).where(LOG.c.id <= numbers[2]))
    tail.run_once()

    assert queued_ids(campus) == numbers[3:]
    assert f"tail.overtaken site=campus from={head + 1} to={numbers[2]}" in caplog.text
    with campus.store.read() as conn:
        told = watch.load(conn, "campus")["cleanup"]
    assert (told.level, told.code) == (Level.ILL, "cleanup_overtook")
    assert told.detail == {"first": numbers[3], "position": head}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_hole_at_the_cursor_alone_is_no_cleanup(
    make_campus: MakeCampus, moodle_db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    campus = make_campus(VIEWED)
    tail = campus.tail()
    tail.run_once()

    insert_rows(moodle_db.url, [log_row(id=head_of(campus) + 3)])
    tail.run_once()

    assert "tail.overtaken" not in caplog.text


def prove_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the proofs away: as where the database is one node of several."""

    def blind(conn: Connection, now: datetime) -> Proof:
        return Proof(Method.PATIENCE, now, now, None, "This is a Galera cluster.")

    monkeypatch.setattr(sight, "horizon", blind)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_while_there_is_much_to_read_young_gaps_are_asked_for_four_times_a_second(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock
) -> None:
    campus = make_campus(VIEWED, tail={"window": 100})
    tail = campus.tail()
    tail.run_once()
    head = head_of(campus)
    insert_rows(moodle_db.url, [log_row(id=head + n, eventname=OTHER) for n in range(2, 400)])
    tail.run_once()
    insert_rows(moodle_db.url, [log_row(id=head + 1)])

    assert tail.run_once().more
    assert queued_ids(campus) == []
    clock.advance(0.25)

    assert tail.run_once().more
    assert queued_ids(campus) == [head + 1]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_round_that_has_read_all_asks_for_every_young_gap(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock
) -> None:
    campus = make_campus(VIEWED, tail={"window": 100})
    tail = campus.tail()
    tail.run_once()
    head = head_of(campus)
    insert_rows(moodle_db.url, [log_row(id=head + n, eventname=OTHER) for n in range(2, 200)])
    tail.run_once()
    insert_rows(moodle_db.url, [log_row(id=head + 1)])

    assert not tail.run_once().more
    assert queued_ids(campus) == [head + 1]
