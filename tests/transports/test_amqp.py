"""AMQP against a real broker: what arrives, where, and what becomes of messages that nobody takes."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import pika.exceptions
import pytest

from sidecar.clock import FakeClock
from sidecar.errors import ConfigError
from sidecar.model import Attempt, Outcome
from sidecar.settings import Service
from sidecar.transports.amqp import AmqpTransport, classify
from tests.broker import RabbitMQ
from tests.transports.brokers import Inbox, messages
from tests.transports.conftest import Connect, request

MakeInbox = Callable[..., Inbox]


@pytest.fixture
def kind() -> str:
    return "amqp"


@pytest.fixture
def make_inbox(rabbitmq: RabbitMQ) -> Iterator[MakeInbox]:
    made: list[Inbox] = []

    def make(**arguments: Any) -> Inbox:
        made.append(Inbox(rabbitmq, **arguments))
        return made[-1]

    yield make
    for inbox in made:
        inbox.remove()


@pytest.fixture
def inbox(make_inbox: MakeInbox) -> Inbox:
    return make_inbox()


@pytest.fixture
def exchange(rabbitmq: RabbitMQ) -> Iterator[str]:
    with closing(rabbitmq.connect()) as admin:
        admin.channel().exchange_declare("mih-test-topic", "topic", durable=True)
    yield "mih-test-topic"
    with closing(rabbitmq.connect()) as admin:
        admin.channel().exchange_delete("mih-test-topic")


def said(attempt: Attempt) -> str:
    assert attempt.error is not None
    return attempt.error


def test_message_arrives_with_its_id_and_survives_a_restart_of_the_broker(
    connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    attempt = connect(rabbitmq.url()).send(request(inbox.name, headers={"X-Rule": "new-user"}))
    rabbitmq.kill()
    rabbitmq.start()

    assert (attempt.outcome, attempt.status, attempt.error) == (Outcome.DELIVERED, None, None)
    ((_, properties, body),) = inbox.take()
    assert body == b'{"a": 1}'
    assert properties.message_id == "d-1"
    assert properties.delivery_mode == 2
    assert properties.content_type == "application/json"
    assert properties.headers == {"X-Rule": "new-user"}
    assert properties.app_id == "moodle-integration-hub"


def test_timestamp_is_the_time_of_sending(rabbitmq: RabbitMQ, inbox: Inbox, clock: FakeClock) -> None:
    transport = AmqpTransport(Service(type="amqp", base_url=rabbitmq.url()), clock)

    transport.send(request(inbox.name))
    transport.close()

    ((_, properties, _),) = inbox.take()
    assert properties.timestamp == 1772438400  # 2026-03-02 08:00 UTC


def test_rule_s_headers_stand_over_the_service_s(connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox) -> None:
    transport = connect(rabbitmq.url(), headers={"X-Tenant": "campus", "X-Kept": "yes"})

    transport.send(request(inbox.name, headers={"x-tenant": "Zoë 😀", "Content-Type": "text/xml"}))

    ((_, properties, _),) = inbox.take()
    assert properties.headers == {"x-tenant": "Zoë 😀", "X-Kept": "yes"}


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 3_000_000])
def test_body_of_any_size_arrives_unharmed(
    connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox, size: int
) -> None:
    body = bytes(number % 251 for number in range(size))

    attempt = connect(rabbitmq.url()).send(request(inbox.name, body=body))

    assert attempt.outcome is Outcome.DELIVERED
    assert [taken for _, _, taken in inbox.take()] == [body]


def test_message_without_a_body_is_empty(connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox) -> None:
    connect(rabbitmq.url()).send(request(inbox.name, body=None))

    ((_, properties, body),) = inbox.take()
    assert (body, properties.content_type) == (b"", None)


def test_endpoint_is_the_routing_key_and_the_url_s_stands_in_for_none(
    connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox, exchange: str
) -> None:
    inbox.bind(exchange, "user.#")
    transport = connect(rabbitmq.url(query=f"exchange={exchange}&routing_key=user.any"))

    outcomes = [transport.send(request(key)).outcome for key in ("user.created", "", "course.created")]

    assert outcomes == [Outcome.DELIVERED, Outcome.DELIVERED, Outcome.BUSY]
    assert [method.routing_key for method, _, _ in inbox.take()] == ["user.created", "user.any"]


def test_queue_is_declared_bound_and_has_its_dead_letter_queue(
    connect: Connect, rabbitmq: RabbitMQ, exchange: str
) -> None:
    query = f"exchange={exchange}&routing_key=user.%23&queue_declare=mih-test-a&dlq=mih-test-b"

    attempt = connect(rabbitmq.url(query=query)).send(request("user.created"))

    assert attempt.outcome is Outcome.DELIVERED
    with closing(rabbitmq.connect()) as admin:
        channel = admin.channel()
        method, _, _ = channel.basic_get("mih-test-a")
        channel.basic_nack(method.delivery_tag, requeue=False)
    assert [properties.message_id for _, properties, _ in messages(rabbitmq, "mih-test-b")] == ["d-1"]
    delete(rabbitmq, "mih-test-a", "mih-test-b")


def test_declared_queue_takes_what_names_no_routing_key(connect: Connect, rabbitmq: RabbitMQ) -> None:
    attempt = connect(rabbitmq.url(query="queue_declare=mih-test-a")).send(request(""))

    assert attempt.outcome is Outcome.DELIVERED
    assert [properties.message_id for _, properties, _ in messages(rabbitmq, "mih-test-a")] == ["d-1"]
    delete(rabbitmq, "mih-test-a")


def test_declared_queue_that_somebody_deletes_is_there_again_for_the_retry(
    connect: Connect, rabbitmq: RabbitMQ
) -> None:
    transport = connect(rabbitmq.url(query="queue_declare=mih-test-a"))
    transport.send(request(""))
    delete(rabbitmq, "mih-test-a")

    outcomes = [transport.send(request("")).outcome for _ in range(2)]

    assert outcomes == [Outcome.BUSY, Outcome.DELIVERED]
    delete(rabbitmq, "mih-test-a")


def test_queue_that_is_there_with_other_properties_is_a_failure_that_names_it(
    connect: Connect, rabbitmq: RabbitMQ, make_inbox: MakeInbox
) -> None:
    other = make_inbox(**{"x-max-length": 5})

    attempt = connect(rabbitmq.url(query=f"queue_declare={other.name}")).send(request(""))

    assert (attempt.outcome, attempt.status) == (Outcome.FAILED, 406)
    assert f"refused to declare the queue {other.name}: PRECONDITION_FAILED" in said(attempt)


def test_unroutable_message_is_no_sign_of_an_ill_broker_and_fits_when_the_queue_is_there(
    connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox, exchange: str
) -> None:
    transport = connect(rabbitmq.url(query=f"exchange={exchange}"))
    first = transport.send(request("user.created"))
    inbox.bind(exchange, "user.created")

    second = transport.send(request("user.created"))

    assert (first.outcome, first.status) == (Outcome.BUSY, 312)
    assert said(first) == (
        'unroutable: the exchange mih-test-topic leads "user.created" to no queue; declare or bind one'
    )
    assert second.outcome is Outcome.DELIVERED
    assert inbox.ids() == ["d-1"]


def test_exchange_that_is_not_there_is_a_failure_and_the_next_message_may_go(
    connect: Connect, rabbitmq: RabbitMQ
) -> None:
    transport = connect(rabbitmq.url(query="exchange=mih-test-late"))

    first = transport.send(request("x"))
    with closing(rabbitmq.connect()) as admin:
        admin.channel().exchange_declare("mih-test-late", "fanout")
    second = transport.send(request("x"))
    with closing(rabbitmq.connect()) as admin:
        admin.channel().exchange_delete("mih-test-late")

    assert (first.outcome, first.status) == (Outcome.FAILED, 404)
    assert "refused the message: NOT_FOUND - no exchange 'mih-test-late' in vhost '/' (404)" in said(first)
    assert second.outcome is Outcome.BUSY


def test_queue_that_is_full_refuses_and_the_message_is_tried_again(
    connect: Connect, rabbitmq: RabbitMQ, make_inbox: MakeInbox
) -> None:
    full = make_inbox(**{"x-max-length": 1, "x-overflow": "reject-publish"})
    transport = connect(rabbitmq.url())

    outcomes = [transport.send(request(full.name, delivery_id=f"d-{n}")).outcome for n in (1, 2)]
    ids = full.ids()
    again = transport.send(request(full.name, delivery_id="d-2"))

    assert outcomes == [Outcome.DELIVERED, Outcome.FAILED]
    assert ids == ["d-1"]
    assert again.outcome is Outcome.DELIVERED
    assert full.ids() == ["d-2"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"endpoint": "é" * 128}, "it cannot be sent: the routing key is longer than 255 bytes"),
        ({"delivery_id": "d" * 256}, "it cannot be sent: a name is longer than 255 bytes"),
        ({"headers": {"h" * 256: "x"}}, "it cannot be sent: a name is longer than 255 bytes"),
        ({"endpoint": "\ud800"}, "it cannot be sent: 'utf-8' codec"),
    ],
    ids=["routing key", "id", "header", "surrogate"],
)
def test_message_that_no_frame_can_carry_is_invalid_and_never_sent(
    connect: Connect, changes: dict[str, Any], sentence: str
) -> None:
    attempt = connect("amqp://127.0.0.1:1").send(request(**{"endpoint": "q", **changes}))

    assert attempt.outcome is Outcome.INVALID
    assert said(attempt).startswith(sentence)


def test_message_over_the_broker_s_limit_is_rejected_and_the_next_one_goes(
    connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    before = rabbitmq.limit(1000)
    transport = connect(rabbitmq.url())

    first = transport.send(request(inbox.name, body=b"x" * 1001))
    second = transport.send(request(inbox.name))
    rabbitmq.limit(before)

    assert (first.outcome, first.status) == (Outcome.REJECTED, 406)
    assert "refused the message: PRECONDITION_FAILED - message size 1001" in said(first)
    assert second.outcome is Outcome.DELIVERED


@pytest.mark.parametrize(
    ("code", "of_message", "outcome"),
    [
        (311, True, Outcome.REJECTED),
        (406, True, Outcome.REJECTED),
        (406, False, Outcome.FAILED),
        (403, True, Outcome.FAILED),
        (404, True, Outcome.FAILED),
        (320, True, Outcome.FAILED),
        (541, True, Outcome.FAILED),
    ],
)
def test_code_is_classified(code: int, of_message: bool, outcome: Outcome) -> None:
    assert classify(code, of_message=of_message) is outcome


def test_login_with_a_wrong_password_is_a_failure_without_the_password(
    connect: Connect, rabbitmq: RabbitMQ
) -> None:
    attempt = connect(f"amqp://guest:s3cret-pass@127.0.0.1:{rabbitmq.port}").send(request("q"))

    assert (attempt.outcome, attempt.status) == (Outcome.FAILED, 403)
    assert "refused the connection: ACCESS_REFUSED - Login was refused" in said(attempt)
    assert "s3cret" not in said(attempt)


def test_virtual_host_that_is_not_there_is_a_failure_that_names_it(
    connect: Connect, rabbitmq: RabbitMQ
) -> None:
    attempt = connect(rabbitmq.url("camp/us")).send(request("q"))

    assert (attempt.outcome, attempt.status) == (Outcome.FAILED, 530)
    assert "refused the connection: NOT_ALLOWED - vhost camp/us not found (530)" in said(attempt)


def test_user_and_password_may_stand_in_auth(connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox) -> None:
    rabbitmq.add_user("moodle", "p@ss:w/ord", "", ".*", "")
    url = f"amqp://127.0.0.1:{rabbitmq.port}"

    attempt = connect(url, auth={"type": "basic", "username": "moodle", "password": "p@ss:w/ord"}).send(
        request(inbox.name)
    )
    rabbitmq.remove_user("moodle")

    assert attempt.outcome is Outcome.DELIVERED


def test_account_that_may_not_write_is_a_failure(connect: Connect, rabbitmq: RabbitMQ) -> None:
    rabbitmq.add_user("reader", "p", "", "", ".*")
    url = f"amqp://reader:p@127.0.0.1:{rabbitmq.port}?exchange=amq.topic"

    attempt = connect(url).send(request("q"))
    rabbitmq.remove_user("reader")

    assert (attempt.outcome, attempt.status) == (Outcome.FAILED, 403)
    assert "refused the message: ACCESS_REFUSED" in said(attempt)


def test_tls_is_verified_against_the_authority_of_the_service(
    connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    refused = connect(rabbitmq.tls_url()).send(request(inbox.name))
    transport = connect(rabbitmq.tls_url(), tls={"ca": str(rabbitmq.authority.file)})

    attempts = [transport.send(request(inbox.name, delivery_id=f"d-{n}")) for n in (1, 2)]

    assert refused.outcome is Outcome.FAILED
    assert "certificate verify failed" in said(refused)
    assert [one.outcome for one in attempts] == [Outcome.DELIVERED] * 2
    assert inbox.ids() == ["d-1", "d-2"]


def test_url_that_cannot_be_read_is_a_problem_of_the_configuration() -> None:
    service = Service(type="amqp", base_url="amqp://broker/?exchnge=x")

    with pytest.raises(ConfigError, match='unknown key, did you mean "exchange"'):
        AmqpTransport(service, FakeClock())


def delete(broker: RabbitMQ, *queues: str) -> None:
    with closing(broker.connect()) as admin, suppress(pika.exceptions.ChannelClosed):
        for queue in queues:
            admin.channel().queue_delete(queue)
