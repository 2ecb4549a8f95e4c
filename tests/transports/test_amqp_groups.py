"""Groups of messages to a real broker: each has its own verdict, and none pays for its neighbour."""

import time
from collections.abc import Callable, Iterator

import pytest

from sidecar.clock import Clock, FakeClock, SystemClock
from sidecar.model import Attempt, Outcome
from sidecar.settings import Service
from sidecar.transports.amqp import AmqpTransport
from sidecar.transports.base import Request
from tests.broker import RabbitMQ
from tests.transports.brokers import Cable, Inbox
from tests.transports.conftest import request

TIMEOUT_S = 0.5
SLACK_S = 2.0

Open = Callable[..., AmqpTransport]


@pytest.fixture
def open_to() -> Iterator[Open]:
    """Open a transport to a broker's URL."""
    opened: list[AmqpTransport] = []

    def make(url: str, clock: Clock | None = None, timeout: float = 10) -> AmqpTransport:
        values = {"type": "amqp", "base_url": url, "timeout": timeout}
        opened.append(AmqpTransport(Service.model_validate(values), clock or SystemClock()))
        return opened[-1]

    yield make
    for transport in opened:
        transport.close()


@pytest.fixture
def inbox(rabbitmq: RabbitMQ) -> Iterator[Inbox]:
    made = Inbox(rabbitmq)
    yield made
    made.remove()


@pytest.fixture
def cable(rabbitmq: RabbitMQ) -> Iterator[Cable]:
    made = Cable(rabbitmq.port)
    yield made
    made.close()


@pytest.fixture
def picky(rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    """The broker takes at most 1,000 bytes."""
    before = rabbitmq.limit(1000)
    yield rabbitmq
    rabbitmq.limit(before)


def group(endpoint: str, numbers: range = range(1, 5), **changes: object) -> list[Request]:
    return [request(endpoint, delivery_id=f"d-{number}", **changes) for number in numbers]


def outcomes(attempts: list[Attempt]) -> list[Outcome]:
    return [attempt.outcome for attempt in attempts]


def said(attempt: Attempt) -> str:
    assert attempt.error is not None
    return attempt.error


def test_group_arrives_in_order_over_one_connection(open_to: Open, cable: Cable, inbox: Inbox) -> None:
    transport = open_to(f"amqp://127.0.0.1:{cable.port}")

    attempts = transport.send_many(group(inbox.name, range(transport.at_once)))

    assert outcomes(attempts) == [Outcome.DELIVERED] * 100
    assert inbox.ids() == [f"d-{number}" for number in range(100)]
    assert cable.connections == 1


def test_group_of_none_connects_to_nothing(open_to: Open) -> None:
    assert open_to("amqp://127.0.0.1:1").send_many([]) == []


def test_each_message_has_its_own_verdict(open_to: Open, rabbitmq: RabbitMQ, inbox: Inbox) -> None:
    full = Inbox(rabbitmq, **{"x-max-length": 1, "x-overflow": "reject-publish"})
    keys = [inbox.name, "no-such-queue", full.name, "k" * 256, full.name, inbox.name]
    requests = [request(key, delivery_id=f"d-{number}") for number, key in enumerate(keys)]

    attempts = open_to(rabbitmq.url()).send_many(requests)

    assert outcomes(attempts) == [
        Outcome.DELIVERED,
        Outcome.BUSY,
        Outcome.DELIVERED,
        Outcome.INVALID,
        Outcome.FAILED,
        Outcome.DELIVERED,
    ]
    assert said(attempts[1]).startswith('unroutable: the default exchange leads "no-such-queue" to no queue')
    assert "did not take the message (nack); is its queue full?" in said(attempts[4])
    assert inbox.ids() == ["d-0", "d-5"]
    full.remove()


@pytest.mark.parametrize(
    ("keys", "verdicts"),
    [
        (["queue", "none"], [Outcome.DELIVERED, Outcome.BUSY]),
        (["none", "queue"], [Outcome.BUSY, Outcome.DELIVERED]),
        (["none", "none"], [Outcome.BUSY, Outcome.BUSY]),
        (["queue", "queue"], [Outcome.DELIVERED, Outcome.DELIVERED]),
    ],
    ids=" then ".join,
)
def test_one_id_twice_in_a_group_does_not_mix_the_verdicts(
    open_to: Open, rabbitmq: RabbitMQ, inbox: Inbox, keys: list[str], verdicts: list[Outcome]
) -> None:
    names = {"queue": inbox.name, "none": "no-such-queue"}

    attempts = open_to(rabbitmq.url()).send_many([request(names[key], delivery_id="d-1") for key in keys])

    assert outcomes(attempts) == verdicts
    assert inbox.ids() == ["d-1"] * keys.count("queue")


def test_message_that_comes_back_once_is_delivered_once_its_queue_is_there(
    open_to: Open, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    transport = open_to(rabbitmq.url())
    first = transport.send_many([request("later"), request(inbox.name, delivery_id="d-2")])

    second = transport.send_many([request(inbox.name), request(inbox.name, delivery_id="d-2")])

    assert outcomes(first) == [Outcome.BUSY, Outcome.DELIVERED]
    assert outcomes(second) == [Outcome.DELIVERED] * 2


def test_large_unroutable_messages_come_back_without_a_jam(open_to: Open, rabbitmq: RabbitMQ) -> None:
    transport = open_to(rabbitmq.url(), timeout=60)

    attempts = transport.send_many(group("no-such-queue", range(30), body=b"x" * 500_000))

    assert outcomes(attempts) == [Outcome.BUSY] * 30


@pytest.mark.parametrize("place", [0, 7, 19])
def test_message_too_large_for_the_broker_is_rejected_and_its_neighbours_are_delivered(
    open_to: Open, picky: RabbitMQ, inbox: Inbox, place: int
) -> None:
    requests = group(inbox.name, range(20))
    requests[place] = request(inbox.name, delivery_id=f"d-{place}", body=b"x" * 1001)

    attempts = open_to(picky.url()).send_many(requests)

    assert outcomes(attempts) == [
        Outcome.REJECTED if number == place else Outcome.DELIVERED for number in range(20)
    ]
    assert "message size 1001" in said(attempts[place])
    assert set(inbox.ids()) == {f"d-{number}" for number in range(20) if number != place}


def test_several_messages_that_are_too_large_are_all_found(
    open_to: Open, picky: RabbitMQ, inbox: Inbox
) -> None:
    bodies = [b"x" * 1001 if number in (2, 3, 4, 5, 9) else b"{}" for number in range(12)]
    requests = [request(inbox.name, delivery_id=f"d-{n}", body=body) for n, body in enumerate(bodies)]

    attempts = open_to(picky.url()).send_many(requests)

    assert [n for n, one in enumerate(attempts) if one.outcome is Outcome.REJECTED] == [2, 3, 4, 5, 9]
    assert [n for n, one in enumerate(attempts) if one.outcome is Outcome.DELIVERED] == [
        0,
        1,
        6,
        7,
        8,
        10,
        11,
    ]


def test_routing_key_that_the_account_may_not_use_harms_no_neighbour(
    open_to: Open, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    rabbitmq.add_user("narrow", "p", "", ".*", "")
    rabbitmq.permit_topic("narrow", "amq.topic", "^grades")
    inbox.bind("amq.topic", "#")
    url = f"amqp://narrow:p@127.0.0.1:{rabbitmq.port}?exchange=amq.topic"
    keys = ["grades.1", "users.1", "grades.2", "grades.3"]

    attempts = open_to(url).send_many([request(key, delivery_id=key) for key in keys])
    rabbitmq.remove_user("narrow")

    assert outcomes(attempts) == [Outcome.DELIVERED, Outcome.FAILED, Outcome.DELIVERED, Outcome.DELIVERED]
    assert attempts[1].status == 403
    assert set(inbox.ids()) == {"grades.1", "grades.2", "grades.3"}


def test_missing_exchange_fails_the_group_without_trying_every_message(open_to: Open, cable: Cable) -> None:
    transport = open_to(f"amqp://127.0.0.1:{cable.port}?exchange=no-such-exchange")

    attempts = transport.send_many(group("q", range(100)))

    assert {(one.outcome, one.status) for one in attempts} == {(Outcome.FAILED, 404)}
    assert cable.connections == 4


def test_what_was_confirmed_before_the_connection_broke_is_delivered(
    open_to: Open, cable: Cable, inbox: Inbox
) -> None:
    cable.breaks_after = 1_500_000
    transport = open_to(f"amqp://127.0.0.1:{cable.port}")

    attempts = transport.send_many(group(inbox.name, body=b"x" * 600_000))

    assert outcomes(attempts) == [Outcome.DELIVERED, Outcome.DELIVERED, Outcome.FAILED, Outcome.FAILED]
    assert inbox.ids() == ["d-1", "d-2"]


def test_idle_connection_that_was_cut_costs_a_group_nothing(
    open_to: Open, cable: Cable, inbox: Inbox
) -> None:
    transport = open_to(f"amqp://127.0.0.1:{cable.port}")
    transport.send(request(inbox.name, delivery_id="d-0"))
    cable.cut()

    attempts = transport.send_many(group(inbox.name))

    assert outcomes(attempts) == [Outcome.DELIVERED] * 4
    assert inbox.ids() == ["d-0", "d-1", "d-2", "d-3", "d-4"]
    assert cable.connections == 2


def test_group_shares_one_timeout(open_to: Open, cable: Cable, inbox: Inbox) -> None:
    transport = open_to(f"amqp://127.0.0.1:{cable.port}", timeout=TIMEOUT_S)
    transport.send(request(inbox.name))
    cable.mute()
    started = time.monotonic()

    attempts = transport.send_many(group(inbox.name, range(100)))

    assert outcomes(attempts) == [Outcome.FAILED] * 100
    assert said(attempts[99]) == f"127.0.0.1:{cable.port} did not confirm the message within 0.5 s"
    assert time.monotonic() - started < TIMEOUT_S + SLACK_S


def test_neighbours_that_no_time_is_left_for_are_not_charged(
    open_to: Open, cable: Cable, clock: FakeClock, picky: RabbitMQ, inbox: Inbox
) -> None:
    cable.on_connection = lambda number: clock.advance(60) if number == 2 else None
    transport = open_to(f"amqp://127.0.0.1:{cable.port}", clock)
    requests = [request(inbox.name, body=b"x" * 1001), *group(inbox.name, range(2, 5))]

    attempts = transport.send_many(requests)

    assert outcomes(attempts) == [Outcome.FAILED, Outcome.UNSENT, Outcome.UNSENT, Outcome.UNSENT]
    assert said(attempts[3]) == (
        f"127.0.0.1:{cable.port} refused a message that was sent together with this one,"
        " and no time was left to send this one again"
    )


def test_alarmed_broker_fails_the_group_in_time_and_nothing_is_lost(
    open_to: Open, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    rabbitmq.alarm(on=True)
    transport = open_to(rabbitmq.url(), timeout=TIMEOUT_S)
    blocked = [transport.send_many(group(inbox.name)) for _ in range(3)]
    rabbitmq.alarm(on=False)
    transport = open_to(rabbitmq.url())

    attempts = transport.send_many(group(inbox.name))

    for tries in blocked:
        assert outcomes(tries) == [Outcome.FAILED] * 4
        assert said(tries[3]) == f"127.0.0.1:{rabbitmq.port} takes no messages just now: low on memory"
    assert outcomes(attempts) == [Outcome.DELIVERED] * 4
    assert set(inbox.ids()) == {"d-1", "d-2", "d-3", "d-4"}


def test_killed_broker_fails_the_group_and_takes_it_when_it_is_back(
    open_to: Open, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    transport = open_to(rabbitmq.url())
    transport.send_many(group(inbox.name, range(1, 3)))
    rabbitmq.kill()
    while_down = transport.send_many(group(inbox.name, range(3, 5)))
    rabbitmq.start()

    attempts = transport.send_many(group(inbox.name, range(3, 5)))

    assert outcomes(while_down) == [Outcome.FAILED] * 2
    assert outcomes(attempts) == [Outcome.DELIVERED] * 2
    assert inbox.ids() == ["d-1", "d-2", "d-3", "d-4"]


def test_name_of_the_event_is_the_type_of_the_message(
    open_to: Open, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    requests = [request(inbox.name, event=r"\core\event\user_created"), request(inbox.name)]

    open_to(rabbitmq.url()).send_many(requests)

    assert [properties.type for _, properties, _ in inbox.take()] == [r"\core\event\user_created", None]
