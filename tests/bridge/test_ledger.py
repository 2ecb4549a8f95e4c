"""The ledger on real logs: every row of a rule accounted for, and what is missing named and mended."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, select, update

from sidecar.bridge.account import Became, Ledger
from sidecar.bridge.ledger import Asked, ledger
from sidecar.bridge.move import move
from sidecar.bridge.repair import repair
from sidecar.bridge.sources import Sources
from sidecar.bridge.tail import Tail
from sidecar.model import delivery_id
from sidecar.store import versions
from sidecar.store.audit import Author
from sidecar.store.tables import audit, log, queue
from sidecar.store.tables import counts as counts_table
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.rows import LOG, insert_rows, log_row

VIEWED: dict[str, Any] = {"name": "views", "event": r"\core\event\course_viewed"}
OTHER = r"\core\event\other"
BY = Author("ada", "command")


def url(campus: Campus) -> str:
    return campus.moodle.url.render_as_string(hide_password=False)


def write(campus: Campus, *rows: dict[str, Any]) -> list[int]:
    """Insert rows that are written now."""
    now = int(campus.clock.now().timestamp())
    return insert_rows(url(campus), [log_row(**{"timecreated": now} | row) for row in rows])


def read_all(tail: Tail) -> None:
    while tail.run_once().more:
        pass


def sources(campus: Campus) -> Sources:
    return Sources(campus.moodle, campus.store, campus.log, campus.known.settings, campus.clock)


def take(campus: Campus, *, since: timedelta = timedelta(hours=20), **asked: Any) -> Ledger:
    return ledger(sources(campus), Asked(campus.clock.now() - since, **asked))


def totals(found: Ledger) -> dict[str, int]:
    return {str(kind): n for kind, n in found.totals.items()}


def begun(campus: Campus) -> Tail:
    """Return a tail that has read all there was, and whose rules are noted with the first row."""
    tail = campus.tail()
    read_all(tail)
    return tail


def forget(campus: Campus, log_id: int) -> None:
    with campus.store.write() as conn:
        conn.execute(delete(queue).where(queue.c.log_id == log_id))


def test_each_row_is_put_down_under_what_became_of_it(make_campus: MakeCampus) -> None:
    campus = make_campus(
        {**VIEWED, "where": {"courseid": 2}, "when": "userid != 9"},
        {**VIEWED, "name": "watching", "state": "shadow"},
        {**VIEWED, "name": "broken", "payload": '{"x": {{ 1 // objectid }}}', "where": {"userid": 5}},
    )
    tail = begun(campus)
    sent, _elsewhere, _unwanted, _dead = write(
        campus, {"courseid": 2}, {"courseid": 3}, {"courseid": 2, "userid": 9}, {"courseid": 3, "userid": 5}
    )
    read_all(tail)
    with campus.store.write() as conn:
        conn.execute(update(queue).where(queue.c.log_id == sent).values(state="delivered"))

    found = take(campus)

    [hour] = found.hours
    assert found.unaccounted == 0
    assert found.rules == ["broken", "views", "watching"]
    lines = {line.rule: {str(kind): n for kind, n in line.counts.items()} for line in found.lines}
    assert lines == {
        "views": {"delivered": 1, "where": 2, "when": 1},
        "watching": {"shadow": 4},
        "broken": {"dead": 1, "where": 3},
    }
    assert hour == campus.clock.now().replace(minute=0, second=0)


def test_a_deleted_delivery_is_named_and_mended_once(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    first, lost, last = write(campus, {}, {}, {})
    read_all(tail)
    forget(campus, lost)

    found = take(campus)

    [one] = found.missing
    assert (one.rule, one.log_id, one.delivery_id) == ("views", lost, delivery_id("campus", "views", lost))
    assert totals(found) == {"pending": 2, "unaccounted": 1}
    done = repair(sources(campus), campus.known.book, found.missing, BY)
    assert (done.queued, done.dead, done.left) == (1, 0, [])
    assert take(campus).unaccounted == 0
    assert repair(sources(campus), campus.known.book, found.missing, BY).queued == 0
    with campus.store.read() as conn:
        assert sorted(conn.execute(select(queue.c.log_id)).scalars()) == [first, lost, last]
        noted = conn.execute(select(audit.c.who, audit.c.action, audit.c.detail)).one()
    assert tuple(noted) == ("ada", "ledger.repair", f"log row {lost}")


def test_what_the_request_log_remembers_is_delivered(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    [number] = write(campus, {})
    read_all(tail)
    forget(campus, number)
    attempt = {
        "delivery_id": delivery_id("campus", "views", number),
        "service": "crm",
        "method": "POST",
        "endpoint": "/events",
        "attempt": 1,
        "outcome": "delivered",
        "latency_ms": 3.0,
        "replica": "r",
        "created_at": campus.clock.now(),
    }
    with campus.store.write() as conn:
        conn.execute(log.insert(), attempt)

    assert totals(take(campus)) == {"delivered": 1}


def test_what_is_not_read_yet_is_ahead_and_no_alarm(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    write(campus, {})
    read_all(tail)

    write(campus, {}, {})

    found = take(campus)
    assert (found.unaccounted, totals(found)) == (0, {"pending": 1, "ahead": 2})


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_row_that_has_just_appeared_in_a_gap_is_no_alarm(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    engine = create_engine(url(campus))
    with engine.connect() as slow:
        insert_rows(slow, [log_row()])
        write(campus, {})
        read_all(tail)

        waiting = take(campus)
        slow.commit()
        appeared = take(campus)
    engine.dispose()
    read_all(tail)

    assert (totals(waiting), sum(waiting.gap_ids.values())) == ({"pending": 1}, 1)
    assert (totals(appeared), appeared.unaccounted) == ({"pending": 1, "gap": 1}, 0)
    assert totals(take(campus)) == {"pending": 2}


def test_yesterdays_rows_are_judged_by_yesterdays_rules(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "where": {"courseid": 2}})
    tail = begun(campus)
    write(campus, {"courseid": 2}, {"courseid": 3})
    read_all(tail)
    later = make_campus({**VIEWED, "where": {"courseid": 3}})
    tail = later.tail()
    write(campus, {"courseid": 2}, {"courseid": 3})
    campus.clock.advance(60)
    read_all(tail)
    third = make_campus({**VIEWED, "state": "off"})
    write(campus, {"courseid": 3}, {"courseid": 3})
    campus.clock.advance(60)
    read_all(third.tail())

    found = take(third)

    assert (found.unaccounted, totals(found)) == (0, {"pending": 2, "where": 2})
    with campus.store.read() as conn:
        noted = versions.history(conn, "campus")
    assert [one.definition is None for one in noted] == [False, False, True]
    assert [one.from_id for one in noted] == sorted({one.from_id for one in noted})


def test_what_a_cursor_was_moved_past_is_judged_by_nobody(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    write(campus, {})
    read_all(tail)
    [_, skipped] = write(campus, {}, {})
    with campus.store.write() as conn:
        move(conn, "campus", skipped, [], now=campus.clock.now())
    write(campus, {})
    read_all(tail)  # it notices
    read_all(tail)

    found = take(campus)

    assert (found.unaccounted, totals(found)) == (0, {"pending": 2})


def test_a_cursor_that_was_moved_back_judges_anew(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "where": {"courseid": 2}})
    tail = begun(campus)
    first, _ = write(campus, {"courseid": 2}, {"courseid": 3})
    read_all(tail)
    later = make_campus({**VIEWED, "where": {"courseid": 3}})
    with campus.store.write() as conn:
        move(conn, "campus", first - 1, [], now=campus.clock.now())
    read_all(later.tail())

    found = take(later)

    assert (found.unaccounted, totals(found)) == (0, {"pending": 2})


def test_old_rows_of_a_restored_course_are_too_old_and_no_alarm(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    long_ago = int(campus.clock.now().timestamp()) - 200 * 86_400
    write(
        campus, {}, {"timecreated": long_ago, "origin": None}, {"timecreated": long_ago, "origin": None}, {}
    )
    read_all(tail)
    campus.clock.advance(7_200)

    found = take(campus)

    assert (found.unaccounted, totals(found)) == (0, {"pending": 2, "too_old": 2})


def test_a_backlog_of_days_is_not_too_old(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    for _ in range(4):
        write(campus, {}, {}, {}, {}, {})
        campus.clock.advance(86_400)
    read_all(tail)
    with campus.store.read() as conn:
        [lost] = conn.execute(select(queue.c.log_id).order_by(queue.c.log_id).limit(1)).scalars()
    forget(campus, lost)

    found = take(campus, since=timedelta(days=6))

    assert totals(found) == {"pending": 19, "unaccounted": 1}
    assert [one.log_id for one in found.missing] == [lost]


def test_deliveries_that_were_pruned_are_compared_by_count(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    write(campus, {}, {}, {})
    read_all(tail)
    campus.clock.advance(8 * 86_400)
    write(campus, {})
    read_all(tail)
    with campus.store.write() as conn:
        conn.execute(delete(queue).where(queue.c.created_at < campus.clock.now() - timedelta(days=7)))

    whole = take(campus, since=timedelta(days=9))
    part = take(campus, since=timedelta(days=9), until=campus.clock.now() - timedelta(days=1))
    with campus.store.write() as conn:
        conn.execute(update(counts_table).where(counts_table.c.n == 3).values(n=2))
    short = take(campus, since=timedelta(days=9))

    assert (whole.unaccounted, totals(whole), whole.by_count) == (0, {"pending": 1, "by_count": 3}, True)
    assert (part.unaccounted, totals(part)) == (0, {"by_count": 3})
    assert (short.unaccounted, dict(short.short)) == (1, {"views": 1})


def test_a_condition_on_what_has_changed_since_is_no_alarm(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "when": "user.suspended"})
    tail = begun(campus)
    write(campus, {"userid": 2})
    read_all(tail)
    with campus.moodle.write() as conn:
        conn.exec_driver_sql("UPDATE mdl_user SET suspended = 1 WHERE id = 2")

    found = take(campus)

    assert (found.unaccounted, totals(found)) == (0, {"when": 1})


def test_a_time_limit_is_said_and_nothing_is_accused(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    write(campus, {})
    read_all(tail)

    found = take(campus, seconds=0.0)

    assert found.stopped_at is not None
    assert found.unaccounted == 0


def test_a_row_that_the_tail_reads_meanwhile_is_no_alarm(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = begun(campus)
    [lost] = write(campus, {})
    read_all(tail)
    with campus.store.read() as conn:
        kept = dict(conn.execute(select(queue).where(queue.c.log_id == lost)).one()._mapping)
    forget(campus, lost)

    def queue_it(_progress: object) -> None:
        with campus.store.write() as conn:
            conn.execute(queue.insert(), kept)

    found = ledger(sources(campus), Asked(campus.clock.now()), each=queue_it)

    assert (found.unaccounted, totals(found)) == (0, {"pending": 1})


RULES: Sequence[dict[str, Any]] = (
    {"name": "all", "event": "*"},
    {"name": "two", "event": [r"\core\event\course_*", OTHER], "where": {"courseid": [2, 3]}},
    {"name": "when", "event": OTHER, "when": "userid % 2 == 0", "max_event_age": "none"},
    {"name": "shadow", "event": "*", "state": "shadow"},
    {"name": "broken", "event": OTHER, "payload": '{"x": {{ 1 // courseid }}}'},
)


def expected(row: dict[str, Any], rule: str, newest: datetime) -> str | None:
    """Say what a rule makes of a row, in plain words of its own; None: it does not name it."""
    other = row["eventname"] == OTHER
    if (rule in {"when", "broken"} and not other) or (rule == "two" and "quiz" in row["eventname"]):
        return None
    if rule != "when" and row["timecreated"] < newest.timestamp() - 86_400:
        return "too_old"
    if rule == "two" and row["courseid"] not in {2, 3}:
        return "where"
    if rule == "when" and row["userid"] % 2:
        return "when"
    if rule == "shadow":
        return "shadow"
    return "dead" if rule == "broken" and row["courseid"] == 0 else "queued"


@pytest.mark.parametrize("seed", range(3))
def test_the_sum_closes_whatever_happens(make_campus: MakeCampus, seed: int) -> None:
    chance = Random(seed)
    campus = make_campus(*RULES)
    tail = begun(campus)
    oracle: dict[tuple[str, int], str] = {}
    for _ in range(6):
        rows = [_some_row(chance, int(campus.clock.now().timestamp())) for _ in range(chance.randint(1, 30))]
        for number, row in zip(write(campus, *rows), rows, strict=True):
            for rule in RULES:
                became = expected(row, rule["name"], campus.clock.now())
                if became is not None:
                    oracle[rule["name"], number] = became
        read_all(tail)
        campus.clock.advance(chance.choice([1, 600, 4000]))
    lost = _shaken(campus, chance, oracle)

    found = take(campus)

    assert {(one.rule, one.log_id) for one in found.missing} == lost
    assert found.totals == Counter({Became(what): n for what, n in Counter(oracle.values()).items()})
    assert sum(line.rows for line in found.lines) == len(oracle)
    done = repair(sources(campus), campus.known.book, found.missing, BY)
    assert (done.queued + done.dead, done.left) == (len(lost), [])
    assert take(campus).unaccounted == 0


def _some_row(chance: Random, now: int) -> dict[str, Any]:
    old = chance.random() < 0.2
    return {
        "eventname": chance.choice([OTHER, r"\core\event\course_viewed", r"\mod_quiz\event\attempt_started"]),
        "courseid": chance.choice([0, 1, 2, 3]),
        "userid": chance.randint(2, 9),
        "timecreated": now - 40 * 86_400 if old else now,
        "origin": None if old else "web",
    }


def _shaken(campus: Campus, chance: Random, oracle: dict[tuple[str, int], str]) -> set[tuple[str, int]]:
    """Settle, bury, cancel, lose and clean up at random; return what is lost, and have the oracle know."""
    lost = set()
    with campus.store.write() as conn:
        for row in conn.execute(select(queue).order_by(queue.c.id)).all():
            state = chance.choice(["delivered", "pending", "dead", "cancelled", "lost"])
            key = (row.rule, row.log_id)
            if state == "lost":
                conn.execute(delete(queue).where(queue.c.id == row.id))
                oracle[key] = "unaccounted"
                lost.add(key)
            else:
                conn.execute(update(queue).where(queue.c.id == row.id).values(state=state))
                oracle[key] = state
    gone = {number for _, number in chance.sample(sorted(oracle), 5)}
    with campus.moodle.write() as conn:
        conn.execute(delete(LOG).where(LOG.c.id.in_(gone)))
    for key in [key for key in oracle if key[1] in gone]:
        del oracle[key]
    return {key for key in lost if key[1] not in gone}
