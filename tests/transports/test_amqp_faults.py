"""Whatever the broker or the wire does: an Attempt in time, nothing lost, and the next message goes."""

import logging
import time
from collections.abc import Iterator

import pytest

from sidecar.clock import SystemClock
from sidecar.gateway.line import Line
from sidecar.model import Attempt, Outcome
from sidecar.settings import NetworkRules, Service
from sidecar.transports.base import Transport, open_transport
from tests.broker import RabbitMQ
from tests.deliveries import delivery
from tests.transports.brokers import Cable, Inbox, listener
from tests.transports.certificates import Authority
from tests.transports.conftest import Connect, request

TIMEOUT_S = 0.5
# How much longer than its timeout an attempt may take on a busy machine; without a deadline it is for ever.
SLACK_S = 2.0


@pytest.fixture
def kind() -> str:
    return "amqp"


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
def alarmed(rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    rabbitmq.alarm(on=True)
    yield rabbitmq
    rabbitmq.alarm(on=False)


def timed(transport: Transport, queue: str, number: int = 1, **changes: object) -> tuple[Attempt, float]:
    started = time.monotonic()
    attempt = transport.send(request(queue, delivery_id=f"d-{number}", **changes))
    return attempt, time.monotonic() - started


def said(attempt: Attempt) -> str:
    assert attempt.error is not None
    return attempt.error


def test_one_connection_serves_many_messages(connect: Connect, cable: Cable, inbox: Inbox) -> None:
    transport = connect(f"amqp://127.0.0.1:{cable.port}")

    outcomes = {timed(transport, inbox.name, number)[0].outcome for number in range(50)}

    assert outcomes == {Outcome.DELIVERED}
    assert inbox.ids() == [f"d-{number}" for number in range(50)]
    assert cable.connections == 1


def test_idle_connection_that_was_cut_is_replaced_without_a_failed_attempt(
    connect: Connect, cable: Cable, inbox: Inbox
) -> None:
    transport = connect(f"amqp://127.0.0.1:{cable.port}")
    timed(transport, inbox.name, 1)
    cable.cut()

    attempt, _ = timed(transport, inbox.name, 2)

    assert attempt.outcome is Outcome.DELIVERED
    assert inbox.ids() == ["d-1", "d-2"]
    assert cable.connections == 2


def test_broker_that_is_killed_between_messages_loses_none(
    connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    transport = connect(rabbitmq.url())
    first, _ = timed(transport, inbox.name, 1)
    rabbitmq.kill()
    while_down, took_s = timed(transport, inbox.name, 2)
    rabbitmq.start()

    again, _ = timed(transport, inbox.name, 2)

    assert first.outcome is Outcome.DELIVERED
    assert while_down.outcome is Outcome.FAILED
    assert said(while_down) == (
        f"could not connect to 127.0.0.1:{rabbitmq.port}: [Errno 111] Connection refused"
    )
    assert took_s < SLACK_S
    assert again.outcome is Outcome.DELIVERED
    assert inbox.ids() == ["d-1", "d-2"]


def test_broker_that_was_restarted_in_good_order_costs_no_attempt(
    connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox
) -> None:
    transport = connect(rabbitmq.url())
    timed(transport, inbox.name, 1)
    rabbitmq.restart()

    attempt, _ = timed(transport, inbox.name, 2)

    assert attempt.outcome is Outcome.DELIVERED
    assert inbox.ids() == ["d-1", "d-2"]


def test_confirm_that_does_not_come_is_a_failure_in_time(
    connect: Connect, cable: Cable, inbox: Inbox
) -> None:
    transport = connect(f"amqp://127.0.0.1:{cable.port}", timeout=TIMEOUT_S)
    timed(transport, inbox.name, 1)
    cable.mute()

    attempt, took_s = timed(transport, inbox.name, 2)

    assert attempt.outcome is Outcome.FAILED
    assert said(attempt) == f"127.0.0.1:{cable.port} did not confirm the message within 0.5 s"
    assert TIMEOUT_S <= took_s < TIMEOUT_S + SLACK_S


@pytest.mark.parametrize("size", [10, 30_000_000])
def test_alarmed_broker_fails_in_time_with_its_reason_and_nothing_is_lost(
    connect: Connect, alarmed: RabbitMQ, inbox: Inbox, size: int
) -> None:
    transport = connect(alarmed.url(), timeout=TIMEOUT_S)
    blocked = [timed(transport, inbox.name, number, body=b"x" * size) for number in (1, 2, 3)]
    alarmed.alarm(on=False)
    transport = connect(alarmed.url())

    again = [timed(transport, inbox.name, number)[0].outcome for number in (1, 2, 3)]

    for attempt, took_s in blocked:
        assert attempt.outcome is Outcome.FAILED
        assert said(attempt) == f"127.0.0.1:{alarmed.port} takes no messages just now: low on memory"
        assert took_s < TIMEOUT_S + SLACK_S
    assert again == [Outcome.DELIVERED] * 3
    assert set(inbox.ids()) == {"d-1", "d-2", "d-3"}


def test_link_that_waits_for_the_end_of_an_alarm_sends_no_further_copies(
    connect: Connect, alarmed: RabbitMQ, inbox: Inbox
) -> None:
    transport = connect(alarmed.url(), timeout=TIMEOUT_S)
    blocked = {timed(transport, inbox.name, 1)[0].outcome for _ in range(4)}
    alarmed.alarm(on=False)

    attempt, _ = timed(transport, inbox.name, 1)

    assert blocked == {Outcome.FAILED}
    assert attempt.outcome is Outcome.DELIVERED
    assert inbox.ids() == ["d-1", "d-1"]


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "did not answer in AMQP: it speaks HTTP; is it the port of the management pages?",
        ),
        (b"\x15\x03\x01\x00\x02\x02\x46", "did not answer in AMQP: it wants TLS; write amqps://"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "did not answer in AMQP: b'SSH-2.0-OpenSSH_9.6"),
        (b"\x01\x00\x00\x00\x00\x00\x04\xff\xff\xff\xff\xce", "did not answer in AMQP: KeyError"),
        (b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0a\x00", "did not answer in AMQP: InvalidFrameError"),
        (b"\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x0a\xce", "did not answer in AMQP: "),
        (b"\x01\x00\x00\xff\xff\xff\xff" + b"x" * 2_000_000, "did not answer in AMQP: a frame is too long"),
    ],
    ids=["http", "tls", "ssh", "unknown method", "no end mark", "half a method", "endless frame"],
)
def test_nonsense_is_a_failure_that_says_what_it_was(
    connect: Connect, rabbitmq: RabbitMQ, says: bytes, sentence: str
) -> None:
    with listener(says) as port:
        attempt = connect(f"amqp://127.0.0.1:{port}").send(request("q"))

    assert attempt.outcome is Outcome.FAILED
    assert said(attempt).startswith(f"127.0.0.1:{port} {sentence}")


@pytest.mark.parametrize(
    ("says", "how"),
    [
        (b"", "without an answer"),
        (b"AMQP\x00\x00\x09\x01", "in the middle of its answer"),
        (b"\x01\x00\x00", "in the middle of its answer"),
    ],
    ids=["nothing", "another version", "half a frame"],
)
def test_broker_that_hangs_up_is_a_failure(connect: Connect, says: bytes, how: str) -> None:
    with listener(says, then_closes=True) as port:
        attempt = connect(f"amqp://127.0.0.1:{port}").send(request("q"))

    assert attempt.outcome is Outcome.FAILED
    assert said(attempt) == f"127.0.0.1:{port} closed the connection {how}"


@pytest.mark.parametrize("says", [b"", b"\x01\x00\x00"], ids=["nothing", "half a frame"])
def test_broker_that_accepts_and_hangs_is_given_up_at_the_deadline(connect: Connect, says: bytes) -> None:
    with listener(says) as port:
        attempt, took_s = timed(connect(f"amqp://127.0.0.1:{port}", timeout=TIMEOUT_S), "q")

    assert attempt.outcome is Outcome.FAILED
    assert said(attempt) == f"no answer from 127.0.0.1:{port} within 0.5 s"
    assert TIMEOUT_S <= took_s < TIMEOUT_S + SLACK_S


def test_deadline_holds_for_a_broker_that_says_little_at_a_time(connect: Connect) -> None:
    with listener(b"\x01\x00\x00\x00\x00\x01\x00" + b"x" * 200, every_s=0.02) as port:
        attempt, took_s = timed(connect(f"amqp://127.0.0.1:{port}", timeout=TIMEOUT_S), "q")

    assert attempt.outcome is Outcome.FAILED
    assert said(attempt) == f"no answer from 127.0.0.1:{port} within 0.5 s"
    assert TIMEOUT_S <= took_s < TIMEOUT_S + SLACK_S


def test_address_that_the_network_rules_refuse_is_never_connected_to(cable: Cable) -> None:
    rules = NetworkRules(private=False)
    service = Service(type="amqp", base_url=f"amqp://127.0.0.1:{cable.port}").within(rules)

    attempt = open_transport(service, SystemClock()).send(request("q"))

    assert attempt.outcome is Outcome.INVALID
    assert said(attempt).startswith("the network rules refuse 127.0.0.1, which is loopback")
    assert cable.connections == 0


def test_proxy_that_is_away_is_not_the_broker_s_fault(connect: Connect, rabbitmq: RabbitMQ) -> None:
    attempt = connect(rabbitmq.url(), proxy="http://127.0.0.1:1").send(request("q"))

    assert attempt.outcome is Outcome.UNSENT
    assert "the proxy 127.0.0.1:1 cannot be used" in said(attempt)


def test_connection_has_a_limit_of_its_own(connect: Connect, trusted: Authority) -> None:
    with listener() as port:
        transport = connect(f"amqps://127.0.0.1:{port}", timeout=60, connect_timeout=TIMEOUT_S)
        attempt, took_s = timed(transport, "q")

    assert attempt.outcome is Outcome.FAILED
    assert said(attempt) == f"no connection to 127.0.0.1:{port} within 0.5 s"
    assert TIMEOUT_S <= took_s < TIMEOUT_S + SLACK_S


def test_transport_can_be_used_again_after_close(connect: Connect, rabbitmq: RabbitMQ, inbox: Inbox) -> None:
    transport = connect(rabbitmq.url())
    timed(transport, inbox.name, 1)
    transport.close()
    transport.close()

    attempt, _ = timed(transport, inbox.name, 2)

    assert attempt.outcome is Outcome.DELIVERED


def test_close_does_not_wait_for_a_broker_that_says_nothing(
    connect: Connect, cable: Cable, inbox: Inbox
) -> None:
    transport = connect(f"amqp://127.0.0.1:{cable.port}")
    timed(transport, inbox.name, 1)
    cable.mute()
    started = time.monotonic()

    transport.close()

    assert time.monotonic() - started < 1 + SLACK_S


def test_no_library_speaks_in_our_log_and_no_error_holds_the_password(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"amqp://guest:s3cret%2Fpass@127.0.0.1:{rabbitmq.port}"
    service = Service.model_validate({"type": "amqp", "base_url": url})
    line = Line(service, SystemClock())

    attempt = line.send(delivery(endpoint="q"))
    line.close()

    assert attempt.outcome is Outcome.FAILED
    assert "s3cret" not in f"{attempt} {service!r} {service.model_dump_json()}"
    assert caplog.records == []
