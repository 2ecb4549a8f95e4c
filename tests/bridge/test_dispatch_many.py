"""A backlog for a transport that takes many requests at once: sent together, each with a fate of its own."""

from collections.abc import Iterator, Sequence

import pytest

from sidecar.clock import FakeClock
from sidecar.model import Attempt, Outcome
from sidecar.transports.base import Request
from tests.bridge.dispatching import Post, idle, until
from tests.broker import RabbitMQ
from tests.databases import Database
from tests.receiver import Receiver
from tests.transports.brokers import Inbox

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


class Wire:
    """A transport that takes twenty at once and remembers its groups; `answers` are by delivery id."""

    at_once = 20

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.groups: list[list[str]] = []
        self.answers: dict[str, Outcome] = {}
        self.loses_an_answer = False

    def send(self, request: Request) -> Attempt:
        """Take one."""
        return self.send_many([request])[0]

    def send_many(self, requests: Sequence[Request]) -> list[Attempt]:
        """Take all that come together."""
        self.groups.append([request.delivery_id for request in requests])
        if self.loses_an_answer:
            return []
        outcomes = (self.answers.get(request.delivery_id, Outcome.DELIVERED) for request in requests)
        return [Attempt(outcome, self._clock.now(), 1.0, error=None) for outcome in outcomes]

    def close(self) -> None:
        """Do nothing."""


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


@pytest.fixture
def wire(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire(clock)
    monkeypatch.setattr("sidecar.gateway.line.open_transport", lambda _service, _clock: made)
    return made


def test_backlog_goes_out_in_groups_and_each_has_its_own_fate(post: Post, wire: Wire) -> None:
    post.service("crm", max_concurrency=30)
    wire.answers = {"crm-3": Outcome.REJECTED, "crm-4": Outcome.FAILED}
    post.queue(90)

    until(post.dispatcher(), lambda: post.states() == {"delivered": 88, "dead": 1, "pending": 1})

    sent = [one for group in wire.groups for one in group]
    assert sorted(sent) == sorted(f"crm-{number}" for number in range(1, 91))
    assert max(len(group) for group in wire.groups) <= 20
    assert len(wire.groups) < 90
    assert [letter.delivery_id for letter in post.letters()] == ["crm-3"]
    assert [row.attempts for row in post.rows()] == [1] * 90


def test_with_a_rate_limit_they_leave_one_by_one(post: Post, wire: Wire) -> None:
    post.service("crm", rate_limit="1000/s", max_concurrency=20)
    post.queue(20)

    dispatcher = post.dispatcher()
    until(dispatcher, lambda: _let_pass(post) and post.states() == {"delivered": 20})

    assert [len(group) for group in wire.groups] == [1] * 20


def _let_pass(post: Post) -> bool:
    post.clock.advance(0.001)
    return True


def test_probe_is_one_delivery(post: Post, wire: Wire) -> None:
    post.service("crm", max_concurrency=20)
    post.open_circuit()
    post.queue(20)

    until(post.dispatcher(), lambda: post.states() == {"delivered": 20})

    assert len(wire.groups[0]) == 1


def test_rules_with_timeouts_of_their_own_are_not_mixed(post: Post, wire: Wire) -> None:
    post.service("crm", max_concurrency=20)
    post.rule("hasty", timeout=2)
    for number in range(1, 41):
        post.queue(1, first=number, rule="hasty" if number % 10 < 5 else "plain")

    until(post.dispatcher(), lambda: post.states() == {"delivered": 40})

    kinds = [{int(one.removeprefix("crm-")) % 10 < 5 for one in group} for group in wire.groups]
    assert all(len(kind) == 1 for kind in kinds)


def test_transport_that_answers_for_too_few_costs_each_one_try(post: Post, wire: Wire) -> None:
    post.service("crm", max_concurrency=20, circuit_breaker={"failure_threshold": 99})
    wire.loses_an_answer = True
    post.queue(10)
    dispatcher = post.dispatcher()

    idle(dispatcher)

    assert [(row.state, row.attempts) for row in post.rows()] == [("pending", 1)] * 10
    assert all(str(row.last_error).startswith(("ValueError: ", "IndexError: ")) for row in post.rows())


def test_stop_while_a_group_waits_leaves_nothing_behind(post: Post, wire: Wire) -> None:
    post.service("crm", max_concurrency=5)
    post.rule("hasty", timeout=2)
    for number in range(1, 61):
        post.queue(1, first=number, rule="hasty" if number % 2 else "plain")
    dispatcher = post.dispatcher()
    dispatcher.run_once()

    dispatcher.stop()

    assert dispatcher.in_hand == 0
    assert set(post.states()) <= {"delivered", "pending"}
    assert post.states()["delivered"] == sum(len(group) for group in wire.groups)


def test_backlog_for_rabbitmq_arrives_whole(post: Post, rabbitmq: RabbitMQ) -> None:
    inbox = Inbox(rabbitmq)
    post.service("bus", type="amqp", base_url=rabbitmq.url(), max_concurrency=20)
    post.queue(300, "bus", endpoint=inbox.name)

    until(post.dispatcher(), lambda: post.states("bus") == {"delivered": 300})

    assert sorted(inbox.ids()) == sorted(f"bus-{number}" for number in range(1, 301))
    inbox.remove()
