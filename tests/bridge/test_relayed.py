"""Deliveries at a real broker: circuits, pauses, replays and copies are as with the store's own queue."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from sidecar.bridge.courier import Courier, Outlet
from sidecar.bridge.dispatch import Dispatcher
from sidecar.bridge.relayed import Relayed
from sidecar.clock import FakeClock, SystemClock
from sidecar.errors import BrokerUnavailable
from sidecar.model import CircuitState, Delivery
from sidecar.settings.broker import read_broker
from sidecar.store import cursors, queue, relayed, services
from sidecar.transports.relay.consumer import Consumer
from sidecar.transports.relay.publisher import Publisher
from tests.bridge.conftest import MakeCampus
from tests.bridge.dispatching import Post, idle, until
from tests.broker import RabbitMQ
from tests.build import Campus
from tests.databases import Database
from tests.deliveries import delivery
from tests.receiver import Receiver, answer
from tests.relaying import door_to, lying_at, remove
from tests.rows import insert_rows, log_row
from tests.transports.brokers import Cable

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


class Relaying(Post):
    """The sending half with a broker. What is queued lies in the table until the courier brings it."""

    def __init__(self, url: str, clock: FakeClock, receiver: Receiver, broker: RabbitMQ) -> None:
        super().__init__(url, clock, receiver)
        self.broker, self.door = broker, door_to(broker, "bridge")
        self.courier = Courier(self.store, self.door, clock, lambda: list(self.wanted))
        self.publisher = Publisher(self.door, clock)

    def dispatcher(self, replica: str = "replica-1", **settings: Any) -> Dispatcher:
        consumer = Consumer(self.door, self.clock, lambda: None)
        engine = Relayed(self.store, consumer, Publisher(self.door, self.clock), self.clock, prefetch=20)
        return super().dispatcher(replica, carrier=engine, **settings)

    def lying(self) -> int:
        return lying_at(self.door)

    def close(self) -> None:
        super().close()
        self.courier.close()
        self.publisher.close()
        remove(self.broker, self.door)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def post(database: Database, clock: FakeClock, rabbitmq: RabbitMQ, receiver: Receiver) -> Iterator[Relaying]:
    made = Relaying(database.url, clock, receiver, rabbitmq)
    yield made
    made.close()


def rounds(post: Relaying, dispatchers: list[Dispatcher], reached: Callable[[], bool]) -> None:
    """Make rounds of all, by a clock that goes on slowly, until something is so."""

    def all_round() -> bool:
        post.clock.advance(0.05)
        for other in dispatchers[1:]:
            other.run_once()
        return reached()

    until(dispatchers[0], all_round)


def test_an_open_circuit_leaves_all_at_the_broker_and_one_probe_goes_out(post: Relaying) -> None:
    post.service("crm")
    post.receiver.on("/crm", answer(503))
    post.open_circuit()
    post.queue(6)
    post.courier.run_once()
    both = [post.dispatcher("one"), post.dispatcher("two")]
    post.clock.advance(30)
    rounds(post, both, lambda: len(post.attempts()) == 1)

    rounds(post, both, lambda: post.circuit().state is CircuitState.OPEN and post.lying() == 6)
    assert len(post.receiver.to("/crm")) == 1

    post.receiver.on("/crm", answer(200))
    post.clock.advance(30)
    rounds(post, both, lambda: post.states() == {"delivered": 6})
    assert len(post.receiver.to("/crm")) == 7


def test_a_pause_gives_back_and_what_is_cancelled_meanwhile_is_not_sent(post: Relaying) -> None:
    post.service("crm")
    post.queue(3)
    with post.store.write() as conn:
        services.pause(conn, "crm", pause=True, now=post.clock.now())
    post.courier.run_once()
    dispatcher = post.dispatcher()
    idle(dispatcher)
    assert (len(post.receiver.to("/crm")), post.lying()) == (0, 3)

    with post.store.write() as conn:
        assert queue.cancel(conn, ["crm-2"], now=post.clock.now()) == 1
        services.pause(conn, "crm", pause=False, now=post.clock.now())
    rounds(post, [dispatcher], lambda: post.states() == {"delivered": 2, "cancelled": 1})

    assert sorted(row.delivery_id for row in post.attempts()) == ["crm-1", "crm-3"]


def test_a_dead_letter_is_replayed_through_the_broker(post: Relaying) -> None:
    post.service("crm", retry={"max_retries": 0})
    post.receiver.on("/crm", answer(500))
    post.queue(2)
    post.courier.run_once()
    dispatcher = post.dispatcher()
    rounds(post, [dispatcher], lambda: post.states() == {"dead": 2})
    assert [letter.reason for letter in post.letters()] == ["exhausted", "exhausted"]

    post.receiver.on("/crm", answer(200))
    with post.store.write() as conn:
        queue.revive(conn, ["crm-1"], now=post.clock.now())
    assert post.courier.run_once() == 1
    rounds(post, [dispatcher], lambda: post.states() == {"delivered": 1, "dead": 1})


def test_a_retry_spends_an_attempt_and_waits_at_the_broker(post: Relaying) -> None:
    post.service("crm", retry={"max_retries": 2, "backoff": 60})
    post.receiver.on("/crm", answer(503))
    post.queue(1)
    post.courier.run_once()
    dispatcher = post.dispatcher()

    rounds(post, [dispatcher], lambda: len(post.attempts()) == 1 and post.lying() == 1)

    (row,) = post.rows()
    assert (row.state, row.attempts, row.last_status) == ("pending", 1, 503)


def test_died_before_the_commit_what_was_published_is_sent_once(post: Relaying) -> None:
    post.service("crm")
    outlet = Outlet(post.publisher)
    with post.store.write() as conn:
        outlet.enqueue(conn, [delivery(1)], now=post.clock.now())
        conn.rollback()
    dispatcher = post.dispatcher()
    idle(dispatcher)
    assert len(post.receiver.to("/crm")) == 0  # the table does not know it yet

    with post.store.write() as conn:
        outlet.enqueue(conn, [delivery(1)], now=post.clock.now())
    rounds(post, [dispatcher], lambda: post.states() == {"delivered": 1})
    rounds(post, [dispatcher], lambda: dispatcher.in_hand == 0)
    dispatcher.stop()

    assert (len(post.receiver.to("/crm")), post.lying()) == (1, 0)


class Parting(Outlet):
    """An outlet to which the way is blocked as soon as a transaction is open: only confirms are missing."""

    def __init__(self, publisher: Publisher, cable: Cable) -> None:
        super().__init__(publisher)
        self.cable = cable
        self.parts = False

    def enqueue(self, conn: Connection, deliveries: Sequence[Delivery], *, now: datetime) -> None:
        if self.parts:
            self.cable.hold(forth=False)
        super().enqueue(conn, deliveries, now=now)


def test_partitioned_before_the_confirms_the_cursor_stays_and_then_each_is_sent_once(
    make_campus: MakeCampus, moodle_db: Database, clock: FakeClock, rabbitmq: RabbitMQ, receiver: Receiver
) -> None:
    with (
        closing(Relaying(moodle_db.url, clock, receiver, rabbitmq)) as post,
        closing(Cable(rabbitmq.port)) as cable,
    ):
        post.service("crm")
        campus = make_campus({"name": "views", "event": r"\core\event\course_viewed"})
        door = replace(post.door, broker=read_broker(f"amqp://127.0.0.1:{cable.port}"), patience_s=1)
        outlet = Parting(Publisher(door, SystemClock()), cable)
        tail = campus.tail(outlet=outlet)
        tail.run_once()
        insert_rows(moodle_db.url, [log_row()])
        tail.run_once()
        before = position(campus)
        outlet.parts = True
        numbers = insert_rows(moodle_db.url, [log_row() for _ in range(30)])

        for _ in range(2):
            with pytest.raises(BrokerUnavailable, match="did not answer within 1 s"):
                tail.run_once()
        assert (position(campus), post.lying(), post.states()) == (before, 31, {"pending": 1})

        outlet.parts = False
        cable.heal()
        tail.run_once()
        assert (position(campus), post.lying()) == (numbers[-1], 61)
        dispatcher = post.dispatcher()
        rounds(post, [dispatcher], lambda: post.states() == {"delivered": 31} and post.lying() == 0)
        idle(dispatcher)
        outlet.close()

    sent = Counter(request.header("webhook-id") for request in receiver.requests)
    assert (len(sent), sent.total()) == (31, 31)


class Narrow(Outlet):
    """An outlet that gets no more than a few confirms in time."""

    def enqueue(self, conn: Connection, deliveries: Sequence[Delivery], *, now: datetime) -> None:
        if len(deliveries) > 7:
            raise BrokerUnavailable("it did not answer within 10 s")
        super().enqueue(conn, deliveries, now=now)


def test_what_is_too_much_for_the_broker_at_once_goes_out_in_smaller_pieces(
    make_campus: MakeCampus, moodle_db: Database, post: Relaying
) -> None:
    campus = make_campus({"name": "views", "event": r"\core\event\course_viewed"})
    tail = campus.tail(outlet=Narrow(post.publisher))
    tail.run_once()
    numbers = insert_rows(moodle_db.url, [log_row() for _ in range(40)])

    failures = 0
    while position(campus) < numbers[-1]:
        try:
            tail.run_once()
        except BrokerUnavailable:
            failures += 1

    # 1,000 is halved seven times; then 7 is enough, 8 too much, and after 4, 5, 6 and 7 once more.
    assert (post.lying(), failures) == (40, 9)


def position(campus: Campus) -> int:
    with campus.store.read() as conn:
        cursor = cursors.load(conn, "campus")
    assert cursor is not None
    return cursor.position


def test_what_nobody_has_queued_is_let_go_in_the_end(post: Relaying) -> None:
    post.service("crm")
    post.publisher.publish([delivery(1)])
    dispatcher = post.dispatcher()
    # Not before it has come: the clock must not jump while the connection is being made.
    rounds(post, [dispatcher], lambda: post.lying() == 0)
    for _ in range(3):
        post.clock.advance(61)
        dispatcher.run_once()
    dispatcher.stop()

    assert (len(post.receiver.to("/crm")), post.lying()) == (0, 0)


def test_messages_of_what_is_over_are_told_from_those_that_are_carried(post: Relaying) -> None:
    post.service("crm")
    post.queue(3)
    post.courier.run_once()
    carried = post.courier.copies({})

    post.publisher.publish([delivery(1), delivery(2)])

    assert (carried, post.courier.copies({}), post.courier.copies({"crm": 1})) == (0, 2, 3)


def test_what_the_broker_has_lost_is_brought_again(post: Relaying) -> None:
    post.service("crm")
    post.queue(4)
    post.courier.run_once()
    connection = post.broker.connect()
    connection.channel().queue_purge(post.door.topology.queue_of("crm"))
    connection.close()
    assert (post.courier.sweep(), post.lying()) == (0, 0)  # it may be on its way: not so soon

    post.clock.advance(16 * 60)
    assert post.courier.sweep() == 4
    assert post.courier.run_once() == 4

    rounds(post, [post.dispatcher()], lambda: post.states() == {"delivered": 4})


def test_the_slow_lane_leaves_the_way_free_for_what_is_new(post: Relaying) -> None:
    post.service("crm")
    post.queue(120, slow=True)
    assert post.courier.run_once() == 100
    post.queue(1, first=500)
    assert post.courier.run_once() == 1

    dispatcher = post.dispatcher()

    def brought() -> bool:
        post.courier.run_once()
        return post.states() == {"delivered": 121}

    rounds(post, [dispatcher], brought)


def test_without_a_broker_the_store_sends_what_was_there(post: Relaying) -> None:
    post.service("crm")
    post.queue(2)
    post.courier.run_once()

    with post.store.write() as conn:
        assert relayed.take_back(conn, ["crm"]) == 2
    until(Post.dispatcher(post), lambda: post.states() == {"delivered": 2})
    idle(post.dispatcher())

    assert len(post.receiver.to("/crm")) == 2
