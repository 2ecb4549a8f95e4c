"""Parts of pages that renew themselves under people's hands: nothing is lost, and what is stale says so."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route

from sidecar.clock import FakeClock
from sidecar.store import sessions
from sidecar.store.audit import Author
from sidecar.workshop import save_rule
from tests.browser.conftest import Visit, Visitor
from tests.cli.seeds import Seeds
from tests.web.conftest import Site
from tests.web.people import PASSWORD

Open = Callable[..., Visitor]


@pytest.fixture
def opened(visit: Visit) -> Open:
    """Open a page whose time the test turns."""

    def made(path: str, **options: Any) -> Visitor:
        visitor = visit("manage", **options)
        visitor.context.clock.install()
        visitor.go(path)
        return visitor

    return made


def let_pass(visitor: Visitor, seconds: int) -> None:
    """Let the page's own time pass, and what it asks for be answered."""
    visitor.page.clock.run_for(seconds * 1_000)
    visitor.settle()


def active(page: Any) -> str:
    return str(page.evaluate("() => document.activeElement.outerHTML"))


def test_a_deed_that_was_asked_for_is_done_however_long_the_answer_takes(opened: Open, site: Site) -> None:
    visitor = opened("/services")
    page = visitor.page

    page.click("#pause-crm")
    let_pass(visitor, 6)
    with page.expect_navigation():
        page.click("dialog >> text=OK")

    assert "crm" in page.inner_text("main .alert-success")
    assert page.locator("#resume-crm").count() == 1


def test_the_keyboard_keeps_its_place_and_a_table_its_scroll(opened: Open, seeds: Seeds) -> None:
    visitor = opened("/services", viewport={"width": 700, "height": 900})
    page = visitor.page
    page.focus("tbody a[href='/services/crm']")
    page.evaluate("() => { document.querySelector('.table-around').scrollLeft = 50; }")
    before = active(page)

    seeds.delivery(1)
    let_pass(visitor, 6)

    assert page.locator("#live a[href*='state=pending']").count() == 1  # it was renewed
    assert active(page) == before
    assert page.evaluate("() => document.querySelector('.table-around').scrollLeft") == 50


def test_what_is_marked_to_be_copied_stays_marked(opened: Open, seeds: Seeds) -> None:
    seeds.delivery(1)
    visitor = opened("/deliveries?live=1")
    page = visitor.page

    page.dblclick("tbody .remark >> nth=0")
    page.mouse.move(0, 0)
    let_pass(visitor, 6)

    assert page.evaluate("() => getSelection().toString()") == "user_created"


def test_what_the_pointer_aims_at_does_not_move_away_for_ten_seconds(opened: Open, seeds: Seeds) -> None:
    seeds.delivery(1)
    visitor = opened("/deliveries?live=1")
    page = visitor.page

    page.hover("tbody a >> nth=0")
    seeds.delivery(2)
    let_pass(visitor, 6)
    aimed_at = page.inner_text("a:hover")
    let_pass(visitor, 10)

    assert aimed_at == "1"
    assert page.locator("tbody tr").count() == 2


def test_a_page_says_once_since_when_it_is_not_current(opened: Open, seeds: Seeds) -> None:
    visitor = opened("/?lang=es", locale="es-ES")
    page = visitor.page
    page.evaluate(
        "() => { window.said = 0; new MutationObserver(() => { window.said += 1; })"
        ".observe(document.body, {childList: true, subtree: true}); }"
    )

    visitor.context.set_offline(True)
    for _ in range(8):
        let_pass(visitor, 5)
    notice, said = page.inner_text("#notices"), page.evaluate("() => window.said")
    visitor.context.set_offline(False)
    let_pass(visitor, 6)

    assert re.search(r"No está al día: esta era la situación el \d+ \w+ \d+, \d+:\d\d:\d\d\.", notice)
    assert page.url.endswith("lang=es")
    assert said == 1
    assert page.inner_text("#notices") == ""


def test_the_end_of_a_session_takes_no_typed_text_away(opened: Open, site: Site, clock: FakeClock) -> None:
    visitor = opened("/services/-/new")
    page = visitor.page
    page.fill("#f-name", "erp")

    with site.store.write() as conn:
        sessions.end_all(conn, "manage-1")
    page.fill("#f-timeout", "7")
    let_pass(visitor, 2)

    assert "Your session is over" in page.inner_text("#notices")
    assert page.input_value("#f-timeout") == "7"


def test_what_was_typed_before_the_session_ended_is_saved_after_a_sign_in_in_another_tab(
    opened: Open, site: Site
) -> None:
    visitor = opened("/services/-/new")
    page = visitor.page
    page.fill("#f-name", "erp")
    page.fill("#f-base_url", "https://erp.example.org")
    with site.store.write() as conn:
        sessions.end_all(conn, "manage-1")

    page.click("button.btn-primary[value=save]")
    page.wait_for_selector("#notices a[href='/login'][target=_blank]")
    kept = page.input_value("#f-name"), page.url
    visitor.context.request.post(f"{visitor.url}/login", form={"name": "manage-1", "password": PASSWORD})
    page.click("button.btn-primary[value=save]")
    page.wait_for_url("**/services/erp")

    assert kept == ("erp", f"{visitor.url}/services/-/new")
    assert "erp" in page.inner_text("main .alert-success")


def test_a_question_before_a_form_is_asked_once_and_what_cannot_be_sent_stays(
    opened: Open, site: Site
) -> None:
    section = {"event": r"\core\event\user_created", "service": "crm", "payload": {"id": "{{ objectid }}"}}
    save_rule(site.hub, "member", section, by=Author("ada", "dashboard"))
    visitor = opened("/rules/member")
    page = visitor.page
    visitor.context.set_offline(True)

    page.click("text=Delete this rule")
    page.click("dialog >> text=OK")
    page.wait_for_selector("#notices >> text=It could not be sent")
    visitor.context.set_offline(False)
    page.click("text=Delete this rule")
    page.click("dialog >> text=OK")
    page.wait_for_selector("main .alert-success")


def test_a_button_that_is_pressed_again_does_its_deed_once(opened: Open, seeds: Seeds) -> None:
    letter = seeds.rejected(1)
    page = opened(f"/dead-letters/{letter.delivery_id}").page
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    page.route("**/replay", hold)
    box = page.locator('button:has-text("Replay as sent")').bounding_box()
    assert box

    for _ in range(2):
        page.mouse.click(box["x"] + 5, box["y"] + 5)
    while not asked:
        page.wait_for_timeout(10)
    asked[-1].continue_()
    page.wait_for_url("**/deliveries/*")

    assert len(asked) == 1


def test_who_comes_back_to_a_tab_sees_it_anew(opened: Open) -> None:
    page = opened("/").page

    with page.expect_response(lambda answer: "part=charts" in answer.url):  # not due for a minute
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
