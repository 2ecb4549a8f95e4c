"""The store goes away, the process stops, the lease is lost: nothing is lost or sent in vain."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from sidecar.bridge.dispatch import Dispatcher
from sidecar.clock import FakeClock
from sidecar.store import leases
from sidecar.store.tables import dlq
from sidecar.store.tables import queue as queue_table
from tests.bridge.dispatching import Post, idle, known, quiet_clock, until
from tests.databases import Database
from tests.receiver import Receiver, answer, hang
from tests.servers import MariaDB

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def three_in_flight(post: Post) -> Dispatcher:
    post.service("crm")
    post.receiver.on("/crm", hang())
    post.queue(3)
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: len(post.receiver.requests) == 3)
    return dispatcher


def one_in_flight_three_waiting(post: Post, **settings: Any) -> Dispatcher:
    """The lane has learned that it is fast, and so has claimed ahead; now its one sender hangs."""
    post.service("crm", max_concurrency=1)
    post.queue(6)
    dispatcher = post.dispatcher(**settings)
    until(dispatcher, lambda: post.states() == {"delivered": 6})
    post.clock.advance(3)
    post.queue(1, first=7)
    until(dispatcher, lambda: post.states() == {"delivered": 7})
    post.receiver.on("/crm", hang())
    post.queue(10, first=11)
    until(dispatcher, lambda: len(post.receiver.requests) == 8)
    assert post.states() == {"delivered": 7, "sending": 4, "pending": 6}
    return dispatcher


@only_sqlite
def test_results_are_kept_while_the_store_is_away(post: Post) -> None:
    dispatcher = three_in_flight(post)
    post.store.away = True
    post.receiver.released.set()
    refused = 0
    while refused < 3:
        try:
            dispatcher.run_once()
        except OperationalError:
            refused += 1

    post.store.away = False
    until(dispatcher, lambda: post.states() == {"delivered": 3})

    assert len(post.receiver.requests) == 3
    assert len(post.attempts()) == 3


@only_sqlite
def test_what_was_delivered_while_the_store_was_away_for_long_is_not_sent_again(post: Post) -> None:
    dispatcher = three_in_flight(post)
    post.store.away = True
    post.receiver.released.set()
    while known(dispatcher) < 3:
        with suppress(OperationalError):
            dispatcher.run_once()
    post.clock.advance(61)
    post.store.away = False
    with post.store.write() as conn:
        assert leases.rescue(conn, now=post.clock.now(), lease_s=60) == 3

    idle(dispatcher)

    assert post.states() == {"delivered": 3}
    assert len(post.receiver.requests) == 3


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
def test_killed_database_costs_no_delivery(post: Post, mariadb: MariaDB) -> None:
    dispatcher = three_in_flight(post)
    mariadb.kill()
    post.receiver.released.set()
    with pytest.raises(OperationalError):
        until(dispatcher, lambda: False)

    mariadb.start()
    until(dispatcher, lambda: post.states() == {"delivered": 3})

    assert len(post.receiver.requests) == 3
    assert len(post.attempts()) == 3


@only_sqlite
def test_stop_finishes_what_is_in_flight_and_frees_the_rest(post: Post) -> None:
    dispatcher = one_in_flight_three_waiting(post)
    stopping = threading.Thread(target=dispatcher.stop)

    stopping.start()
    dispatcher._stopping.wait(10)
    post.receiver.released.set()
    stopping.join()

    assert len(post.receiver.requests) == 8
    assert post.states() == {"delivered": 8, "pending": 9}
    assert {row.leased_by for row in post.rows()} == {None}
    assert [row.attempts for row in post.rows()] == [1] * 8 + [0] * 9


@only_sqlite
def test_stop_gives_back_what_outlasts_the_grace(post: Post) -> None:
    dispatcher = one_in_flight_three_waiting(post, shutdown_grace=0.1)

    with quiet_clock(post.clock):
        dispatcher.stop()

    assert post.states() == {"delivered": 7, "pending": 10}
    assert {row.leased_by for row in post.rows()} == {None}


@only_sqlite
def test_lost_lease_is_logged_and_otherwise_left_to_its_new_holder(post: Post) -> None:
    dispatcher = three_in_flight(post)
    with post.store.write() as conn:
        conn.execute(
            update(queue_table).where(queue_table.c.delivery_id == "crm-2").values(leased_by="replica-2#1")
        )
    post.receiver.released.set()

    idle(dispatcher)

    assert [(row.state, row.leased_by) for row in post.rows()] == [
        ("delivered", None),
        ("sending", "replica-2#1"),
        ("delivered", None),
    ]
    assert len(post.attempts()) == 3


@only_sqlite
def test_lease_found_lost_at_its_renewal_is_not_sent_any_more(post: Post) -> None:
    dispatcher = one_in_flight_three_waiting(post)
    with post.store.write() as conn:
        sending = update(queue_table).where(queue_table.c.state == "sending")
        conn.execute(sending.values(leased_by="replica-2#1"))

    post.clock.advance(20)
    dispatcher.run_once()
    post.receiver.released.set()
    until(dispatcher, lambda: post.states() == {"delivered": 13, "sending": 4})

    assert len(post.receiver.requests) == 8 + 6


@only_sqlite
def test_long_request_keeps_its_lease(post: Post) -> None:
    post.service("crm", timeout=60)
    post.receiver.on("/crm", hang())
    post.queue(1)
    dispatcher = post.dispatcher(lease=90)
    until(dispatcher, lambda: len(post.receiver.requests) == 1)

    for _ in range(10):
        post.clock.advance(31)
        dispatcher.run_once()
        with post.store.write() as conn:
            assert leases.rescue(conn, now=post.clock.now(), lease_s=90) == 0
    post.receiver.released.set()
    until(dispatcher, lambda: post.states() == {"delivered": 1})

    assert len(post.receiver.requests) == 1


@only_sqlite
def test_dead_replicas_deliveries_are_sent_by_another_with_the_same_ids(post: Post) -> None:
    three_in_flight(post)
    post.receiver.on("/crm", answer())
    post.clock.advance(61)

    with post.store.write() as conn:
        leases.rescue(conn, now=post.clock.now(), lease_s=60)
    living = post.dispatcher("replica-2")
    until(living, lambda: post.states() == {"delivered": 3})

    ids = [str(one.header("webhook-id")) for one in post.receiver.requests]
    assert sorted(ids[:3]) == sorted(ids[3:]) == ["crm-1", "crm-2", "crm-3"]


@only_sqlite
def test_what_waits_for_a_service_that_left_is_handed_back_unsent(post: Post) -> None:
    dispatcher = one_in_flight_three_waiting(post)

    dispatcher.configure({})
    dispatcher.run_once()
    post.receiver.released.set()
    until(dispatcher, lambda: dispatcher.in_hand == 0)

    assert len(post.receiver.requests) == 8
    assert post.states() == {"delivered": 8, "pending": 9}
    assert [row.attempts for row in post.rows()] == [1] * 8 + [0] * 9


@only_sqlite
def test_answer_that_the_store_cannot_hold_keeps_no_other_delivery_from_being_settled(post: Post) -> None:
    post.service("crm")
    post.receiver.on("/crm", answer(200), answer(400, b"unspeakable"), answer(200))
    post.queue(3)
    with post.store.write() as conn:
        conn.execute(
            text(
                "CREATE TRIGGER guard BEFORE INSERT ON mih_log WHEN NEW.response LIKE '%unspeakable%' "
                "BEGIN SELECT RAISE(ABORT, 'cannot hold this'); END"
            )
        )
    dispatcher = post.dispatcher()

    until(dispatcher, lambda: len(post.receiver.requests) == 3 and dispatcher.in_hand == 0)

    with post.store.read() as conn:
        states = sorted(conn.execute(select(queue_table.c.state)).scalars())
        [letter] = conn.execute(select(dlq.c.error)).scalars()
    assert states == ["dead", "delivered", "delivered"]
    assert letter == "its text cannot be stored"
