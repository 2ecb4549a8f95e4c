"""Replay from the source: any rows of the log, each queued once, whatever happens to whoever does it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Row, select, update

from sidecar.bridge.backfill import MOST_WAITING, Backfill
from sidecar.bridge.harvest import Harvester
from sidecar.bridge.planned import Wanted, begin, counted, found, planned, rehearsed, switched
from sidecar.bridge.sources import Sources
from sidecar.errors import HubError, NotFound
from sidecar.model import delivery_id
from sidecar.store import queue as table
from sidecar.store import replays
from sidecar.store.audit import Author
from sidecar.store.replays import Replay, ReplayState
from sidecar.store.tables import audit, dlq, queue
from tests.bridge.conftest import MakeCampus
from tests.build import Campus
from tests.rows import insert_rows, log_row

VIEWED: dict[str, Any] = {"name": "views", "event": r"\core\event\course_viewed"}
BY = Author("ada", "command")


class Killed(Exception):
    """The process ends here."""


def write(campus: Campus, *rows: dict[str, Any]) -> list[int]:
    return insert_rows(campus.moodle.url.render_as_string(False), [log_row(**row) for row in rows])


def sources(campus: Campus) -> Sources:
    return Sources(campus.moodle, campus.store, campus.log, campus.known.settings, campus.clock)


def backfill(campus: Campus, replica: str = "replica-1", **options: Any) -> Backfill:
    return Backfill(
        campus.moodle, campus.store, campus.log, replica=replica, clock=campus.clock, lease_s=30, **options
    )


def harvester(campus: Campus) -> Harvester:
    return Harvester(campus.known.settings, campus.known.book)


def ask(campus: Campus, **wanted: Any) -> int:
    plan = planned(sources(campus), campus.known.book, Wanted("views", **wanted), BY)
    return begin(campus.store, plan, BY)


def run(campus: Campus, number: int, by: Backfill | None = None) -> Replay:
    """Go on until it is over."""
    worker = by or backfill(campus, most_waiting=None)
    while found(campus.store, number).state is ReplayState.RUNNING:
        worker.run_once(harvester(campus))
    return found(campus.store, number)


def queued(campus: Campus) -> list[Row[Any]]:
    with campus.store.read() as conn:
        return list(conn.execute(select(queue).order_by(queue.c.log_id)))


def settle(campus: Campus, *numbers: int, state: str = "delivered") -> None:
    with campus.store.write() as conn:
        conn.execute(
            update(queue)
            .where(queue.c.log_id.in_(numbers))
            .values(state=state, settled_at=campus.clock.now())
        )


def test_rows_from_before_the_installation_are_queued_with_the_ids_of_live_ones(
    make_campus: MakeCampus,
) -> None:
    campus = make_campus({**VIEWED, "where": {"courseid": 2}})
    first, _, last = write(campus, {"timecreated": 1_500_000_000}, {"courseid": 3}, {})

    done = run(campus, ask(campus, begin=first, end=last))

    assert [(row.log_id, row.lane, row.delivery_id) for row in queued(campus)] == [
        (first, table.SLOW, delivery_id("campus", "views", first)),
        (last, table.SLOW, delivery_id("campus", "views", last)),
    ]
    assert (done.state, done.looked_at, done.queued, done.filtered) == (ReplayState.DONE, 3, 2, 1)


def test_what_the_queue_knows_already_is_left_out(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = campus.tail()
    tail.run_once()
    numbers = write(campus, {}, {}, {})
    tail.run_once()
    settle(campus, numbers[0])
    [fresh] = write(campus, {})

    done = run(campus, ask(campus, ids=f"{numbers[0]}-{fresh}"))

    assert (done.queued, done.known) == (1, 3)
    assert [row.state for row in queued(campus)] == ["delivered", "pending", "pending", "pending"]


def test_again_sends_what_was_settled_once_more_with_its_id(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    tail = campus.tail()
    tail.run_once()
    delivered, waiting, dead = write(campus, {}, {}, {})
    tail.run_once()
    settle(campus, delivered)
    settle(campus, dead, state="dead")
    before = {row.log_id: row.delivery_id for row in queued(campus)}

    done = run(campus, ask(campus, ids=f"{delivered},{waiting},{dead}", again=True))

    assert (done.queued, done.known) == (2, 1)
    assert {row.log_id: row.delivery_id for row in queued(campus)} == before
    assert {row.log_id: (row.state, row.lane) for row in queued(campus)} == {
        delivered: ("pending", table.SLOW),
        waiting: ("pending", table.LIVE),
        dead: ("pending", table.SLOW),
    }


def test_what_cannot_be_rendered_becomes_a_dead_letter(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "payload": '{"x": {{ 1 // objectid }}}'})
    broken, sound = write(campus, {"objectid": 0}, {"objectid": 1})

    done = run(campus, ask(campus, ids=f"{broken},{sound}"))

    assert (done.queued, done.dead) == (1, 1)
    with campus.store.read() as conn:
        assert list(conn.execute(select(dlq.c.log_id)).scalars()) == [broken]


@pytest.mark.parametrize("after", ["advance", "enqueue"])
def test_a_kill_half_way_loses_nothing_and_queues_nothing_twice(
    make_campus: MakeCampus, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    campus = make_campus(VIEWED)
    numbers = write(campus, *[{}] * 450)
    replay = ask(campus, begin=numbers[0])
    first = backfill(campus, most_waiting=None)
    first.run_once(harvester(campus))

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(replays if after == "advance" else table, after, die)
        with pytest.raises(Killed):
            first.run_once(harvester(campus))
    waits = backfill(campus, "replica-2", most_waiting=None).run_once(harvester(campus))
    campus.clock.advance(31)
    done = run(campus, replay, backfill(campus, "replica-2", most_waiting=None))

    assert waits == 0
    assert done.queued == 450
    assert [row.log_id for row in queued(campus)] == numbers


def test_who_lost_the_lease_writes_nothing(make_campus: MakeCampus, monkeypatch: pytest.MonkeyPatch) -> None:
    campus = make_campus(VIEWED)
    numbers = write(campus, *[{}] * 250)
    replay = ask(campus, begin=numbers[0])
    slow, quick = (backfill(campus, name, most_waiting=None) for name in ("slow", "quick"))
    reading = campus.log.rows

    def meanwhile(*given: Any, **more: Any) -> Any:
        monkeypatch.undo()
        campus.clock.advance(31)
        quick.run_once(harvester(campus))
        return reading(*given, **more)

    monkeypatch.setattr(campus.log, "rows", meanwhile)
    lost = slow.run_once(harvester(campus))

    assert lost == 0
    assert found(campus.store, replay).queued == 200
    assert run(campus, replay, quick).queued == len(queued(campus)) == 250


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_two_at_once_over_the_same_rows_count_each_what_they_queue(
    make_campus: MakeCampus, monkeypatch: pytest.MonkeyPatch
) -> None:
    campus = make_campus(VIEWED)
    numbers = write(campus, *[{}] * 150)
    one, other = ask(campus, begin=numbers[0]), ask(campus, begin=numbers[50])
    enqueue, both = table.enqueue, Event()

    def too_early(*given: Any, **more: Any) -> None:
        both.set()
        enqueue(*given, **more)

    with ThreadPoolExecutor() as threads:

        def meanwhile(*given: Any, **more: Any) -> None:
            monkeypatch.setattr(table, "enqueue", too_early)
            worker = backfill(campus, "replica-2", most_waiting=None)
            threads.submit(worker.step, other, harvester(campus))
            both.wait(0.3)  # it has to wait for its turn
            enqueue(*given, **more)

        monkeypatch.setattr(table, "enqueue", meanwhile)
        backfill(campus, most_waiting=None).step(one, harvester(campus))

    first, second = found(campus.store, one), found(campus.store, other)
    assert (first.queued, first.known, first.state) == (150, 0, ReplayState.DONE)
    assert (second.queued, second.known, second.state) == (0, 100, ReplayState.DONE)
    assert len(queued(campus)) == 150


def test_it_waits_while_enough_is_in_the_slow_lane(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    numbers = write(campus, *[{}] * (MOST_WAITING + 50))
    replay = ask(campus, begin=numbers[0])
    worker = backfill(campus)
    for _ in range(5):
        worker.run_once(harvester(campus))

    waiting = found(campus.store, replay).queued
    settle(campus, *numbers[:100])
    worker.run_once(harvester(campus))

    assert waiting == MOST_WAITING
    assert found(campus.store, replay).state is ReplayState.DONE


def test_a_rate_spreads_them(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    numbers = write(campus, *[{}] * 10)
    replay = ask(campus, begin=numbers[0], rate=2.0)
    worker, began = backfill(campus), campus.clock.now()

    worker.run_once(harvester(campus))
    worker.run_once(harvester(campus))
    at_first = found(campus.store, replay).queued
    for _ in range(12):
        campus.clock.advance(0.5)
        worker.run_once(harvester(campus))

    due = [(row.due_at - began).total_seconds() for row in queued(campus)]
    assert at_first == 2
    assert due == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5]


def test_a_paused_one_stands_and_a_cancelled_one_is_over(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    numbers = write(campus, *[{}] * 250)
    replay = ask(campus, begin=numbers[0])
    worker, now = backfill(campus, most_waiting=None), campus.clock.now()
    worker.run_once(harvester(campus))

    switched(campus.store, replay, ReplayState.PAUSED, BY, now=now)
    paused = worker.run_once(harvester(campus))
    switched(campus.store, replay, ReplayState.RUNNING, BY, now=now)
    resumed = worker.run_once(harvester(campus))
    with pytest.raises(HubError, match="is done: it cannot become cancelled"):
        switched(campus.store, replay, ReplayState.CANCELLED, BY, now=now)

    assert (paused, resumed) == (0, 50)
    with campus.store.read() as conn:
        deeds = list(conn.execute(select(audit.c.action).order_by(audit.c.id)).scalars())
    assert deeds == ["replay.create", "replay.pause", "replay.resume"]


def test_without_its_rule_it_stops_and_says_why(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    write(campus, {})
    replay = ask(campus, begin=1)

    backfill(campus).run_once(harvester(make_campus({**VIEWED, "name": "other"})))

    after = found(campus.store, replay)
    assert after.state is ReplayState.PAUSED
    assert (
        after.problem == f'there is no rule "views" switched on: `mih replay resume {replay}` when there is'
    )


def test_times_are_the_rows_own(make_campus: MakeCampus) -> None:
    campus = make_campus(VIEWED)
    now = campus.clock.now()
    at = int(now.timestamp())
    write(campus, *[{"timecreated": at - 100 + number} for number in range(100)])

    campus.clock.advance(1)
    replay = ask(
        campus, begin=now.fromtimestamp(at - 60, now.tzinfo), end=now.fromtimestamp(at - 50, now.tzinfo)
    )
    run(campus, replay)

    assert len(queued(campus)) == 10


def test_a_rehearsal_counts_and_writes_nothing(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "where": {"courseid": 2}, "payload": '{"x": {{ 1 // objectid }}}'})
    first, *_ = write(campus, {"objectid": 1}, {"objectid": 0}, {"courseid": 3})
    plan = planned(sources(campus), campus.known.book, Wanted("views", begin=first), BY)

    *_, last = rehearsed(sources(campus), campus.known.book, plan)

    rows = counted(sources(campus), campus.known.book, plan)
    assert (last.queued, last.dead, last.errors[0][:7]) == (
        rows.rows - 2 - last.held["where"] + 1,
        1,
        "payload",
    )
    assert rows.complete
    assert queued(campus) == []


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"ids": "5-2"}, 'ids: "5-2" ends before it begins.'),
        ({"ids": "1,two"}, 'ids: "two" is no id and no range: write ids such as 1,2,5-9.'),
        ({"ids": "900000000"}, "There is no such row in Moodle's log: nothing to replay."),
    ],
)
def test_what_makes_no_sense_is_refused(make_campus: MakeCampus, wanted: dict[str, Any], said: str) -> None:
    campus = make_campus(VIEWED)

    with pytest.raises(HubError) as refused:
        ask(campus, **wanted)

    assert str(refused.value) == said


def test_a_rule_that_sends_nothing_is_refused(make_campus: MakeCampus) -> None:
    campus = make_campus({**VIEWED, "state": "shadow"})

    with pytest.raises(HubError, match="off or in the shadow"):
        ask(campus, begin=1)
    with pytest.raises(NotFound, match=r'There is no rule "view".*did you mean "views"'):
        planned(sources(campus), campus.known.book, Wanted("view", begin=1), BY)
