"""Limits and policies of services, and what a rule changes of them."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.bridge.dispatch import Dispatcher
from sidecar.clock import FakeClock
from sidecar.store import rates
from tests.bridge.dispatching import Post, idle, until
from tests.databases import Database
from tests.receiver import Exchange, Receiver, answer, hang

only_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def idle_now(dispatcher: Dispatcher) -> None:
    """Make rounds until nothing is in hand whose moment has come."""
    now = dispatcher._clock.monotonic()
    dispatcher.run_once()
    until(dispatcher, lambda: not [item for item in dispatcher._items() if item.not_before <= now])


class Doorkeeper:
    """Counts who is in at once. Before it lets one out it waits a moment for more than there may be."""

    def __init__(self, most: int) -> None:
        self.inside = self.worst = 0
        self._most, self._changed = most, threading.Condition()

    def __call__(self, exchange: Exchange) -> bool:
        with self._changed:
            self.inside += 1
            self.worst = max(self.worst, self.inside)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self.inside > self._most, 0.05)
        good = hang()(exchange) if exchange.request.target == "/hung" else answer()(exchange)
        with self._changed:
            self.inside -= 1
        return good


def pass_time(post: Post, replicas: list[Dispatcher], tenths: int) -> list[int]:
    """Let a tenth of a second pass at a time; return how many requests each brought."""
    brought, moments = [], dict[int, float]()
    for _ in range(tenths):
        before = len(post.receiver.requests)
        for replica in replicas:
            replica.run_once()
            moments |= {item.claimed.number: item.not_before for item in replica._items()}
        due = sum(moment <= post.clock.monotonic() for moment in moments.values())
        brought.append(len(post.receiver.wait_for(due, "/crm")) - before)
        post.clock.advance(0.1)
    return brought


def test_two_replicas_share_ten_requests_a_second(post: Post) -> None:
    post.service("crm", rate_limit="10/s", max_concurrency=20)
    post.queue(100)
    replicas = [post.dispatcher("replica-1"), post.dispatcher("replica-2")]

    brought = pass_time(post, replicas, 50)

    seconds = [sum(brought[start : start + 10]) for start in range(0, 50, 10)]
    assert all(9 <= number <= 11 for number in seconds), brought
    assert max(brought) <= 2


@only_sqlite
def test_slow_rate_sends_one_at_its_moment(post: Post) -> None:
    post.service("crm", rate_limit="30/min")
    post.queue(3)
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: post.states() == {"delivered": 1, "pending": 2})

    post.clock.advance(1.9)
    for _ in range(3):
        dispatcher.run_once()
    assert len(post.receiver.requests) == 1
    post.clock.advance(0.1)

    until(dispatcher, lambda: post.states() == {"delivered": 2, "pending": 1})


@only_sqlite
def test_what_waits_for_its_moment_is_handed_back_at_the_stop(post: Post) -> None:
    post.service("crm", rate_limit="2/s")
    post.queue(5)
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: post.states() == {"delivered": 1, "sending": 2, "pending": 2})

    dispatcher.stop()

    assert post.states() == {"delivered": 1, "pending": 4}
    assert [row.attempts for row in post.rows()] == [1, 0, 0, 0, 0]
    assert len(post.receiver.requests) == 1


@only_sqlite
def test_schedule_is_followed_wait_by_wait(post: Post) -> None:
    post.service("crm", retry={"schedule": ["5s", "30s"]}, circuit_breaker={"failure_threshold": 99})
    post.receiver.on("/crm", answer(500))
    post.queue(1)
    dispatcher = post.dispatcher()

    waited = []
    for _ in range(2):
        idle(dispatcher)
        waited.append((post.rows()[0].due_at - post.clock.now()).total_seconds())
        post.clock.advance(waited[-1])
    idle(dispatcher)

    assert waited == [5, 30]
    assert post.states() == {"dead": 1}
    assert [letter.reason for letter in post.letters()] == ["exhausted"]


@only_sqlite
def test_rule_retries_as_it_says_and_its_neighbour_as_the_service_does(post: Post) -> None:
    post.service("crm", retry={"max_retries": 3, "backoff": 8}, circuit_breaker={"failure_threshold": 99})
    post.rule("hasty", retry={"max_retries": 0})
    post.rule("patient", retry={"schedule": [600]})
    post.receiver.on("/crm", answer(500))
    for number, rule in enumerate(("hasty", "patient", "usual", "hasty"), start=1):
        post.queue(1, first=number, rule=rule)

    idle(post.dispatcher())

    waits = [round((row.due_at - post.clock.now()).total_seconds()) for row in post.rows()]
    assert [row.state for row in post.rows()] == ["dead", "pending", "pending", "dead"]
    assert waits[1:3] == [600, 8]


@only_sqlite
def test_rule_that_sends_elsewhere_today_changes_nothing_of_the_old_service(post: Post) -> None:
    post.service("crm", circuit_breaker={"failure_threshold": 99})
    post.rule("new-user", "erp", retry={"max_retries": 0})
    post.receiver.on("/crm", answer(500))
    post.queue(1)

    idle(post.dispatcher())

    assert post.states() == {"pending": 1}


@only_sqlite
def test_changed_policy_of_a_rule_serves_what_is_already_queued(post: Post) -> None:
    post.service("crm", circuit_breaker={"failure_threshold": 99})
    post.receiver.on("/crm", answer(500))
    post.queue(1)
    dispatcher = post.dispatcher()
    idle(dispatcher)

    post.rule("new-user", retry={"max_retries": 1})
    dispatcher.configure(post.wanted, post.rules)
    post.clock.advance(1)
    idle(dispatcher)

    assert post.states() == {"dead": 1}


@only_sqlite
@pytest.mark.parametrize(("before", "after"), [(3, 3), (5, 2), (2, 3)])
def test_limit_holds_while_a_changed_configuration_is_taken_over(post: Post, before: int, after: int) -> None:
    most = max(after, 2)
    door = Doorkeeper(most)
    post.receiver.otherwise(door)
    post.service("crm", max_concurrency=before)
    post.queue(1, endpoint="/hung")
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: len(post.receiver.to("/hung")) == 1)

    post.service("crm", max_concurrency=after, timeout=14)
    dispatcher.configure(post.wanted)
    post.queue(6, first=2)
    until(dispatcher, lambda: post.states() == {"sending": 1, "delivered": 6})

    assert door.worst == most
    post.receiver.released.set()
    until(dispatcher, lambda: post.states() == {"delivered": 7})


@only_sqlite
def test_rule_s_own_timeout_gives_up_earlier(post: Post) -> None:
    post.service("crm", timeout=10)
    post.rule("hasty", timeout=0.05)
    post.receiver.on("/crm", hang())
    post.queue(1, rule="hasty")
    post.queue(1, first=2, rule="patient")
    dispatcher = post.dispatcher()

    until(dispatcher, lambda: [row.attempts for row in post.rows()] == [1, 0])
    post.receiver.released.set()
    until(dispatcher, lambda: post.rows()[1].state == "delivered")

    assert str(post.rows()[0].last_error).endswith("within 0.05 s")


@only_sqlite
def test_each_failed_probe_doubles_the_cooldown_until_the_service_is_well(post: Post) -> None:
    breaker = {"failure_threshold": 1, "cooldown": 30, "cooldown_factor": 2, "max_cooldown": 100}
    post.service("crm", max_concurrency=1, circuit_breaker=breaker)
    post.receiver.on("/crm", answer(503))
    post.queue(2)
    dispatcher = post.dispatcher()

    waited = []
    for number in range(1, 6):
        idle(dispatcher)
        assert len(post.receiver.requests) == number
        probe_at = post.circuit().probe_at
        assert probe_at is not None
        waited.append((probe_at - post.clock.now()).total_seconds())
        post.clock.advance(waited[-1])
    post.receiver.on("/crm", answer())
    until(dispatcher, lambda: post.states() == {"delivered": 2})

    assert waited == [30, 60, 100, 100, 100]
    assert (post.circuit().state, post.circuit().failed_probes) == ("closed", 0)


@only_sqlite
def test_share_of_failures_opens_the_circuit_that_no_row_would(post: Post) -> None:
    breaker = {"failure_threshold": 99, "failure_share": 0.5, "min_requests": 6}
    post.service("crm", max_concurrency=1, retry={"max_retries": 0}, circuit_breaker=breaker)
    post.receiver.on("/crm", *[answer(), answer(503)] * 10)
    post.queue(20)

    idle(post.dispatcher())

    assert len(post.receiver.requests) == 6
    assert post.circuit().state == "open"
    assert post.states() == {"delivered": 3, "dead": 3, "pending": 14}


@only_sqlite
def test_probe_that_the_stop_hands_back_is_free_for_another_replica(post: Post) -> None:
    post.service("crm", rate_limit="1/s")
    post.queue(2)
    post.open_circuit()
    with post.store.write() as conn:
        rates.take(conn, "crm", until=post.clock.now() + timedelta(seconds=0.9))
    stopping, living = post.dispatcher("replica-1"), post.dispatcher("replica-2")
    until(stopping, lambda: post.states() == {"sending": 1, "pending": 1})
    assert post.circuit().state == "half_open"

    stopping.stop()

    assert (post.circuit().state, post.circuit().probe_at) == ("open", post.clock.now())
    assert post.receiver.requests == []
    post.clock.advance(1.9)
    until(living, lambda: post.states() == {"delivered": 1, "pending": 1})
    post.clock.advance(1)
    until(living, lambda: post.states() == {"delivered": 2})


@only_sqlite
def test_moment_that_a_stall_missed_is_not_made_up_for(post: Post) -> None:
    post.service("crm", rate_limit="10/s")
    post.queue(11)
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: post.states() == {"delivered": 1, "sending": 10})

    post.clock.advance(0.7)
    until(dispatcher, lambda: dispatcher.in_hand < 10)
    for _ in range(20):
        dispatcher.run_once()

    assert len(post.receiver.requests) <= 1 + 4
    assert sum(row.attempts for row in post.rows()) == len(post.receiver.requests)
    for _ in range(20):
        post.clock.advance(0.1)
        idle_now(dispatcher)
    assert post.states() == {"delivered": 11}
