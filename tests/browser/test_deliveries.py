"""Deliveries and dead letters in a real browser: sound in all states, edited, replayed, done in bulk."""

from dataclasses import replace

import pytest

from sidecar.model import DeadLetter, DeadReason
from sidecar.store import queue
from tests.browser.conftest import Visit, Visitor, page_is_sound
from tests.cli.seeds import Seeds

LONG = "a-rule-with-a-very-long-name-" + "x" * 60
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def keys(seeds: Seeds) -> list[str]:
    """Fill the store with what is hard to show; return the ids of two dead letters."""
    seeds.services()
    seeds.delivered(1)
    rejected = seeds.rejected(
        2, rule=HOSTILE, body='{"name": "' + HOSTILE + '", "text": "' + "y" * 500 + '"}'
    )
    bare = seeds.unrendered(3, row={"id": 3, "other": {"name": HOSTILE}}, rule=LONG)
    seeds.delivery(4, event=r"\tool_" + "very_long_" * 12 + r"\event\thing_happened")
    return [rejected.delivery_id, bare.delivery_id]


@pytest.mark.parametrize("role", ["view", "manage"])
def test_each_page_is_sound_when_it_is_full(visit: Visit, keys: list[str], role: str) -> None:
    visitor = visit(role)
    paths = ["/deliveries?live=1", "/deliveries/2", "/deliveries/4", "/dead-letters"]
    paths += [f"/dead-letters/{key}" for key in keys]
    if role == "manage":
        paths += [f"/dead-letters/{keys[0]}/edit", "/dead-letters/bulk"]

    for path in paths:
        visitor.go(path)
        page_is_sound(visitor)

    assert visitor.page.locator("img[src=x]").count() == 0


def test_a_letter_is_edited_with_its_mistake_shown_and_replayed(
    visit: Visit, keys: list[str], seeds: Seeds
) -> None:
    visitor = visit("manage")
    page = visitor.page

    visitor.go(f"/dead-letters/{keys[0]}")
    page.click("text=Edit the payload")
    page.fill("#f-payload", '{"id": }')
    page.click("main form button")
    page.wait_for_selector("#problem")
    problem, typed = page.inner_text("#problem"), page.input_value("#f-payload")
    visitor.complaints = [one for one in visitor.complaints if "status of 422" not in one]
    page_is_sound(visitor)
    page.fill("#f-payload", '{"id": 2}')
    page.click("main form button")
    page.wait_for_selector(".alert-success")
    page.click('button:has-text("Replay as sent")')
    page.wait_for_url("**/deliveries/*")

    assert "line 1, column" in problem
    assert typed == '{"id": }'
    assert page.inner_text("#payload").replace(" ", "").replace("\n", "") == '{"id":2}'
    assert seeds.letters() == 1


def test_many_are_replayed_after_a_question_with_their_number(visit: Visit, seeds: Seeds) -> None:
    _bury(seeds, 650)
    visitor = visit("manage")
    page = visitor.page

    visitor.go("/dead-letters")
    page.click("text=Replay or delete all 650")
    page.click("text=Replay 650 dead letters")
    page.wait_for_selector(".state-ok")
    page_is_sound(visitor)

    assert "650 of 650 are done." in page.inner_text("#job")
    assert page.inner_text("#job-said") == "finished"
    assert seeds.letters() == 0


def test_deleting_many_is_asked_for_and_cancel_deletes_nothing(visit: Visit, seeds: Seeds) -> None:
    _bury(seeds, 3)
    page = _at(visit("manage"), "/dead-letters/bulk?service=crm").page

    page.click("text=Delete 3 dead letters")
    question = page.inner_text("dialog p")
    page.click("dialog >> text=Cancel")
    kept = seeds.letters()
    page.click("text=Delete 3 dead letters")
    page.click("dialog >> text=OK")
    page.wait_for_selector(".state-ok")

    assert (question, kept, seeds.letters()) == ("Delete 3 dead letters for ever?", 3, 0)


def test_without_javascript_many_are_replayed_on_plain_pages(visit: Visit, seeds: Seeds) -> None:
    _bury(seeds, 3)
    page = _at(visit("manage", java_script_enabled=False), "/dead-letters/bulk").page

    page.click("text=Replay 3 dead letters")
    page.wait_for_selector("#job")
    while page.locator(".state-ok").count() == 0:
        page.reload()

    assert "3 of 3 are done." in page.inner_text("#job")


def _at(visitor: Visitor, path: str) -> Visitor:
    visitor.go(path)
    return visitor


def _bury(seeds: Seeds, count: int) -> None:
    first = seeds._delivery(1)
    letters = [
        DeadLetter(
            replace(first, delivery_id=seeds._delivery(number).delivery_id, log_id=number),
            DeadReason.EXHAUSTED,
            "no answer within 5 s",
            attempts=4,
        )
        for number in range(1, count + 1)
    ]
    with seeds.store.write() as conn:
        queue.enqueue_dead(conn, letters, now=seeds.clock.now())
