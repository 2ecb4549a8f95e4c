"""The slow lane: what is replayed from Moodle's log lets what is new pass."""

from collections.abc import Iterator

import pytest

from sidecar.clock import FakeClock
from sidecar.store import leases
from tests.bridge.dispatching import Post, until
from tests.databases import Database
from tests.deliveries import numbers
from tests.receiver import Receiver


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    """A store with a receiver before it."""
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def test_a_claim_takes_what_is_new_first(post: Post) -> None:
    post.service("crm")
    post.queue(5, slow=True)
    post.queue(2, first=6)

    with post.store.write() as conn:
        claimed = leases.claim(conn, {"crm": 4}, token="t", now=post.clock.now(), lease_s=30)

    assert numbers(claimed) == [6, 7, 1, 2]


def test_a_service_of_one_at_a_time_sends_what_is_new_next(post: Post) -> None:
    post.service("crm", max_concurrency=1)
    post.queue(200, slow=True)
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: len(post.receiver.requests) >= 5)
    before = len(post.receiver.requests)

    post.queue(1, first=201)
    until(dispatcher, lambda: post.states()["delivered"] == 201)

    order = [int(one.body.split(b":")[1].strip(b" }")) for one in post.receiver.requests]
    place = order.index(201)
    assert place - before <= 5, f"{place - before} of the slow lane went first"


def test_batches_take_what_is_new_first(post: Post) -> None:
    post.service("crm", max_concurrency=1)
    post.rule("new-user", batch={"max_items": 3})
    post.queue(6, slow=True)
    post.queue(3, first=7)
    dispatcher = post.dispatcher()

    until(dispatcher, lambda: post.states()["delivered"] == 9)

    assert post.receiver.requests[0].body == b'[{"n": 7},{"n": 8},{"n": 9}]'
