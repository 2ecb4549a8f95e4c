"""A real sidecar in a browser: a delivery arrives, an outage opens a circuit, a replay brings one home."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.acceptance.sidecar import Sidecar, eventually, write_config
from tests.browser.conftest import Visitor, page_is_sound
from tests.databases import Database
from tests.process import free_port
from tests.receiver import Receiver, answer
from tests.rows import insert_rows, log_row
from tests.web.people import HASH

EVENT = r"\core\event\user_created"
_PATIENCE_S = 30.0


@pytest.fixture
def sidecar(moodle_db: Database, receiver: Receiver, tmp_path: Path) -> Iterator[Sidecar]:
    """`mih run` whose service opens its circuit at the first failure and tries again after a second."""
    circuit = {"failure_threshold": 1, "cooldown": 1}
    config = write_config(
        tmp_path / "sidecar.yaml",
        site="campus",
        moodle={"url": moodle_db.url},
        tail={"start": "latest", "poll": 0.1},
        services={"crm": {"base_url": receiver.url, "circuit_breaker": circuit}},
        rules=[
            {
                "name": "new-user",
                "event": EVENT,
                "service": "crm",
                "payload": '{"id": {{ objectid }}}',
                "max_event_age": "none",
            }
        ],
        web={"port": free_port(), "users": [{"name": "ana", "password_hash": HASH, "role": "manage"}]},
    )
    running = Sidecar(config)
    running.start()
    eventually(lambda: "web.listening" in running.said)
    yield running
    assert running.terminate() == 0, running.said


@pytest.fixture
def visitor(browser: Browser, sidecar: Sidecar) -> Iterator[Visitor]:
    """A signed-in browser whose clock the test turns: no page is waited for longer than its answer takes."""
    port = sidecar.config.read_text().partition("port: ")[2].split()[0]
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.clock.install()
    one = Visitor(context, f"http://127.0.0.1:{port}")
    one.sign_in("ana")
    yield one
    context.close()


def comes_true(page: Page, selector: str, text: str) -> None:
    """Let the page's own time pass, five seconds at a time, until it says that by itself."""
    ends = time.monotonic() + _PATIENCE_S
    while not page.locator(selector, has_text=text).count():
        assert time.monotonic() < ends, f"{text!r} is not in {page.inner_text('main')!r}"
        page.clock.run_for(5_000)
        page.wait_for_load_state("networkidle")


def happens(moodle_db: Database, user: int) -> None:
    insert_rows(moodle_db.url, [log_row(eventname=EVENT, objectid=user)])


def test_a_delivery_an_outage_and_a_replay_are_seen_as_they_happen(
    visitor: Visitor, receiver: Receiver, moodle_db: Database
) -> None:
    page = visitor.page
    receiver.otherwise(answer(201))
    visitor.go("/deliveries?live=1")
    before = page.locator("tbody tr").count()

    happens(moodle_db, 1)
    comes_true(page, "tbody tr", "delivered")
    receiver.otherwise(answer(422))
    happens(moodle_db, 2)
    comes_true(page, "tbody tr", "dead")
    receiver.otherwise(answer(503))
    visitor.go("/")
    happens(moodle_db, 3)
    comes_true(page, ".verdict", "crm is down since")
    page_is_sound(visitor)
    receiver.otherwise(answer(201))
    comes_true(page, "#services-table", "healthy")
    visitor.go("/dead-letters")
    page.click(".event-cell a")
    page.click('button:has-text("Replay as sent")')
    page.wait_for_url("**/deliveries/*")
    comes_true(page, "main .now", "delivered")

    assert before == 0
    bodies = [one.body for one in receiver.to("/") if one.method == "POST"]
    assert bodies[:2] == [b'{"id": 1}', b'{"id": 2}']
    assert set(bodies[2:-1]) == {b'{"id": 3}'}
    assert bodies[-1] == b'{"id": 2}'
