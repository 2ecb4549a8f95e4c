"""What piled up while a service was paused or down leaves at its rate; what is new does not wait for it."""

from collections.abc import Iterator

import pytest

from sidecar.bridge.dispatch import Dispatcher
from sidecar.clock import FakeClock
from sidecar.store import circuits, services
from tests.bridge.dispatching import Post, idle, passing, until
from tests.bridge.lines import line_up
from tests.databases import Database
from tests.receiver import Receiver, answer

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def pause(post: Post, *, paused: bool) -> None:
    with post.store.write() as conn:
        services.pause(conn, "crm", pause=paused, now=post.clock.now())


def sent_within(post: Post, dispatcher: Dispatcher, seconds: float) -> int:
    """Return how many requests go out while the clock goes on in steps of a tenth of a second."""
    before = len(post.receiver.requests)
    for _ in range(round(seconds * 10)):
        post.clock.advance(0.1)
        idle(dispatcher)
    return len(post.receiver.requests) - before


def paused_with_backlog(post: Post, count: int, **options: object) -> Dispatcher:
    post.service("crm", **options)
    dispatcher = post.dispatcher()
    pause(post, paused=True)
    post.clock.advance(1)
    post.queue(count)
    idle(dispatcher)
    assert post.receiver.requests == []
    post.clock.advance(600)
    pause(post, paused=False)
    post.clock.advance(1)
    return dispatcher


def test_backlog_of_a_pause_leaves_at_its_rate(post: Post) -> None:
    dispatcher = paused_with_backlog(post, 60, drain_rate="10/s")

    first, second = sent_within(post, dispatcher, 2), sent_within(post, dispatcher, 2)

    assert 19 <= first <= 22
    assert 19 <= second <= 21
    passing(post, dispatcher, 0.05, lambda: post.states() == {"delivered": 60})


def test_what_is_new_goes_beside_the_backlog(post: Post) -> None:
    dispatcher = paused_with_backlog(post, 200, drain_rate="10/s")
    post.queue(30, first=1001)

    idle(dispatcher)

    sent = [int((one.header("webhook-id") or "").partition("-")[2]) for one in post.receiver.requests]
    assert sorted(number for number in sent if number > 1000) == list(range(1001, 1031))
    assert len(sent) <= 35


@only_sqlite
def test_without_a_drain_rate_all_of_it_goes_at_once(post: Post) -> None:
    dispatcher = paused_with_backlog(post, 60)

    idle(dispatcher)

    assert post.states() == {"delivered": 60}


@only_sqlite
def test_backlog_of_an_outage_leaves_at_its_rate_when_the_circuit_closes(post: Post) -> None:
    post.service("crm", drain_rate="10/s")
    post.receiver.on("/crm", answer(500), answer(500), answer(500), answer())
    dispatcher = post.dispatcher()
    post.queue(3)
    until(dispatcher, lambda: post.circuit().state == "open")
    post.queue(57, first=4)
    post.clock.advance(600)
    before = len(post.receiver.requests)

    until(dispatcher, lambda: post.circuit().state == "closed")
    post.clock.advance(1)

    assert before + 1 <= len(post.receiver.requests) <= before + 3
    assert 19 <= sent_within(post, dispatcher, 2) <= 24


@only_sqlite
def test_closing_a_circuit_by_hand_drains_too(post: Post) -> None:
    post.service("crm", drain_rate="10/s")
    dispatcher = post.dispatcher()
    post.open_circuit()
    post.clock.advance(1)
    post.queue(60)

    with post.store.write() as conn:
        circuits.reset(conn, ["crm"], now=post.clock.now())
    post.clock.advance(1)

    assert 19 <= sent_within(post, dispatcher, 2) <= 22


@only_sqlite
def test_two_replicas_share_the_rate(post: Post) -> None:
    one = paused_with_backlog(post, 80, drain_rate="10/s")
    two = post.dispatcher("replica-2")
    before = len(post.receiver.requests)

    for _ in range(20):
        post.clock.advance(0.1)
        idle(one)
        idle(two)

    assert 19 <= len(post.receiver.requests) - before <= 22


@only_sqlite
def test_backlog_cannot_take_the_only_place_for_itself(post: Post) -> None:
    dispatcher = paused_with_backlog(post, 100, drain_rate="1000/s", max_concurrency=1)
    post.queue(5, first=1001)

    passing(post, dispatcher, 0.05, lambda: len(post.receiver.requests) >= 40)

    sent = [int((one.header("webhook-id") or "").partition("-")[2]) for one in post.receiver.requests[:40]]
    assert len([number for number in sent if number > 1000]) == 5


@only_sqlite
def test_batches_of_a_backlog_keep_to_the_rate_of_its_deliveries(post: Post) -> None:
    post.rule("new-user", batch={"max_items": 100, "linger": 0})
    dispatcher = paused_with_backlog(post, 100, drain_rate="10/s")

    sent_within(post, dispatcher, 4)

    assert 40 <= post.states()["delivered"] <= 52


@only_sqlite
def test_ordered_backlog_keeps_order_and_rate(post: Post) -> None:
    post.service("crm", drain_rate="10/s")
    dispatcher = post.dispatcher()
    pause(post, paused=True)
    line_up(post, "a", range(1, 31))
    idle(dispatcher)
    pause(post, paused=False)
    post.clock.advance(1)

    assert sent_within(post, dispatcher, 2) <= 22
    passing(post, dispatcher, 0.05, lambda: post.states() == {"delivered": 30})
    sent = [int((one.header("webhook-id") or "").partition("-")[2]) for one in post.receiver.requests]
    assert sent == list(range(1, 31))


@only_sqlite
def test_backlog_is_forgotten_when_it_is_over(post: Post) -> None:
    dispatcher = paused_with_backlog(post, 3, drain_rate="10/s")
    passing(post, dispatcher, 0.05, lambda: post.states() == {"delivered": 3})
    lane = dispatcher._lanes["crm"]
    assert lane.backlog_until == post.circuit().drain_before

    post.clock.advance(1)
    post.queue(1, first=4)
    idle(dispatcher)

    assert post.states() == {"delivered": 4}
    assert lane.backlog_until is None
