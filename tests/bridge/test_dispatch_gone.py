"""A service that answers 410 Gone is paused with a notice, and nothing that was meant for it is lost."""

import logging
from collections.abc import Iterator

import pytest

from sidecar.clock import FakeClock
from sidecar.store import services
from tests.bridge.dispatching import Post, idle
from tests.databases import Database
from tests.receiver import Receiver, answer

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def post(database: Database, clock: FakeClock) -> Iterator[Post]:
    with Receiver() as receiver:
        made = Post(database.url, clock, receiver)
        yield made
        made.close()


def paused(post: Post) -> frozenset[str]:
    with post.store.read() as conn:
        return services.paused(conn)


def test_gone_service_is_paused_and_its_deliveries_are_parked(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.service("crm", max_concurrency=1)
    post.service("erp")
    post.receiver.on("/crm", answer(410))
    post.queue(5)
    post.queue(1, "erp", first=6)
    dispatcher = post.dispatcher()

    with caplog.at_level(logging.WARNING, "mih.dispatch"):
        idle(dispatcher)

    assert paused(post) == {"crm"}
    assert post.states() == {"pending": 5}
    assert post.states("erp") == {"delivered": 1}
    assert [(row.attempts, row.last_status) for row in post.rows()] == [(0, 410), *[(0, None)] * 4]
    assert post.letters() == []
    assert len(post.receiver.to("/crm")) == 1
    assert [row.status for row in post.attempts() if row.service == "crm"] == [410]
    assert [record.getMessage() for record in caplog.records] == [
        "service.paused service=crm: it answered 410 Gone; mih services resume crm"
    ]


def test_resumed_service_gets_what_was_parked(post: Post) -> None:
    post.service("crm", max_concurrency=1)
    post.receiver.on("/crm", answer(410), answer())
    post.queue(3)
    dispatcher = post.dispatcher()
    idle(dispatcher)

    with post.store.write() as conn:
        services.pause(conn, "crm", pause=False, now=post.clock.now())
    post.clock.advance(1)
    idle(dispatcher)

    assert post.states() == {"delivered": 3}


def test_many_answers_of_410_are_one_notice(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    post.service("crm", max_concurrency=5)
    post.receiver.on("/crm", answer(410))
    post.queue(5)

    with caplog.at_level(logging.WARNING, "mih.dispatch"):
        idle(post.dispatcher())

    assert post.states() == {"pending": 5}
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["service.paused service=crm"]


def test_410_that_is_to_be_tried_again_pauses_nothing(post: Post) -> None:
    post.service("crm", retry_status=[410])
    post.receiver.on("/crm", answer(410))
    post.queue(1)

    idle(post.dispatcher())

    assert paused(post) == frozenset()
    assert [row.attempts for row in post.rows()] == [1]
