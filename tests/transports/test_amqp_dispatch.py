"""From the queue of deliveries into a queue of the broker: the whole sending half, with a real broker."""

from collections.abc import Iterator

import pytest

from sidecar.clock import FakeClock
from sidecar.model import CircuitState
from tests.bridge.dispatching import Post, idle, until
from tests.broker import RabbitMQ
from tests.databases import Database
from tests.receiver import Receiver
from tests.transports.brokers import Inbox

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def inbox(rabbitmq: RabbitMQ) -> Iterator[Inbox]:
    made = Inbox(rabbitmq)
    yield made
    made.remove()


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def test_deliveries_arrive_in_the_broker_s_queue_with_their_ids(
    post: Post, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    post.service("bus", type="amqp", base_url=rabbitmq.url(), max_concurrency=4)
    post.queue(100, "bus", endpoint=inbox.name, headers={"X-Rule": "new-user"})

    dispatcher = post.dispatcher()
    until(dispatcher, lambda: post.states("bus") == {"delivered": 100})

    taken = inbox.take()
    assert sorted(properties.message_id for _, properties, _ in taken) == sorted(
        f"bus-{number}" for number in range(1, 101)
    )
    assert {body for _, _, body in taken} == {f'{{"n": {n}}}'.encode() for n in range(1, 101)}


def test_outage_of_the_broker_costs_nothing_but_time(post: Post, rabbitmq: RabbitMQ, inbox: Inbox) -> None:
    post.service("bus", type="amqp", base_url=rabbitmq.url(), max_concurrency=1)
    post.queue(10, "bus", endpoint=inbox.name)
    rabbitmq.kill()
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: post.circuit("bus").state is CircuitState.OPEN)
    idle(dispatcher)

    rabbitmq.start()
    post.clock.advance(60)
    until(dispatcher, lambda: post.states("bus") == {"delivered": 10})

    assert sorted(inbox.ids()) == sorted(f"bus-{number}" for number in range(1, 11))
    assert post.letters() == []


def test_unroutable_delivery_is_tried_again_and_becomes_a_dead_letter_that_says_why(
    post: Post, rabbitmq: RabbitMQ
) -> None:
    post.service("bus", type="amqp", base_url=rabbitmq.url(), retry={"max_retries": 1, "backoff": 1})
    post.queue(1, "bus", endpoint="no-such-queue")
    dispatcher = post.dispatcher()
    idle(dispatcher)
    post.clock.advance(1)

    until(dispatcher, lambda: post.states("bus") == {"dead": 1})

    (letter,) = post.letters()
    assert letter.reason == "exhausted"
    assert letter.error.startswith('unroutable: the default exchange leads "no-such-queue" to no queue')
    assert post.circuit("bus").state is CircuitState.CLOSED
