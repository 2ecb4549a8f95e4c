"""Deliveries of one key leave one after the other, by log id; whatever happens to one, other keys go on."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import upkeep
from sidecar.bridge.replay import replay
from sidecar.clock import FakeClock
from sidecar.settings import Settings
from sidecar.store import leases, order, pile, queue
from tests.bridge.dispatching import Post, idle, passing, until
from tests.bridge.lines import Protocol, line_up
from tests.conftest import make_tables
from tests.databases import Database, SQLiteFolder
from tests.receiver import Receiver, answer, hang

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
on_servers = pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
PATIENT = {"circuit_breaker": {"failure_threshold": 1000}}


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def test_deliveries_of_a_key_leave_in_log_order_and_never_two_at_once(post: Post) -> None:
    post.service("crm", **PATIENT)
    protocol = Protocol()
    post.receiver.on("/crm", protocol)
    line_up(post, "a", [1, 3, 5, 7, 9])
    line_up(post, "b", [2, 4, 6, 8, 10])

    until(post.dispatcher(), lambda: post.states() == {"delivered": 10})

    assert protocol.taken == {"a": [1, 3, 5, 7, 9], "b": [2, 4, 6, 8, 10]}
    assert protocol.overlapped == []
    assert {row.lane for row in post.rows()} == {0}


def test_delivery_that_waits_for_its_retry_holds_back_its_key_only(post: Post) -> None:
    post.service("crm", **PATIENT)
    protocol = Protocol({1: [500, 200]})
    post.receiver.on("/crm", protocol)
    line_up(post, "a", [1, 3, 5])
    line_up(post, "b", [2, 4, 6])
    post.queue(1, first=7, headers={"X-Key": "none"})
    dispatcher = post.dispatcher()

    until(dispatcher, lambda: post.states() == {"delivered": 4, "pending": 3})
    idle(dispatcher)
    came_before = {key: list(numbers) for key, numbers in protocol.came.items()}
    post.clock.advance(1)
    until(dispatcher, lambda: post.states() == {"delivered": 7})

    assert came_before == {"a": [1], "b": [2, 4, 6], "none": [7]}
    assert protocol.came["a"] == [1, 1, 3, 5]
    assert protocol.taken["a"] == [1, 3, 5]


def test_what_is_queued_later_waits_behind_what_failed(post: Post) -> None:
    post.service("crm", **PATIENT)
    protocol = Protocol({1: [500, 500, 200]})
    post.receiver.on("/crm", protocol)
    line_up(post, "a", [1])
    dispatcher = post.dispatcher()
    idle(dispatcher)

    line_up(post, "a", [2, 3])
    idle(dispatcher)
    with post.store.read() as conn:
        waits = order.waits_for(conn, post.rows())
    post.clock.advance(1)
    idle(dispatcher)
    post.clock.advance(2)
    until(dispatcher, lambda: post.states() == {"delivered": 3})

    first, second, third = (row.id for row in post.rows())
    assert waits == {second: first, third: first}
    assert protocol.came["a"] == [1, 1, 1, 2, 3]


def test_dead_letter_lets_the_next_go_on_and_its_replay_comes_late(post: Post) -> None:
    post.service("crm", **PATIENT)
    protocol = Protocol({1: [404, 200]})
    post.receiver.on("/crm", protocol)
    line_up(post, "a", [1, 2])
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: post.states() == {"dead": 1, "delivered": 1})
    with post.store.read() as conn:
        letters = pile.search(conn, pile.Choice()).rows

    replay(post.store, letters, now=post.clock.now())
    line_up(post, "a", [3])
    until(dispatcher, lambda: post.states() == {"delivered": 3})

    assert protocol.taken["a"] == [2, 1, 3]
    assert protocol.overlapped == []


def test_late_row_goes_when_it_comes(post: Post) -> None:
    post.service("crm", **PATIENT)
    protocol = Protocol({5: [500, 200]})
    post.receiver.on("/crm", protocol)
    line_up(post, "a", [5, 6])
    dispatcher = post.dispatcher()
    idle(dispatcher)

    line_up(post, "a", [2])
    until(dispatcher, lambda: post.states() == {"delivered": 1, "pending": 2})
    post.clock.advance(1)
    until(dispatcher, lambda: post.states() == {"delivered": 3})

    assert protocol.taken["a"] == [2, 5, 6]


def test_cancelled_delivery_lets_the_next_go_on(post: Post) -> None:
    post.service("crm", **PATIENT)
    protocol = Protocol({1: [500]})
    post.receiver.on("/crm", protocol)
    line_up(post, "a", [1, 2])
    dispatcher = post.dispatcher()
    idle(dispatcher)

    with post.store.write() as conn:
        queue.cancel(conn, ["crm-1"], now=post.clock.now())
    until(dispatcher, lambda: post.states() == {"cancelled": 1, "delivered": 1})

    assert protocol.taken["a"] == [2]


@only_sqlite
def test_long_line_does_not_stand_in_the_way_of_others(post: Post) -> None:
    post.service("crm", **PATIENT, max_concurrency=2)
    protocol = Protocol({1: [500]})
    post.receiver.on("/crm", protocol)
    line_up(post, "a", range(1, 301))
    post.queue(3, first=301, headers={"X-Key": "none"})
    dispatcher = post.dispatcher()

    until(dispatcher, lambda: post.states() == {"delivered": 3, "pending": 300})

    assert {key: sorted(numbers) for key, numbers in protocol.came.items()} == {
        "a": [1],
        "none": [301, 302, 303],
    }
    with post.store.write() as conn:
        assert leases.claim(conn, {"crm": 9}, token="t", now=post.clock.now(), lease_s=60) == []
    assert sum(row.lane == order.HELD for row in post.rows()) == 299


def test_two_dispatchers_agree_on_the_order(post: Post) -> None:
    post.service("crm", **PATIENT, max_concurrency=4)
    protocol = Protocol({n: [500, 200] for n in range(3, 60, 7)})
    post.receiver.on("/crm", protocol)
    for number in range(1, 61):
        line_up(post, "abc"[number % 3], [number])
    one, two = post.dispatcher(), post.dispatcher("replica-2")

    def both() -> bool:
        two.run_once()
        post.clock.advance(0.05)
        return post.states() == {"delivered": 60}

    until(one, both)

    assert protocol.overlapped == []
    for key, numbers in protocol.taken.items():
        assert numbers == sorted(numbers), key


def test_delivery_whose_process_died_holds_its_key_until_it_is_taken_over(post: Post) -> None:
    post.service("crm", **PATIENT)
    protocol = Protocol()
    line_up(post, "a", [1, 2])
    post.receiver.on("/crm", hang())
    with post.store.write() as conn:
        dead = leases.claim(conn, {"crm": 9}, token="dead#1", now=post.clock.now(), lease_s=60)
    post.receiver.on("/crm", protocol)
    dispatcher = post.dispatcher()

    idle(dispatcher)
    came_before = dict(protocol.came)
    post.clock.advance(61)
    upkeep.rescue(post.store, Settings.model_construct(dispatch=dispatcher._settings), post.clock)
    until(dispatcher, lambda: post.states() == {"delivered": 2})

    assert [one.delivery.log_id for one in dead] == [1]
    assert came_before == {}
    assert protocol.taken["a"] == [1, 2]


def test_first_of_a_key_that_was_left_held_is_found(post: Post) -> None:
    post.service("crm")
    line_up(post, "a", [1, 2])
    first, second = (row.id for row in post.rows())
    with post.store.write() as conn:
        order.hold(conn, [first, second])

    with post.store.write() as conn:
        freed = order.free(conn, order.stranded(conn))

    assert freed == 1
    assert [row.lane for row in post.rows()] == [0, order.HELD]


@on_servers
def test_replica_that_is_claiming_the_first_keeps_others_from_the_second(post: Post) -> None:
    post.service("crm")
    line_up(post, "a", [1, 2])
    now = post.clock.now()
    with post.store.write() as here, post.store.write() as there:
        first = leases.claim(here, {"crm": 1}, token="here", now=now, lease_s=60)
        second = leases.claim(there, {"crm": 9}, token="there", now=now, lease_s=60)

    assert [one.delivery.log_id for one in first] == [1]
    assert second == []


@only_sqlite
def test_batch_holds_several_of_a_key_in_order(post: Post) -> None:
    post.service("crm", **PATIENT)
    post.rule("new-user", batch={"max_items": 4, "linger": 0}, order_by="userid")
    line_up(post, "a", [5, 3, 4, 1, 2, 6])

    until(post.dispatcher(), lambda: post.states() == {"delivered": 6})

    bodies = [one.body.decode() for one in post.receiver.requests]
    assert bodies == ['[{"n": 1},{"n": 2},{"n": 3},{"n": 4}]', '[{"n": 5},{"n": 6}]']


@only_sqlite
def test_batch_that_failed_comes_again_before_what_follows(post: Post) -> None:
    post.service("crm", **PATIENT)
    post.rule("new-user", batch={"max_items": 2, "linger": 0}, order_by="userid")
    post.receiver.on("/crm", answer(500), answer(200))
    line_up(post, "a", [1, 2, 3, 4])
    dispatcher = post.dispatcher()
    idle(dispatcher)

    post.clock.advance(1)
    until(dispatcher, lambda: post.states() == {"delivered": 4})

    bodies = [one.body.decode() for one in post.receiver.requests]
    assert bodies == ['[{"n": 1},{"n": 2}]', '[{"n": 1},{"n": 2}]', '[{"n": 3},{"n": 4}]']


deliveries_of_a_few_keys = st.lists(
    st.tuples(st.sampled_from("abcd"), st.lists(st.sampled_from([500, 503, 429]), max_size=4), st.booleans()),
    min_size=1,
    max_size=14,
)


@settings(max_examples=15)
@given(wanted=deliveries_of_a_few_keys, seed=st.integers(0, 9))
def test_whatever_fails_each_key_keeps_its_order_and_nothing_is_left(
    wanted: list[tuple[str, list[int], bool]], seed: int, sqlite: SQLiteFolder
) -> None:
    script = {n: [*failures, 404 if bad else 200] for n, (_, failures, bad) in enumerate(wanted, 1)}
    protocol, clock = Protocol(script), FakeClock()
    name = sqlite.fresh_name()
    sqlite.create_database(name, copy_of=sqlite.template("store", make_tables))
    with Receiver() as receiver:
        post = Post(sqlite.url(name), clock, receiver)
        post.service("crm", circuit_breaker={"failure_threshold": 1000}, retry={"max_retries": 3})
        receiver.on("/crm", protocol)
        numbers = list(range(1, len(wanted) + 1))
        late = set(Random(seed).sample(numbers, len(numbers) // 3))
        for number in [*(n for n in numbers if n not in late)]:
            line_up(post, wanted[number - 1][0], [number])
        dispatcher = post.dispatcher()

        idle(dispatcher)
        for number in sorted(late):
            line_up(post, wanted[number - 1][0], [number])
        passing(post, dispatcher, 1, lambda: not {"pending", "sending"} & set(post.states()))
        rows = {row.log_id: row.state for row in post.rows()}
        post.close()

    doomed = {n for n, (_, failures, bad) in enumerate(wanted, 1) if bad or len(failures) > 3}
    assert rows == {n: "dead" if n in doomed else "delivered" for n in numbers}
    assert protocol.overlapped == []
    for key, taken in protocol.taken.items():
        early = [number for number in taken if number not in late]
        assert early == sorted(early), key
        assert [n for n in taken if n in late] == sorted(set(taken) & late), key
