"""From the queue to the service and back: what is sent, what waits, and what is given up."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.clock import FakeClock
from sidecar.store import services
from tests.bridge.dispatching import Post, idle, until
from tests.databases import Database
from tests.receiver import Receiver, answer, hang

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def test_due_delivery_is_sent_and_logged(post: Post) -> None:
    post.service("crm")
    post.queue(1, body='{"name": "Zoë 😀"}', headers={"X-Rule": "new-user"})

    idle(post.dispatcher())

    (got,) = post.receiver.requests
    assert (got.method, got.target, got.body) == ("POST", "/crm", '{"name": "Zoë 😀"}'.encode())
    assert got.header("webhook-id") == "crm-1"
    assert got.header("x-rule") == "new-user"
    (row,) = post.rows()
    assert (row.state, row.attempts, row.last_status, row.leased_by) == ("delivered", 1, 200, None)
    assert row.settled_at == post.clock.now()
    (attempt,) = post.attempts()
    assert (attempt.delivery_id, attempt.attempt, attempt.outcome) == ("crm-1", 1, "delivered")
    assert (attempt.status, attempt.replica, attempt.service) == (200, "replica-1", "crm")


@only_sqlite
def test_many_deliveries_arrive_once_each(post: Post) -> None:
    post.service("crm", max_concurrency=8)
    post.queue(100)

    dispatcher = post.dispatcher()
    until(dispatcher, lambda: post.states() == {"delivered": 100})

    ids = [one.header("webhook-id") for one in post.receiver.requests]
    assert len(ids) == 100
    assert len(set(ids)) == 100
    assert len({one.connection for one in post.receiver.requests}) <= 8


@only_sqlite
def test_each_of_many_services_may_have_four_requests_in_flight(post: Post) -> None:
    post.receiver.on("/s-1", hang())
    for number in range(60):
        post.service(f"s-{number}")
        post.queue(6 if number == 1 else 1, f"s-{number}")
    dispatcher = post.dispatcher(concurrency=30)

    others = [f"s-{number}" for number in range(60) if number != 1]
    until(dispatcher, lambda: all(post.states(name) == {"delivered": 1} for name in others))
    until(dispatcher, lambda: len(post.receiver.to("/s-1")) == 4)
    assert post.states("s-1") == {"sending": 4, "pending": 2}
    post.receiver.released.set()
    until(dispatcher, lambda: post.states("s-1") == {"delivered": 6})


@only_sqlite
def test_retry_waits_in_the_queue_with_growing_patience(post: Post) -> None:
    post.service("crm", circuit_breaker={"failure_threshold": 99})
    post.receiver.on("/crm", answer(500, b"oops"))
    post.queue(1)
    dispatcher = post.dispatcher()

    waited = []
    for _ in range(3):
        idle(dispatcher)
        (row,) = post.rows()
        assert (row.state, row.leased_by, dispatcher.in_hand) == ("pending", None, 0)
        waited.append((row.due_at - post.clock.now()).total_seconds())
        before = len(post.receiver.requests)
        post.clock.advance(waited[-1] - 0.01)
        idle(dispatcher)
        assert len(post.receiver.requests) == before
        post.clock.advance(0.01)

    idle(dispatcher)

    assert waited == [1, 2, 4]
    assert len(post.receiver.requests) == 4
    assert len({one.body for one in post.receiver.requests}) == 1
    (row,) = post.rows()
    assert (row.state, row.attempts, row.last_status) == ("dead", 4, 500)
    (letter,) = post.letters()
    assert (letter.reason, letter.attempts, letter.error) == (
        "exhausted",
        4,
        "answered 500 Internal Server Error",
    )
    assert [one.attempt for one in post.attempts()] == [1, 2, 3, 4]


@only_sqlite
def test_rejected_delivery_is_a_dead_letter_at_once(post: Post) -> None:
    post.service("crm")
    post.receiver.on("/crm", answer(404, b"no such course " + b"x" * 5000))
    post.queue(5)

    idle(post.dispatcher())

    assert len(post.receiver.requests) == 5
    assert post.states() == {"dead": 5}
    letter = next(one for one in post.letters() if one.delivery_id == "crm-1")
    assert (letter.reason, letter.status, letter.attempts) == ("rejected", 404, 1)
    assert letter.error == "answered 404 Not Found"
    assert letter.response.startswith("no such course xxx")
    assert letter.payload == '{"n": 1}'
    assert post.circuit().state == "closed"


@only_sqlite
def test_busy_service_says_when_to_come_back(post: Post) -> None:
    post.service("crm")
    post.receiver.on("/crm", answer(429, retry_after="120"), answer())
    post.queue(1)

    dispatcher = post.dispatcher()
    idle(dispatcher)

    (row,) = post.rows()
    assert row.due_at == post.clock.now() + timedelta(seconds=120)
    assert post.circuit().failures == 0
    post.clock.advance(120)
    idle(dispatcher)
    assert post.states() == {"delivered": 1}


@only_sqlite
def test_hanging_service_delays_nobody_else(post: Post) -> None:
    for name in ("slow", "crm", "erp"):
        post.service(name)
        post.queue(30, name)
    post.receiver.on("/slow", hang())
    dispatcher = post.dispatcher()

    until(
        dispatcher,
        lambda: post.states("crm") == {"delivered": 30} and post.states("erp") == {"delivered": 30},
    )

    share = 20 // 3
    until(dispatcher, lambda: len(post.receiver.to("/slow")) == share)
    assert post.states("slow") == {"sending": share, "pending": 30 - share}
    post.receiver.released.set()
    until(dispatcher, lambda: post.states("slow") == {"delivered": 30})


@only_sqlite
def test_paused_service_keeps_its_deliveries_untouched(post: Post) -> None:
    post.service("crm")
    post.queue(3)
    with post.store.write() as conn:
        services.pause(conn, "crm", pause=True, now=post.clock.now())
    dispatcher = post.dispatcher()

    idle(dispatcher)

    assert post.receiver.requests == []
    assert [(row.state, row.attempts) for row in post.rows()] == [("pending", 0)] * 3
    with post.store.write() as conn:
        services.pause(conn, "crm", pause=False, now=post.clock.now())
    post.clock.advance(1)
    until(dispatcher, lambda: post.states() == {"delivered": 3})


@only_sqlite
def test_disabled_service_queues_and_waits(post: Post) -> None:
    post.service("crm", enabled=False)
    post.queue(3)
    dispatcher = post.dispatcher()

    idle(dispatcher)

    assert post.receiver.requests == []
    assert post.states() == {"pending": 3}
    post.service("crm", enabled=True)
    dispatcher.configure(post.wanted)
    until(dispatcher, lambda: post.states() == {"delivered": 3})


@only_sqlite
def test_new_configuration_is_used_while_old_requests_are_still_out(post: Post) -> None:
    post.service("crm", base_url=f"{post.receiver.url}/old", max_concurrency=1)
    post.receiver.on("/old/crm", hang())
    post.queue(2)
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: len(post.receiver.to("/old/crm")) == 1)

    post.service("crm", base_url=f"{post.receiver.url}/new", max_concurrency=1)
    dispatcher.configure(post.wanted)
    until(dispatcher, lambda: post.states() == {"sending": 1, "delivered": 1})
    post.receiver.released.set()
    until(dispatcher, lambda: post.states() == {"delivered": 2})

    assert [one.target for one in post.receiver.requests] == ["/old/crm", "/new/crm"]


@only_sqlite
def test_service_that_left_the_configuration_keeps_its_deliveries(post: Post) -> None:
    post.service("crm")
    post.queue(2)
    dispatcher = post.dispatcher()
    dispatcher.configure({})

    idle(dispatcher)

    assert post.receiver.requests == []
    assert post.states() == {"pending": 2}
