"""What waits longer than its rule allows is a dead letter, and is never sent late."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar import upkeep
from sidecar.clock import FakeClock
from sidecar.store import queue, services
from tests.bridge.dispatching import Post, idle, until
from tests.bridge.lines import Protocol, line_up
from tests.databases import Database
from tests.receiver import Receiver, answer

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def expiring(post: Post, count: int, *, in_s: float, first: int = 1) -> None:
    expires_at = post.clock.now() + timedelta(seconds=in_s)
    post.queue(count, first=first, expires_at=expires_at)


def test_what_expired_is_buried_and_what_did_not_is_sent(post: Post) -> None:
    post.service("crm")
    expiring(post, 3, in_s=10)
    expiring(post, 2, in_s=60, first=4)
    post.queue(1, first=6)
    post.clock.advance(10)

    idle(post.dispatcher())
    buried = upkeep.expire(post.store, post.clock)

    assert buried == 3
    assert sorted(one.header("webhook-id") or "" for one in post.receiver.requests) == [
        "crm-4",
        "crm-5",
        "crm-6",
    ]
    assert post.states() == {"dead": 3, "delivered": 3}
    assert [(one.delivery_id, one.reason, one.attempts, one.payload) for one in post.letters()] == [
        ("crm-1", "expired", 0, '{"n": 1}'),
        ("crm-2", "expired", 0, '{"n": 2}'),
        ("crm-3", "expired", 0, '{"n": 3}'),
    ]
    assert {one.error for one in post.letters()} == {"it waited longer than the expires_after of its rule"}
    assert upkeep.expire(post.store, post.clock) == 0


@pytest.mark.parametrize("obstacle", ["circuit", "pause"])
def test_nothing_is_sent_late_after_a_pause_or_an_outage(post: Post, obstacle: str) -> None:
    post.service("crm")
    dispatcher = post.dispatcher()
    if obstacle == "circuit":
        post.open_circuit()
    else:
        with post.store.write() as conn:
            services.pause(conn, "crm", pause=True, now=post.clock.now())
    expiring(post, 2, in_s=5)
    post.clock.advance(6)
    expired = upkeep.expire(post.store, post.clock)
    with post.store.write() as conn:
        services.pause(conn, "crm", pause=False, now=post.clock.now())

    post.clock.advance(60)
    idle(dispatcher)

    assert expired == 2
    assert post.receiver.requests == []
    assert post.states() == {"dead": 2}


@only_sqlite
def test_delivery_that_expires_between_two_tries_keeps_what_was_tried(post: Post) -> None:
    post.service("crm")
    post.receiver.on("/crm", answer(500))
    expiring(post, 1, in_s=5)
    dispatcher = post.dispatcher()
    idle(dispatcher)
    post.clock.advance(1)
    idle(dispatcher)

    post.clock.advance(4)
    idle(dispatcher)
    upkeep.expire(post.store, post.clock)

    assert len(post.receiver.requests) == 2
    assert [(one.reason, one.attempts) for one in post.letters()] == [("expired", 2)]


@only_sqlite
def test_delivery_that_expires_in_our_hands_is_not_sent(post: Post) -> None:
    post.service("crm", rate_limit=1)
    post.queue(1)
    expiring(post, 1, in_s=0.5, first=2)
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: dispatcher.in_hand == 2)

    post.clock.advance(1)
    until(dispatcher, lambda: dispatcher.in_hand == 0)

    assert [one.header("webhook-id") for one in post.receiver.requests] == ["crm-1"]
    assert [(one.delivery_id, one.reason, one.attempts) for one in post.letters()] == [
        ("crm-2", "expired", 0)
    ]


@only_sqlite
def test_expired_delivery_does_not_hold_up_a_batch(post: Post) -> None:
    post.service("crm")
    post.rule("new-user", batch={"max_items": 9, "linger": 0})
    expiring(post, 2, in_s=5)
    post.queue(2, first=3)
    post.clock.advance(5)

    idle(post.dispatcher())

    assert [one.body for one in post.receiver.requests] == [b'[{"n": 3},{"n": 4}]']


def test_expired_delivery_lets_the_next_of_its_key_go_on(post: Post) -> None:
    post.service("crm")
    protocol = Protocol({1: [500]})
    post.receiver.on("/crm", protocol)
    post.queue(
        1,
        order_key="a",
        headers={"X-Key": "a"},
        expires_at=post.clock.now() + timedelta(seconds=0.5),
    )
    line_up(post, "a", [2])
    dispatcher = post.dispatcher()
    idle(dispatcher)
    post.clock.advance(0.5)

    upkeep.expire(post.store, post.clock)
    until(dispatcher, lambda: post.states() == {"dead": 1, "delivered": 1})

    assert protocol.came["a"] == [1, 2]


@only_sqlite
def test_replay_of_an_expired_letter_does_not_expire_again(post: Post) -> None:
    post.service("crm")
    expiring(post, 1, in_s=5)
    post.clock.advance(5)
    upkeep.expire(post.store, post.clock)

    with post.store.write() as conn:
        queue.revive(conn, ["crm-1"], now=post.clock.now())
    post.clock.advance(60)
    idle(post.dispatcher())

    assert post.states() == {"delivered": 1}
