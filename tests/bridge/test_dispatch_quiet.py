"""When there is nothing left that moves by itself, a run until idle may end."""

from collections.abc import Iterator

import pytest

from sidecar.bridge.quiet import unfinished
from sidecar.clock import FakeClock
from sidecar.store import services
from tests.bridge.dispatching import Post, idle, until
from tests.databases import Database
from tests.receiver import Receiver, answer, hang

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def left(post: Post) -> int:
    with post.store.read() as conn:
        return unfinished(conn, post.wanted, since=FakeClock().now())


def test_what_waits_for_a_retry_is_not_finished(post: Post) -> None:
    post.service("crm", retry={"max_retries": 1})
    post.receiver.on("/crm", answer(503), answer())
    post.queue(1)
    dispatcher = post.dispatcher()

    idle(dispatcher)
    assert left(post) == 1

    post.clock.advance(1)
    idle(dispatcher)
    assert left(post) == 0


def test_what_is_in_somebodys_hands_is_not_finished(post: Post) -> None:
    post.service("crm")
    post.receiver.on("/crm", hang())
    post.queue(1)
    dispatcher = post.dispatcher()
    until(dispatcher, lambda: len(post.receiver.requests) == 1)

    post.wanted = {}

    assert left(post) == 1


def test_what_only_a_person_can_move_is_not_waited_for(post: Post) -> None:
    post.service("crm")
    post.service("erp", enabled=False)
    for name in ("crm", "erp", "gone"):
        post.queue(2, name)
    assert left(post) == 2

    with post.store.write() as conn:
        services.pause(conn, "crm", pause=True, now=post.clock.now())

    assert left(post) == 0


def test_ill_service_gets_one_probe_before_it_is_given_up(post: Post) -> None:
    post.service("crm", max_concurrency=1)
    post.receiver.on("/crm", answer(503))
    post.queue(5)
    dispatcher = post.dispatcher()

    idle(dispatcher)
    assert left(post) == 5

    post.clock.advance(30)
    idle(dispatcher)
    assert left(post) == 0
