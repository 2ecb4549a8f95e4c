"""What a service asks of its callers holds for direct calls, too: rate limit, jitter, 410, size."""

import logging
from datetime import timedelta
from threading import Thread

import pytest

from sidecar.clock import FakeClock
from sidecar.gateway.gateway import Gateway
from sidecar.gateway.response import Response
from sidecar.model import Circuit, CircuitState
from sidecar.store import circuits, log, rates, services
from sidecar.store.engine import Database
from tests.acceptance.sidecar import eventually
from tests.gateway.conftest import MakeGateway, Waits
from tests.receiver import Receiver, answer, hang

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_calls_are_as_far_apart_as_the_rate_limit_says(make_gateway: MakeGateway, waits: Waits) -> None:
    gateway = make_gateway(rate_limit="10/s")

    answers = [gateway.request("crm", "/x", {}) for _ in range(12)]

    assert all(one.ok for one in answers)
    assert waits == [0.1] * 11


@ON_SQLITE
def test_two_gateways_share_one_limit(make_gateway: MakeGateway, waits: Waits) -> None:
    first, second = make_gateway(rate_limit="10/s"), make_gateway(rate_limit="10/s")

    for gateway in (first, second, first, second):
        assert gateway.request("crm", "/x", {}).ok

    assert waits == [0.1] * 3


@ON_SQLITE
def test_moment_far_ahead_is_waited_for_before_it_is_taken(make_gateway: MakeGateway, waits: Waits) -> None:
    gateway = make_gateway(rate_limit="30/min")
    gateway.request("crm", "/x", {})

    assert gateway.request("crm", "/x", {}).ok
    assert waits == [1, 1]


def test_call_without_a_moment_within_its_timeout_says_when_to_come_again_and_sends_nothing(
    make_gateway: MakeGateway, waits: Waits, receiver: Receiver
) -> None:
    gateway = make_gateway(rate_limit="1/min")
    gateway.request("crm", "/x", {})

    refused = gateway.request("crm", "/x", {})

    assert (refused.ok, refused.status, refused.attempts) == (False, None, 0)
    assert refused.error == "the rate limit of crm has no room for this call before 08:01:00 UTC"
    assert refused.retry_after_s == 60
    assert waits == []
    assert len(receiver.to("/x")) == 1


@ON_SQLITE
def test_call_waits_no_longer_than_its_timeout(
    make_gateway: MakeGateway, waits: Waits, store: Database, clock: FakeClock, receiver: Receiver
) -> None:
    gateway = make_gateway(rate_limit="30/min", timeout=2.5)
    gateway.request("crm", "/x", {})
    waits.meanwhile = lambda: take_all_before(store, clock, seconds=1.9)

    refused = gateway.request("crm", "/x", {})

    assert refused.attempts == 0
    assert refused.retry_after_s == 1.9
    assert waits == [1]
    assert len(receiver.to("/x")) == 1


def take_all_before(store: Database, clock: FakeClock, *, seconds: float) -> None:
    """Take moments as other processes do."""
    with store.write() as conn:
        rates.take(conn, "crm", until=clock.now() + timedelta(seconds=seconds))


@ON_SQLITE
def test_moment_that_was_slept_through_is_void(
    make_gateway: MakeGateway, waits: Waits, clock: FakeClock
) -> None:
    gateway = make_gateway(rate_limit="10/s")
    gateway.request("crm", "/x", {})
    waits.meanwhile = lambda: clock.advance(0.5)

    assert gateway.request("crm", "/x", {}).ok
    assert gateway.request("crm", "/x", {}).ok
    assert waits == [0.1, 0.1]  # the void one, none for the next moment, which was at once, and one after it


@ON_SQLITE
def test_circuit_that_opens_while_a_call_waits_keeps_it_back(
    make_gateway: MakeGateway, waits: Waits, clock: FakeClock, store: Database, receiver: Receiver
) -> None:
    gateway = make_gateway(rate_limit="30/min")
    gateway.request("crm", "/x", {})
    waits.meanwhile = lambda: open_circuit(store, clock)

    refused = gateway.request("crm", "/x", {})

    assert (refused.attempts, refused.retry_after_s) == (0, 29)
    assert refused.error is not None
    assert "circuit of crm is open" in refused.error
    assert len(receiver.to("/x")) == 1


def open_circuit(store: Database, clock: FakeClock) -> None:
    """Open it as another process does."""
    until = clock.now() + timedelta(seconds=30)
    with store.write() as conn:
        circuits.lock(conn, ["crm"], now=clock.now())
        circuits.save(
            conn, Circuit("crm", CircuitState.OPEN, 5, clock.now(), until, "answered 503"), now=clock.now()
        )


@ON_SQLITE
def test_every_try_takes_a_moment(make_gateway: MakeGateway, receiver: Receiver, waits: Waits) -> None:
    receiver.on("/x", answer(503), answer(503), answer(200))

    response = make_gateway(rate_limit="10/s", retry={"backoff": 0}).request("crm", "/x", {})

    assert (response.ok, response.attempts) == (True, 3)
    assert waits == [0, 0.1, 0, 0.1]


@ON_SQLITE
def test_try_that_finds_no_moment_any_more_returns_what_came_before(
    make_gateway: MakeGateway, receiver: Receiver
) -> None:
    receiver.otherwise(answer(503))

    response = make_gateway(rate_limit="1/min", retry={"backoff": 1}).request("crm", "/x", {})

    assert (response.ok, response.status, response.attempts) == (False, 503, 1)
    assert response.error == "the rate limit of crm has no room for this call before 08:01:00 UTC"


@ON_SQLITE
def test_jitter_makes_waits_longer(make_gateway: MakeGateway, receiver: Receiver, waits: Waits) -> None:
    receiver.otherwise(answer(503))

    make_gateway(luck=0.5, retry={"backoff": 2, "max_retries": 2}).request("crm", "/x", {})

    assert waits == [2.2, 4.4]


def test_gone_service_is_paused_with_a_notice_though_no_sidecar_knows_it(
    make_gateway: MakeGateway, receiver: Receiver, store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.otherwise(answer(410))
    gateway = make_gateway()

    with caplog.at_level(logging.WARNING, "mih.gateway"):
        gone = gateway.request("crm", "/x", {})
        refused = gateway.request("crm", "/x", {})

    assert (gone.ok, gone.status, gone.attempts) == (False, 410, 1)
    assert (refused.error, refused.attempts, refused.retry_after_s) == ("crm is paused", 0, None)
    assert len(receiver.to("/x")) == 1
    with store.read() as conn:
        assert services.paused(conn) == {"crm"}
    assert [record.getMessage() for record in caplog.records] == [
        "service.paused service=crm: it answered 410 Gone; mih services resume crm"
    ]


@ON_SQLITE
def test_410_that_is_to_be_tried_again_pauses_nothing(make_gateway: MakeGateway, receiver: Receiver) -> None:
    receiver.on("/x", answer(410), answer(200))

    assert make_gateway(retry_status=[410]).request("crm", "/x", {}).ok


@ON_SQLITE
def test_response_names_the_delivery(make_gateway: MakeGateway, receiver: Receiver, store: Database) -> None:
    response = make_gateway().request("crm", "/x", {})

    [request] = receiver.to("/x")
    assert request.header("webhook-id") == response.delivery_id
    with store.read() as conn:
        assert [row.delivery_id for row in log.find(conn)] == [response.delivery_id]


@ON_SQLITE
def test_every_try_is_one_line_of_the_log(
    make_gateway: MakeGateway, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.on("/x", answer(503), answer(200))

    with caplog.at_level(logging.INFO, "mih.gateway"):
        made = make_gateway().request("crm", "/x", {})

    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith(
        f"call.attempted delivery={made.delivery_id} service=crm attempt=1/4 outcome=failed status=503"
    )
    assert "attempt=2/4 outcome=delivered status=200" in second


@ON_SQLITE
@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ("12345678901", "payload: 11 bytes are over the max_payload of crm, 10"),
        ("\ud800", "payload: it holds half of a surrogate pair, which is no character"),
    ],
)
def test_payload_that_cannot_be_sent_is_refused(
    make_gateway: MakeGateway, receiver: Receiver, payload: str, error: str
) -> None:
    refused = make_gateway(max_payload=10).request("crm", "/x", payload)

    assert (refused.error, refused.attempts) == (error, 0)
    assert receiver.to() == []


@ON_SQLITE
def test_lent_store_stays_open(make_gateway: MakeGateway, store: Database) -> None:
    gateway = make_gateway()
    gateway.request("crm", "/x", {})
    pool = store._writer.pool

    gateway.close()

    assert store._writer.pool is pool


@ON_SQLITE
def test_connection_of_a_call_under_way_is_closed_when_the_call_ends(
    make_gateway: MakeGateway, receiver: Receiver
) -> None:
    receiver.on("/slow", hang())
    gateway = make_gateway(timeout=20)
    answers: list[bool] = []
    call = Thread(target=lambda: answers.append(gateway.request("crm", "/slow", {}).ok))
    call.start()
    receiver.wait_for(1, "/slow")

    gateway.close()
    receiver.released.set()
    call.join()

    assert answers == [True]
    eventually(lambda: not receiver._open)


@ON_SQLITE
def test_many_threads_wait_for_one_moment_each(
    make_gateway: MakeGateway, receiver: Receiver, clock: FakeClock
) -> None:
    gateway: Gateway = make_gateway(rate_limit="20/s", timeout=60)
    answers: list[bool] = []

    threads = [Thread(target=lambda: answers.append(gateway.request("crm", "/x", {}).ok)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [True] * 40
    assert len(receiver.to("/x")) == 40


@ON_SQLITE
def test_no_more_calls_are_under_way_than_max_concurrency_allows(
    make_gateway: MakeGateway, receiver: Receiver
) -> None:
    receiver.on("/x", hang())
    gateway = make_gateway(max_concurrency=2, timeout=20)
    answers: list[Response] = []
    callers = [Thread(target=lambda: answers.append(gateway.request("crm", "/x", {}))) for _ in range(5)]

    for caller in callers:
        caller.start()
    receiver.wait_for(2, "/x")
    under_way = len(receiver.to("/x"))
    receiver.released.set()
    for caller in callers:
        caller.join()

    assert under_way == 2
    assert [one.ok for one in answers] == [True] * 5
