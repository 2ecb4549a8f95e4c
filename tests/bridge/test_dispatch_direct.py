"""What the queue sends and what direct calls send obey the same circuit, pause and rate limit."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.bridge.dispatch import Dispatcher
from sidecar.clock import FakeClock
from sidecar.gateway.gateway import Gateway
from sidecar.gateway.response import Response
from sidecar.settings import DispatchSettings, Settings
from sidecar.store import queue
from tests.bridge.dispatching import Post, idle, until
from tests.databases import Database
from tests.deliveries import delivery
from tests.receiver import Receiver, answer, hang

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
SENDERS = 20


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def gateway_of(post: Post) -> Gateway:
    settings = Settings.model_validate(
        {"site": "campus", "moodle": {"url": "sqlite:////nowhere.sqlite"}, "services": post.wanted}
    )
    return Gateway(settings, post.store, clock=post.clock, wait=post.clock.advance)


def all_at_once(gateway: Gateway, dispatchers: list[Dispatcher]) -> list[Response]:
    """Let twenty callers and all senders of the dispatchers have at the service at the same moment."""
    at_once = threading.Barrier(SENDERS + len(dispatchers))
    answers: list[Response] = []

    def call() -> None:
        at_once.wait(20)
        answers.append(gateway.request("crm", "/crm", {}))

    def dispatch(dispatcher: Dispatcher) -> None:
        at_once.wait(20)
        idle(dispatcher)

    threads = [threading.Thread(target=call) for _ in range(SENDERS)]
    threads += [threading.Thread(target=dispatch, args=(one,)) for one in dispatchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_twenty_callers_and_two_dispatchers_send_one_request_per_cooldown(post: Post) -> None:
    post.service("crm", max_concurrency=SENDERS)
    post.receiver.on("/crm", answer(503))
    post.queue(40)
    post.open_circuit()
    post.clock.advance(0.001)
    dispatchers, gateway = [post.dispatcher("replica-1"), post.dispatcher("replica-2")], gateway_of(post)

    for cooldown in range(1, 5):
        answers = all_at_once(gateway, dispatchers)

        assert len(post.receiver.requests) == cooldown
        assert len(answers) == SENDERS
        assert sum(one.attempts for one in answers) <= 1
        post.clock.advance(30)

    assert [row.attempts for row in post.rows()] == [0] * 40
    gateway.close()


@ON_SQLITE
def test_direct_call_that_is_the_probe_lets_the_queue_go_on(post: Post) -> None:
    post.service("crm")
    post.receiver.on("/crm", answer(200))
    post.open_circuit()
    post.clock.advance(0.001)
    gateway = gateway_of(post)

    assert gateway.request("crm", "/crm", {}).ok
    post.queue(3)
    dispatcher = post.dispatcher()

    until(dispatcher, lambda: post.states() == {"delivered": 3})
    gateway.close()


@ON_SQLITE
def test_direct_call_that_finds_the_service_gone_parks_the_queue(post: Post) -> None:
    post.service("crm")
    post.receiver.on("/crm", answer(410))
    gateway = gateway_of(post)

    gateway.request("crm", "/crm", {})
    post.queue(3)
    idle(post.dispatcher())

    assert post.states() == {"pending": 3}
    assert len(post.receiver.requests) == 1
    gateway.close()


NINE = [f"fast-{number}" for number in range(1, 10)]


@contextmanager
def running(dispatcher: Dispatcher) -> Iterator[None]:
    """Make rounds as `mih run` does, one after the other in a thread."""
    over = threading.Event()

    def rounds() -> None:
        while not over.is_set():
            dispatcher.run_once()

    thread = threading.Thread(target=rounds)
    thread.start()
    try:
        yield
    finally:
        over.set()
        dispatcher.wake()
        thread.join()


@ON_SQLITE
def test_nine_services_are_served_within_two_seconds_while_the_tenth_hangs(post: Post) -> None:
    # With the settings that everybody has. Nobody wakes the dispatcher: as if other processes queued.
    for name in [*NINE, "slow"]:
        post.service(name)
    post.receiver.on("/slow", hang())
    dispatcher, gateway = post.dispatcher(**DispatchSettings().model_dump()), gateway_of(post)
    hanging = [threading.Thread(target=gateway.request, args=("slow", "/slow", {})) for _ in range(5)]
    for thread in hanging:
        thread.start()
    share = DispatchSettings().concurrency // 10
    queued_at: dict[str, float] = {}
    calls_s: list[float] = []

    with running(dispatcher):
        for first in (1, 11):  # the second ones when the dispatcher has just found nothing more to do
            wave = [delivery(first + number, name) for number in range(10) for name in ["slow", *NINE]]
            queued_at |= {one.delivery_id: time.monotonic() for one in wave}
            with post.store.write() as conn:
                queue.enqueue(conn, wave, now=post.clock.now())
            for name in NINE:
                post.receiver.wait_for(first + 9, f"/{name}")
        post.receiver.wait_for(5 + share, "/slow")
        for name in NINE:
            began = time.monotonic()
            assert gateway.request(name, "/direct", {}).ok
            calls_s.append(time.monotonic() - began)
        assert not post.receiver.released.is_set()
        assert post.states("slow") == {"sending": share, "pending": 20 - share}
        post.receiver.released.set()

    arrived = [one for name in NINE for one in post.receiver.to(f"/{name}")]
    late_s = sorted([*calls_s, *(one.at - queued_at[str(one.header("webhook-id"))] for one in arrived)])
    assert len(late_s) == 9 * 21
    assert late_s[int(len(late_s) * 0.99)] < 2
    for thread in hanging:
        thread.join()
    gateway.close()
