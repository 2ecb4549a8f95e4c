"""The tail on real logs: every matching row exactly once, whatever the order of commits and of processes."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, Row, create_engine, delete, select, text

from sidecar.clock import FakeClock
from sidecar.model import delivery_id
from sidecar.moodle.logstore import LogStore
from sidecar.store import counts, cursors, gaps
from sidecar.store.tables import dlq, queue
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.databases import Database
from tests.rows import LOG, insert_rows, log_row

VIEWED = {"name": "views", "event": r"\core\event\course_viewed"}
EVERYTHING = {"name": "all", "event": "*", "max_event_age": "none"}


def queued(campus: Campus) -> Sequence[Row[Any]]:
    with campus.store.read() as conn:
        return conn.execute(select(queue).order_by(queue.c.log_id)).all()


def queued_ids(campus: Campus) -> list[int]:
    return [row.log_id for row in queued(campus)]


def read_all(campus: Campus, replica: str = "replica-1") -> None:
    tail = campus.tail(replica)
    while tail.run_once().more:
        pass
    tail.release()


def test_a_new_row_is_queued_with_its_stable_id_and_payload(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "payload": '{"who": {{ userid }}}', "endpoint": "/c/{{ courseid }}"})
    read_all(campus)

    [number] = insert_rows(str(campus.moodle.url.render_as_string(False)), [log_row(userid=7, courseid=3)])
    read_all(campus)

    [row] = queued(campus)
    assert row.delivery_id == delivery_id("campus", "views", number)
    assert (row.log_id, row.endpoint, row.payload, row.state) == (number, "/c/3", '{"who": 7}', "pending")


def test_every_real_row_becomes_one_delivery_of_a_rule_for_all(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus(EVERYTHING, tail={"start": "beginning", "batch": 50})
    with campus.moodle.read() as conn:
        there = list(conn.execute(select(LOG.c.id).order_by(LOG.c.id)).scalars())

    read_all(campus)

    assert queued_ids(campus) == there
    assert all(json.loads(row.payload)["id"] == row.log_id for row in queued(campus))


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
@pytest.mark.parametrize("start", ["beginning", "2026-03-01T00:00:00Z"])
def test_rows_below_the_first_visible_one_are_read_when_their_transaction_ends(
    make_campus: MakeCampus, moodle_db: Database, start: str
) -> None:
    campus = make_campus(EVERYTHING, tail={"start": start})
    engine = create_engine(moodle_db.url)
    with engine.begin() as conn:
        conn.execute(delete(LOG))

    with engine.connect() as slow, slow.begin():
        below = insert_rows(slow, [log_row(), log_row()])
        above = insert_rows(moodle_db.url, [log_row()])
        read_all(campus)
        first = queued_ids(campus)
    read_all(campus)

    assert first == above
    assert queued_ids(campus) == below + above
    engine.dispose()


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_rows_that_become_visible_while_the_beginning_is_looked_for_are_read(
    make_campus: MakeCampus, moodle_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus = make_campus(EVERYTHING, tail={"start": "beginning"})
    engine = create_engine(moodle_db.url)
    with engine.begin() as conn:
        conn.execute(delete(LOG))
    with engine.connect() as slow:
        below = insert_rows(slow, [log_row()])
        above = insert_rows(moodle_db.url, [log_row()])
        looked = LogStore.next_id

        def then_commit(log: LogStore, conn: Connection, after: int) -> int | None:
            found = looked(log, conn, after)
            slow.commit()
            return found

        monkeypatch.setattr(LogStore, "next_id", then_commit)
        read_all(campus)
    engine.dispose()

    assert queued_ids(campus) == below + above


def test_reading_twice_adds_nothing(make_campus: MakeCampus) -> None:
    campus = make_campus(EVERYTHING, tail={"start": "beginning"})
    read_all(campus)
    before = queued_ids(campus)

    with campus.store.write() as conn:
        cursors.place(conn, "campus", 0, now=campus.clock.now())
    read_all(campus)

    assert queued_ids(campus) == before


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_row_that_commits_late_with_a_lower_id_is_delivered_and_holds_back_nobody(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus(VIEWED)
    tail = campus.tail()
    tail.run_once()
    engine = create_engine(moodle_db.url)
    with engine.connect() as slow:
        [late] = insert_rows(slow, [log_row(userid=11)])
        [prompt] = insert_rows(moodle_db.url, [log_row(userid=12)])

        tail.run_once()
        assert queued_ids(campus) == [prompt]

        slow.commit()
        tail.run_once()

    engine.dispose()
    assert queued_ids(campus) == [late, prompt]
    with campus.store.read() as conn:
        assert gaps.waiting(conn, "campus") == []


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_row_that_was_open_when_the_cursor_was_made_is_delivered(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus(VIEWED)
    engine = create_engine(moodle_db.url)
    with engine.connect() as slow:
        [late] = insert_rows(slow, [log_row()])
        insert_rows(moodle_db.url, [log_row(eventname=r"\core\event\other")])
        tail = campus.tail()
        tail.run_once()

        slow.commit()
        tail.run_once()

    engine.dispose()
    assert queued_ids(campus) == [late]


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_rolled_back_row_leaves_a_gap_that_is_given_up_on_proof(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus(VIEWED)
    tail = campus.tail()
    tail.run_once()
    engine = create_engine(moodle_db.url)
    with engine.connect() as undone:
        [lost] = insert_rows(undone, [log_row()])
        insert_rows(moodle_db.url, [log_row()])
        undone.rollback()
    engine.dispose()

    tail.run_once()
    with campus.store.read() as conn:
        assert [(gap.first_id, gap.last_id) for gap in gaps.waiting(conn, "campus")] == [(lost, lost)]
    campus.clock.advance(30)
    tail.run_once()

    with campus.store.read() as conn:
        assert gaps.waiting(conn, "campus") == []
        [given_up] = gaps.closed(conn, "campus", limit=10)
    assert given_up.gap.first_id == lost
    assert "no transaction that could fill it is open" in given_up.reason


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_gap_is_kept_while_a_transaction_that_may_fill_it_is_open(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus(VIEWED)
    tail = campus.tail()
    tail.run_once()
    engine = create_engine(moodle_db.url)
    with engine.connect() as slow:
        [late] = insert_rows(slow, [log_row()])
        insert_rows(moodle_db.url, [log_row(eventname=r"\core\event\other")])
        tail.run_once()
        tail.run_once()  # asks again, with a proof
        with campus.store.read() as conn:
            assert [gap.first_id for gap in gaps.waiting(conn, "campus")] == [late]

        slow.commit()
        tail.run_once()

    engine.dispose()
    assert queued_ids(campus) == [late]


def test_a_jump_of_a_million_ids_is_one_gap_and_one_step(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus(VIEWED)
    tail = campus.tail()
    tail.run_once()
    with campus.moodle.read() as conn:
        head = campus.log.head(conn) or 0

    insert_rows(moodle_db.url, [log_row(id=head + 5_000_000)])
    rounds = 1
    while tail.run_once().more:
        rounds += 1

    assert queued_ids(campus) == [head + 5_000_000]
    assert rounds <= 3
    with campus.store.read() as conn:
        missing = gaps.missing(conn, "campus")
        assert missing.ids_open + missing.ids_given_up == 4_999_999


def test_only_one_replica_tails_until_its_lease_ends(make_campus: MakeCampus, clock: FakeClock) -> None:
    campus = make_campus(VIEWED, tail={"lease": 10})
    first, second = campus.tail("replica-1"), campus.tail("replica-2")

    assert first.run_once().tailing
    assert not second.run_once().tailing

    clock.advance(10.1)
    assert second.run_once().tailing


def test_a_replica_that_was_asleep_past_its_lease_writes_nothing(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock
) -> None:
    campus = make_campus(VIEWED, tail={"lease": 10})
    sleeper, successor = campus.tail("sleeper"), campus.tail("successor")
    sleeper.run_once()
    clock.advance(11)
    successor.run_once()
    [number] = insert_rows(moodle_db.url, [log_row(timecreated=int(clock.now().timestamp()))])

    sleeper._renew_at = clock.monotonic() + 60  # it was stopped between looking at its watch and writing
    asleep = sleeper.run_once()

    assert not asleep.tailing
    assert queued_ids(campus) == []
    successor.run_once()
    assert queued_ids(campus) == [number]


def test_a_released_cursor_is_taken_over_at_once(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    first, second = campus.tail("replica-1"), campus.tail("replica-2")
    first.run_once()

    first.release()

    assert second.run_once().tailing


def test_old_rows_of_a_restored_course_are_held_back_and_counted(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock
) -> None:
    campus = make_campus(VIEWED)
    read_all(campus)
    yesterday = int(clock.now().timestamp()) - 86_401

    insert_rows(moodle_db.url, [log_row(timecreated=yesterday, origin=None, ip=None), log_row()])
    read_all(campus)

    assert len(queued(campus)) == 1
    with campus.store.read() as conn:
        assert counts.totals(conn, since=clock.now().replace(minute=0)) == [
            ("views", "queued", 1),
            ("views", "too_old", 1),
        ]


def test_what_piled_up_while_the_sidecar_was_off_is_not_too_old(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock
) -> None:
    campus = make_campus(VIEWED)
    read_all(campus)
    friday = int(clock.now().timestamp())
    insert_rows(moodle_db.url, [log_row(timecreated=friday + 60)])

    clock.advance(3 * 86_400)
    read_all(campus)

    assert len(queued(campus)) == 1


def test_a_failing_template_is_a_dead_letter_and_the_tail_goes_on(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus({**VIEWED, "payload": '{"x": {{ other.missing }}}'})
    read_all(campus)

    [bad, good] = insert_rows(moodle_db.url, [log_row(other='{"a":1}'), log_row(other='{"missing":2}')])
    read_all(campus)

    with campus.store.read() as conn:
        [letter] = conn.execute(select(dlq)).all()
    assert (letter.log_id, letter.reason) == (bad, "render")
    assert "missing" in letter.error
    assert json.loads(letter.event_row)["id"] == bad
    assert [(row.log_id, row.state) for row in queued(campus)] == [(bad, "dead"), (good, "pending")]


def test_a_row_that_the_store_cannot_hold_is_a_dead_letter_and_the_others_pass(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus(VIEWED)
    read_all(campus)
    [_, poison, _] = insert_rows(moodle_db.url, [log_row(userid=n) for n in (1, 2, 3)])
    with campus.store.write() as conn:
        conn.execute(text(POISON_GUARD[campus.store.dialect].format(poison=poison)))

    read_all(campus)

    assert [row.state for row in queued(campus)] == ["pending", "dead", "pending"]
    with campus.store.read() as conn:
        [letter] = conn.execute(select(dlq)).all()
    assert (letter.log_id, letter.reason) == (poison, "invalid")


# A guard that one payload fails stands for everything that a store may refuse to hold.
POISON_GUARD = {
    "sqlite": "CREATE TRIGGER guard BEFORE INSERT ON mih_queue "
    "WHEN NEW.log_id = {poison} AND NEW.payload IS NOT NULL "
    "BEGIN SELECT RAISE(ABORT, 'cannot hold this'); END",
    "mysql": "CREATE TRIGGER guard BEFORE INSERT ON mih_queue FOR EACH ROW "
    "IF NEW.log_id = {poison} AND NEW.payload IS NOT NULL THEN "
    "SIGNAL SQLSTATE '22001' SET MYSQL_ERRNO = 1406; END IF",
    "postgresql": "ALTER TABLE mih_queue ADD CONSTRAINT guard CHECK (log_id <> {poison} OR payload IS NULL)",
}


def test_a_restored_log_stops_the_tail_until_somebody_decides(
    make_campus: MakeCampus, moodle_db: Database
) -> None:
    campus = make_campus(VIEWED)
    read_all(campus)
    with campus.moodle.write() as conn:
        conn.execute(delete(LOG).where(LOG.c.id > 100))

    stopped = campus.tail().run_once()

    assert stopped.problem is not None
    assert "mih cursor set" in stopped.problem
    with campus.store.write() as conn:
        cursors.place(conn, "campus", 100, now=campus.clock.now())
    [number] = insert_rows(moodle_db.url, [log_row(id=101)])
    read_all(campus)
    assert queued_ids(campus) == [number]


def test_an_empty_log_is_no_alarm(make_campus: MakeCampus, moodle_db: Database) -> None:
    campus = make_campus(VIEWED)
    read_all(campus)
    with campus.moodle.write() as conn:
        conn.execute(delete(LOG))

    assert campus.tail().run_once().problem is None


def test_an_anonymous_row_does_not_give_the_person_away(make_campus: MakeCampus, moodle_db: Database) -> None:
    campus = make_campus(
        {**VIEWED, "payload": {"u": "{{ userid }}", "name": "{{ user.firstname }}"}},
        {**VIEWED, "name": "open", "anonymous": "reveal", "payload": {"u": "{{ userid }}"}},
    )
    read_all(campus)

    insert_rows(moodle_db.url, [log_row(anonymous=1, userid=4)])
    read_all(campus)

    payloads = {row.rule: json.loads(row.payload) for row in queued(campus)}
    assert payloads == {"views": {"u": None, "name": None}, "open": {"u": 4}}


def test_where_and_when_hold_back_and_are_counted(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock
) -> None:
    campus = make_campus({**VIEWED, "where": {"origin": ["web", "ws"]}, "when": "other.n > 1"})
    read_all(campus)

    insert_rows(
        moodle_db.url,
        [
            log_row(origin="cli", other='{"n":5}'),
            log_row(origin="web", other='{"n":1}'),
            log_row(origin="ws", other='{"n":2}'),
        ],
    )
    read_all(campus)

    assert len(queued(campus)) == 1
    with campus.store.read() as conn:
        assert counts.totals(conn, since=clock.now().replace(minute=0)) == [
            ("views", "queued", 1),
            ("views", "when", 1),
            ("views", "where", 1),
        ]


AWKWARD: dict[str, dict[str, Any]] = {
    "nulls": {"other": None, "objectid": None, "courseid": None, "origin": None, "ip": None},
    "broken_json": {"other": '{"a": '},
    "php_object": {"other": 'O:8:"stdClass":1:{s:1:"a";i:1;}'},
    "php_array": {"other": 'a:1:{s:4:"name";s:5:"José";}'},
    "megabyte": {"other": json.dumps({"text": "é" * 500_000}, ensure_ascii=False)},
    "over_a_megabyte": {"other": json.dumps({"text": "é" * 600_000}, ensure_ascii=False)},
    "nul_and_surrogate": {"other": '{"nul":"a\\u0000b","half":"\\ud83d"}'},
    "unknown_class": {"eventname": r"\local_never_heard_of\event\it_happened"},
    "template_in_a_name": {"other": '{"name":"{{ 7 * 7 }} {% raw %} \\"\\\\"}'},
    "far_future": {"timecreated": 99_999_999_999},
}


@pytest.mark.parametrize("kind", AWKWARD)
def test_an_awkward_row_is_delivered_or_a_dead_letter_with_a_reason(
    make_campus: MakeCampus, moodle_db: Database, kind: str
) -> None:
    campus = make_campus({"name": "all", "event": "*", "payload": {"other": "{{ other }}"}})
    read_all(campus)
    [awkward, ordinary] = insert_rows(moodle_db.url, [log_row(**AWKWARD[kind]), log_row()])

    read_all(campus)

    states = {row.log_id: row.state for row in queued(campus)}
    assert states[ordinary] == "pending"
    assert states[awkward] == (
        "dead" if kind in {"broken_json", "php_object", "over_a_megabyte"} else "pending"
    )


def test_odd_characters_arrive_as_valid_json(make_campus: MakeCampus, moodle_db: Database) -> None:
    campus = make_campus({"name": "all", "event": "*", "payload": {"other": "{{ other }}"}})
    read_all(campus)

    insert_rows(moodle_db.url, [log_row(**AWKWARD["nul_and_surrogate"])])
    read_all(campus)

    [row] = queued(campus)
    assert json.loads(row.payload) == {"other": {"nul": "a\0b", "half": "\ufffd"}}


def test_large_payloads_of_a_rule_are_mentioned_once(
    make_campus: MakeCampus, caplog: pytest.LogCaptureFixture
) -> None:
    campus = make_campus({**VIEWED, "payload": '{"text": "' + "x" * 21_000 + '"}'})
    read_all(campus)
    insert_rows(str(campus.moodle.url.render_as_string(False)), [log_row(), log_row(), log_row()])

    read_all(campus)

    said = [one.getMessage() for one in caplog.records if "large_payload" in one.getMessage()]
    assert said == ["tail.large_payload rule=views bytes=21012: every try sends all of it"]
    assert len(queued(campus)) == 3
