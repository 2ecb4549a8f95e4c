"""Many deliveries in one request: when they go, what the receiver gets, and whose fate is whose."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from standardwebhooks import Webhook

from sidecar.bridge.dispatch import Dispatcher
from sidecar.clock import FakeClock
from sidecar.model import batch_id
from sidecar.store import leases, queue
from tests.bridge.dispatching import Post, idle, until
from tests.databases import Database
from tests.receiver import Behaviour, Exchange, Receiver, answer, hang

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def batching(post: Post, *, linger: float = 5, service: dict[str, Any] | None = None, **batch: Any) -> None:
    """Have the service crm with one sender, and a rule whose deliveries go out together."""
    post.service("crm", **{"max_concurrency": 1, **(service or {})})
    post.rule("new-user", batch={"linger": linger, **batch})


def numbers(post: Post, path: str = "/crm") -> list[list[int]]:
    """Return which deliveries came with each request."""
    return [[item["n"] for item in json.loads(one.body)] for one in post.receiver.to(path)]


def arrived(post: Post) -> list[int]:
    """Return all that came, in order."""
    return [number for request in numbers(post) for number in request]


def refuse(bad: set[int], status: int = 422) -> Behaviour:
    """Take a request only if nothing bad is in it."""

    def behave(exchange: Exchange) -> bool:
        held = {item["n"] for item in json.loads(exchange.request.body)}
        return answer(status if held & bad else 200)(exchange)

    return behave


def rounds(dispatcher: Dispatcher, count: int = 4) -> None:
    """Make some rounds."""
    for _ in range(count):
        dispatcher.run_once()


def test_backlog_goes_out_in_full_requests_in_order(post: Post) -> None:
    batching(post, max_items=20)
    post.queue(50)

    idle(post.dispatcher())

    assert numbers(post) == [[*range(1, 21)], [*range(21, 41)], [*range(41, 51)]]
    assert post.states() == {"delivered": 50}
    first = post.receiver.requests[0]
    assert first.header("content-type") == "application/json"
    assert first.header("webhook-id") == batch_id(f"crm-{number}" for number in range(1, 21))
    assert first.header("idempotency-key") == first.header("webhook-id")
    assert sorted(one.delivery_id for one in post.attempts()) == sorted(f"crm-{n}" for n in range(1, 51))
    assert {(one.attempt, one.status) for one in post.attempts()} == {(1, 200)}


def test_first_delivery_waits_for_others_as_long_as_it_may_linger(post: Post) -> None:
    batching(post, linger=5)
    post.queue(1, linger_s=5)
    post.clock.advance(3)
    post.queue(1, first=2, linger_s=5)
    dispatcher = post.dispatcher()

    post.clock.advance(1.9)
    rounds(dispatcher)
    assert post.receiver.requests == []
    post.clock.advance(0.1)
    idle(dispatcher)

    assert numbers(post) == [[1, 2]]
    assert post.states() == {"delivered": 2}


def test_full_request_goes_at_once_and_the_rest_waits(post: Post) -> None:
    batching(post, max_items=3)
    post.queue(4, linger_s=5)
    dispatcher = post.dispatcher()

    idle(dispatcher)
    rounds(dispatcher)

    assert numbers(post) == [[1, 2, 3]]
    assert post.states() == {"delivered": 3, "pending": 1}
    post.queue(2, first=5, linger_s=5)
    idle(dispatcher)
    assert numbers(post)[1:] == [[4, 5, 6]]


def test_request_that_is_full_by_its_bytes_goes_at_once(post: Post) -> None:
    batching(post, max_bytes=1_024)
    for number in range(1, 4):
        body = json.dumps({"n": number, "name": "ö" * 200}, ensure_ascii=False)
        post.queue(1, first=number, linger_s=5, body=body)

    idle(post.dispatcher())

    assert numbers(post) == [[1, 2]]
    assert post.states() == {"delivered": 2, "pending": 1}


@only_sqlite
def test_no_request_is_larger_than_the_service_takes(post: Post) -> None:
    batching(post, service={"max_payload": 100})
    post.queue(30)

    idle(post.dispatcher())

    assert max(len(one.body) for one in post.receiver.requests) <= 100
    assert arrived(post) == [*range(1, 31)]


def test_one_bad_among_a_hundred_ends_alone(post: Post) -> None:
    batching(post)
    post.receiver.on("/crm", refuse({62}))
    post.queue(100)

    idle(post.dispatcher())

    assert len(post.receiver.requests) == 11
    assert post.states() == {"delivered": 99, "dead": 1}
    (letter,) = post.letters()
    assert (letter.delivery_id, letter.reason, letter.status) == ("crm-62", "rejected", 422)
    assert (letter.payload, letter.attempts) == ('{"n": 62}', 1)
    assert {row.attempts for row in post.rows()} == {1}
    assert len(post.attempts()) == 100
    assert post.circuit().failures == 0


def test_failed_request_comes_back_whole_and_is_charged_once(post: Post) -> None:
    batching(post)
    post.receiver.on("/crm", answer(500), answer())
    post.queue(10)
    dispatcher = post.dispatcher(chance=Random(7))

    idle(dispatcher)

    assert post.states() == {"pending": 10}
    assert {row.attempts for row in post.rows()} == {1}
    (due,) = {row.due_at for row in post.rows()}
    assert timedelta(seconds=1) < due - post.clock.now() <= timedelta(seconds=1.2)
    assert (post.circuit().state, post.circuit().failures) == ("closed", 1)
    post.clock.advance(1.2)
    idle(dispatcher)
    first, second = post.receiver.requests
    assert (first.body, first.header("webhook-id")) == (second.body, second.header("webhook-id"))
    assert post.states() == {"delivered": 10}
    assert sorted({one.attempt for one in post.attempts()}) == [1, 2]


@only_sqlite
def test_what_waits_for_its_next_try_is_not_taken_along_early(post: Post) -> None:
    batching(post, service={"retry": {"backoff": 60}})
    post.receiver.on("/crm", answer(503), answer())
    post.queue(2, linger_s=5)
    post.clock.advance(5)
    dispatcher = post.dispatcher()
    idle(dispatcher)

    post.queue(2, first=3, linger_s=5)
    post.clock.advance(5)
    idle(dispatcher)

    assert numbers(post) == [[1, 2], [3, 4]]
    post.clock.advance(60)
    idle(dispatcher)
    assert numbers(post)[2:] == [[1, 2]]


@only_sqlite
def test_service_that_falls_ill_while_the_bad_one_is_looked_for_costs_each_one_try(post: Post) -> None:
    batching(post)
    post.receiver.on("/crm", answer(422), answer(200), answer(503), answer(503), answer(200))
    post.queue(8)

    idle(post.dispatcher())

    assert numbers(post) == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4], [5, 6]]
    assert [row.state for row in post.rows()] == ["delivered"] * 4 + ["pending"] * 4
    assert {row.attempts for row in post.rows()} == {1}
    assert post.circuit().failures == 1


@only_sqlite
def test_refusal_of_the_credentials_is_not_looked_into(post: Post) -> None:
    batching(post)
    post.receiver.on("/crm", answer(401))
    post.queue(10)

    idle(post.dispatcher())

    assert len(post.receiver.requests) == 1
    assert post.states() == {"dead": 10}


@only_sqlite
def test_service_that_is_gone_is_paused_and_keeps_all(post: Post) -> None:
    batching(post)
    post.receiver.on("/crm", answer(410))
    post.queue(10)

    idle(post.dispatcher())

    assert len(post.receiver.requests) == 1
    assert [(row.state, row.attempts) for row in post.rows()] == [("pending", 0)] * 10


def test_killed_in_the_middle_sends_the_same_again_under_the_same_ids(post: Post) -> None:
    batching(post, service={"timeout": 5})
    post.queue(5)
    post.receiver.on("/crm", hang(), answer())
    killed, living = post.dispatcher("killed", lease=10), post.dispatcher("living", lease=10)
    killed.run_once()
    post.receiver.wait_for(1)

    post.clock.advance(11)
    with post.store.write() as conn:
        assert leases.rescue(conn, now=post.clock.now(), lease_s=10) == 5
    until(living, lambda: post.states() == {"delivered": 5})

    first, second = post.receiver.requests
    assert numbers(post) == [[1, 2, 3, 4, 5]] * 2
    assert first.header("webhook-id") == second.header("webhook-id")


def test_two_replicas_send_each_delivery_once(post: Post) -> None:
    batching(post, max_items=7, service={"max_concurrency": 2})
    post.queue(60)
    replicas = [post.dispatcher("replica-1"), post.dispatcher("replica-2")]

    for _ in range(200):
        for replica in replicas:
            replica.run_once()
        if post.states() == {"delivered": 60}:
            break

    assert sorted(arrived(post)) == [*range(1, 61)]
    assert {len(request) for request in numbers(post)} <= {*range(1, 8)}


@only_sqlite
def test_rules_have_batches_of_their_own_and_others_go_one_by_one(post: Post) -> None:
    post.service("crm", max_concurrency=1)
    post.rule("pairs", batch={"max_items": 2})
    post.rule("triples", batch={"max_items": 3})
    for first, rule in enumerate(["pairs", "triples", "plain"]):
        post.queue(6, first=first * 10 + 1, rule=rule, endpoint=f"/{rule}")

    idle(post.dispatcher())

    assert numbers(post, "/pairs") == [[1, 2], [3, 4], [5, 6]]
    assert numbers(post, "/triples") == [[11, 12, 13], [14, 15, 16]]
    assert [json.loads(one.body)["n"] for one in post.receiver.to("/plain")] == [21, 22, 23, 24, 25, 26]


@only_sqlite
def test_each_address_and_set_of_headers_gets_requests_of_its_own(post: Post) -> None:
    batching(post)
    for number in range(1, 7):
        headers = {"X-Origin": "cli" if number > 4 else "web"}
        post.queue(1, first=number, endpoint="/odd" if number % 2 else "/even", headers=headers)

    idle(post.dispatcher())

    assert (numbers(post, "/odd"), numbers(post, "/even")) == ([[1, 3], [5]], [[2, 4], [6]])
    assert [one.header("x-origin") for one in post.receiver.to("/odd")] == ["web", "cli"]


@only_sqlite
def test_what_is_no_json_goes_alone_as_it_was_queued(post: Post) -> None:
    batching(post)
    post.queue(1, body="<a/>", content_type="application/xml; charset=utf-8")
    post.queue(1, first=2)

    idle(post.dispatcher())

    assert sorted(one.body for one in post.receiver.requests) == [b"<a/>", b'[{"n": 2}]']


@only_sqlite
def test_rule_that_sends_one_by_one_again_does_so_with_what_lingers(post: Post) -> None:
    batching(post)
    post.queue(3, linger_s=5)
    dispatcher = post.dispatcher()
    rounds(dispatcher)

    dispatcher.configure(post.wanted, [])
    post.clock.advance(5)
    idle(dispatcher)

    assert [one.body for one in post.receiver.requests] == [b'{"n": 1}', b'{"n": 2}', b'{"n": 3}']


@only_sqlite
def test_probe_is_one_delivery_in_an_array_of_its_own(post: Post) -> None:
    batching(post)
    post.open_circuit()
    post.queue(5)
    post.receiver.on("/crm", answer(503), answer())
    dispatcher = post.dispatcher()

    idle(dispatcher)
    assert numbers(post) == [[1]]
    post.clock.advance(30)
    until(dispatcher, lambda: post.states() == {"delivered": 5})

    assert len(numbers(post)[1]) == 1
    assert [len(request) for request in numbers(post)] == [1, 1, 4]


@only_sqlite
def test_request_takes_one_moment_of_the_rate_limit_however_many_it_brings(post: Post) -> None:
    batching(post, max_items=50, service={"rate_limit": "1/s"})
    post.queue(100)
    dispatcher = post.dispatcher()

    until(dispatcher, lambda: post.states()["delivered"] == 50)
    rounds(dispatcher)
    assert len(post.receiver.requests) == 1
    post.clock.advance(1)

    until(dispatcher, lambda: post.states() == {"delivered": 100})
    assert len(post.receiver.requests) == 2


@only_sqlite
def test_looking_for_the_bad_one_keeps_to_the_rate_limit(post: Post) -> None:
    batching(post, service={"rate_limit": "2/s"})
    post.receiver.on("/crm", refuse({4}))
    post.queue(4)
    dispatcher = post.dispatcher()
    seen: list[int] = []

    for _ in range(4):
        until(dispatcher, lambda: len(post.receiver.requests) > len(seen))
        rounds(dispatcher, 5)
        seen.append(len(post.receiver.requests))
        post.clock.advance(0.5)

    assert seen == [1, 2, 3, 4]
    assert numbers(post) == [[1, 2, 3, 4], [1, 2], [3], [4]]


@only_sqlite
def test_stop_hands_back_what_the_search_had_not_reached(post: Post) -> None:
    batching(post)
    dispatcher = post.dispatcher()

    def taken_after_the_stop(exchange: Exchange) -> bool:
        return dispatcher._stopping.wait(20) and answer()(exchange)

    post.receiver.on("/crm", answer(422), taken_after_the_stop)
    post.queue(8)
    until(dispatcher, lambda: len(post.receiver.requests) == 2)

    dispatcher.stop()

    assert numbers(post) == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4]]
    assert [(row.state, row.attempts) for row in post.rows()] == [("delivered", 1)] * 4 + [("pending", 0)] * 4


@only_sqlite
def test_signature_is_that_of_the_whole_request(post: Post) -> None:
    batching(post, service={"signing": {"secret": SECRET}})
    post.clock.advance((datetime.now(UTC) - post.clock.now()).total_seconds())
    post.queue(3)

    idle(post.dispatcher())

    (got,) = post.receiver.requests
    assert Webhook(SECRET).verify(got.body, {name.lower(): value for name, value in got.headers}) == [
        {"n": 1},
        {"n": 2},
        {"n": 3},
    ]


@only_sqlite
def test_log_keeps_of_each_delivery_its_own_payload(post: Post) -> None:
    batching(post, service={"capture": {"request": True, "response": True}})
    post.receiver.on("/crm", answer(200, b"all taken"))
    post.queue(2)

    idle(post.dispatcher())

    kept = [(one.delivery_id, one.request, one.response) for one in post.attempts()]
    assert kept == [("crm-1", '{"n": 1}', "all taken"), ("crm-2", '{"n": 2}', "all taken")]


@only_sqlite
def test_delivery_that_a_replay_makes_due_takes_along_what_lingers(post: Post) -> None:
    batching(post)
    post.queue(2, linger_s=5)
    with post.store.write() as conn:
        queue.cancel(conn, ["crm-1"], now=post.clock.now())
        queue.revive(conn, ["crm-1"], now=post.clock.now())

    idle(post.dispatcher())

    assert numbers(post) == [[1, 2]]


@only_sqlite
def test_last_try_of_one_is_not_the_last_of_its_neighbours(post: Post) -> None:
    batching(post, service={"retry": {"max_retries": 1, "backoff": 5}})
    post.receiver.on("/crm", answer(503))
    post.queue(1)
    dispatcher = post.dispatcher()
    idle(dispatcher)

    post.queue(1, first=2, linger_s=5)
    post.clock.advance(5)
    idle(dispatcher)

    assert numbers(post) == [[1], [1, 2]]
    assert [(row.state, row.attempts) for row in post.rows()] == [("dead", 2), ("pending", 1)]
