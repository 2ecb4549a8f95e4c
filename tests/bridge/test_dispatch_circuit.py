"""An outage of a service costs nothing but time."""

import threading
from collections.abc import Iterator

import pytest

from sidecar.bridge.dispatch import Dispatcher
from sidecar.clock import FakeClock
from sidecar.store import circuits, leases
from tests.bridge.dispatching import Post, idle, until
from tests.databases import Database
from tests.receiver import Exchange, Receiver, answer, hang

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def spent(post: Post) -> list[int]:
    return [row.attempts for row in post.rows()]


@only_sqlite
def test_open_circuit_parks_without_spending_an_attempt(post: Post) -> None:
    post.service("crm", max_concurrency=1)
    post.receiver.on("/crm", answer(503))
    post.queue(10)
    dispatcher = post.dispatcher()

    idle(dispatcher)

    assert len(post.receiver.requests) == 3
    assert post.circuit().state == "open"
    assert spent(post) == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert post.states() == {"pending": 10}


@only_sqlite
def test_long_outage_costs_one_probe_per_cooldown_and_no_attempts(post: Post) -> None:
    post.service("crm", max_concurrency=1)
    post.receiver.on("/crm", answer(503))
    post.queue(10)
    dispatcher = post.dispatcher()
    idle(dispatcher)

    for number in range(1, 6):
        post.clock.advance(29)
        idle(dispatcher)
        assert len(post.receiver.requests) == 3 + number - 1
        post.clock.advance(1)
        idle(dispatcher)
        assert len(post.receiver.requests) == 3 + number

    assert spent(post) == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert post.circuit().failures == 8
    assert post.letters() == []


@only_sqlite
def test_successful_probe_lets_everything_through(post: Post) -> None:
    post.service("crm", max_concurrency=1)
    post.receiver.on("/crm", answer(503), answer(503), answer(503), answer())
    post.queue(10)
    dispatcher = post.dispatcher()
    idle(dispatcher)

    post.clock.advance(30)
    until(dispatcher, lambda: post.states() == {"delivered": 10})

    assert len(post.receiver.requests) == 13
    circuit = post.circuit()
    assert (circuit.state, circuit.failures, circuit.probe_at) == ("closed", 0, None)


@only_sqlite
def test_circuit_that_is_reset_by_hand_sends_again(post: Post) -> None:
    post.service("crm")
    post.queue(5)
    post.open_circuit()
    post.clock.advance(-1)
    dispatcher = post.dispatcher()
    idle(dispatcher)
    assert post.receiver.requests == []

    with post.store.write() as conn:
        circuits.reset(conn, ["crm"], now=post.clock.now())
    post.clock.advance(1)

    until(dispatcher, lambda: post.states() == {"delivered": 5})


@only_sqlite
def test_poisoned_delivery_cannot_keep_the_circuit_open_for_the_others(post: Post) -> None:
    def choke(exchange: Exchange) -> bool:
        return answer(500 if b"poison" in exchange.request.body else 200)(exchange)

    post.service("crm", retry={"max_retries": 0})
    post.receiver.on("/crm", choke)
    post.queue(2, body='"poison"')
    post.queue(10, first=3)
    post.open_circuit()
    dispatcher = post.dispatcher()

    for _ in range(3):
        idle(dispatcher)
        post.clock.advance(30)
    for _ in range(3):
        idle(dispatcher)
        post.clock.advance(60)

    assert [row.state for row in post.rows()] == ["dead"] * 2 + ["delivered"] * 10
    assert post.circuit().state == "closed"


def test_two_replicas_send_one_probe_per_cooldown(post: Post) -> None:
    post.service("crm", max_concurrency=20)
    post.receiver.on("/crm", answer(503))
    post.queue(40)
    post.open_circuit()
    post.clock.advance(0.001)
    replicas = [post.dispatcher("replica-1"), post.dispatcher("replica-2")]

    for cooldown in range(1, 4):
        together(replicas)
        assert len(post.receiver.requests) == cooldown
        post.clock.advance(30)

    assert spent(post) == [0] * 40
    post.receiver.on("/crm", answer())
    together(replicas)
    post.clock.advance(1)
    for replica in replicas:
        idle(replica)
    assert post.states() == {"delivered": 40}
    assert len(post.receiver.requests) == 3 + 40


@only_sqlite
def test_probe_whose_holder_dies_is_sent_by_another_in_time(post: Post) -> None:
    post.service("crm", timeout=5)
    post.queue(2)
    post.open_circuit()
    post.clock.advance(0.001)
    post.receiver.on("/crm", hang())
    dying, living = post.dispatcher("replica-1"), post.dispatcher("replica-2")
    until(dying, lambda: len(post.receiver.requests) == 1)

    post.receiver.on("/crm", answer())
    post.clock.advance(14.9)
    idle(living)
    assert len(post.receiver.requests) == 1
    post.clock.advance(0.1)
    idle(living)

    assert len(post.receiver.requests) == 2
    assert post.circuit().state == "closed"
    assert post.states() == {"sending": 1, "delivered": 1}


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_probe_stays_free_while_there_is_nothing_to_probe_with(post: Post) -> None:
    post.service("crm")
    post.queue(1)
    post.open_circuit()
    post.clock.advance(0.001)
    before = post.circuit()
    dispatcher = post.dispatcher()

    with post.store.write() as conn:
        leases.claim(conn, {"crm": 1}, token="replica-2#1", now=post.clock.now(), lease_s=60)
        dispatcher.run_once()
        conn.rollback()

    assert post.circuit() == before
    until(dispatcher, lambda: post.states() == {"delivered": 1})


def together(replicas: list[Dispatcher]) -> None:
    """Let all replicas work at once until they have nothing more to do."""
    at_once = threading.Barrier(len(replicas))

    def work(replica: Dispatcher) -> None:
        at_once.wait(10)
        idle(replica)

    threads = [threading.Thread(target=work, args=(replica,)) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
