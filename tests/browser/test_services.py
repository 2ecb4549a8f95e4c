"""Services and the audit in a real browser: made in a form that watches, operated, and every page sound."""

import base64
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import Error, Route

from tests.browser.conftest import Visit, page_is_sound
from tests.cli.seeds import Seeds
from tests.receiver import Receiver, answer
from tests.web.conftest import MakeSite, Site

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A site that keeps secrets and may call its neighbours."""
    key = base64.b64encode(b"k" * 32).decode()
    return make_site(store={"secret_key": key}, network={"allow": ["127.0.0.0/8"]})


def opened(visit: Visit, path: str) -> Any:
    visitor = visit("manage")
    visitor.go(path)
    return visitor


def test_a_service_is_made_tried_and_found_in_the_list(visit: Visit, site: Site, receiver: Receiver) -> None:
    receiver.otherwise(answer(200, b'{"fine": "<b>yes</b>"}'))
    visitor = opened(visit, "/services/-/new")
    page = visitor.page

    page.fill("#f-name", "erp")
    page.fill("#f-base_url", receiver.url)
    page.select_option("#f-auth", "bearer")
    page.fill("#f-auth_token", "planted-token")
    page.click("text=Test it")
    page.wait_for_selector("#trial >> text=It answered well")
    with page.expect_navigation():
        page.click("text=Create the service")

    assert "The service erp is created." in page.inner_text("main")
    assert site.hub.settings.services["erp"].auth.type == "bearer"
    page_is_sound(visitor)
    visitor.go("/services")
    assert page.inner_text(".services-list tbody").count("erp") >= 1
    page_is_sound(visitor)


def test_the_form_adapts_to_the_type_and_shows_the_brokers_url(visit: Visit) -> None:
    page = opened(visit, "/services/-/new").page

    before = (page.is_visible("#f-base_url"), page.is_visible("#f-host"), page.is_visible("#f-soap_service"))
    page.select_option("#f-type", "amqp")
    after = (page.is_visible("#f-base_url"), page.is_visible("#f-host"), page.is_visible("#f-soap_service"))
    page.fill("#f-host", "mq.example.org")
    page.fill("#f-exchange", "moodle")
    page.wait_for_selector("#broker-url:has-text('exchange=moodle')")
    url = page.inner_text("#broker-url")
    page.select_option("#f-type", "soap")

    assert (before, after) == ((True, False, False), (False, True, False))
    assert url == "amqp://mq.example.org?exchange=moodle"
    assert page.is_visible("text=Read the operations")


def test_a_field_is_judged_while_it_is_typed(visit: Visit) -> None:
    page = opened(visit, "/services/-/new").page

    page.fill("#f-timeout", "0")
    page.wait_for_selector("#f-timeout.is-invalid")
    said = page.inner_text("#f-timeout-problem")
    marked = page.get_attribute("#f-timeout", "aria-invalid")
    page.fill("#f-timeout", "5")
    page.wait_for_selector("#f-timeout:not(.is-invalid)")

    assert "more than 0 seconds" in said
    assert marked == "true"
    assert page.get_attribute("#f-timeout", "aria-invalid") is None
    assert page.get_attribute("#f-name", "aria-invalid") is None


def test_a_form_with_problems_is_sound_and_its_links_lead_to_the_fields(visit: Visit) -> None:
    visitor = opened(visit, "/services/-/new")
    page = visitor.page

    page.fill("#f-name", "a" * 90)
    page.fill("#f-base_url", HOSTILE)
    page.click("text=Create the service")
    page.wait_for_selector("#problems")
    page.click('#problems a[href="#f-base_url"]')

    assert page.evaluate("() => document.activeElement.id || location.hash") in ("f-base_url", "#f-base_url")
    assert page.input_value("#f-base_url") == HOSTILE
    # The answer's status 422 is what the browser's console tells of.
    visitor.complaints[:] = [one for one in visitor.complaints if "422" not in one]
    page_is_sound(visitor)


def test_what_is_said_of_a_field_does_not_move_the_button_that_is_being_pressed(visit: Visit) -> None:
    page = opened(visit, "/services/-/new").page
    answers: list[Route] = []

    def hold(one: Route) -> None:
        answers.append(one)

    page.route("**/check?field=base_url", hold)
    page.fill("#f-base_url", HOSTILE)

    page.hover("text=Create the service")
    before = len(answers)
    page.mouse.down()
    while len(answers) == before:
        page.wait_for_timeout(10)
    page.unroute("**/check?field=base_url", hold)
    with page.expect_response("**/check?field=base_url"), suppress(Error):
        answers[-1].continue_()  # an error where the field was asked about once more meanwhile
    page.evaluate("() => new Promise(requestAnimationFrame)")
    said = page.inner_text("#f-base_url-problem")
    page.mouse.up()
    page.wait_for_selector("#problems")

    assert said == ""


def test_what_is_said_of_a_field_is_shown_when_the_pointer_is_let_go(visit: Visit) -> None:
    page = opened(visit, "/services/-/new").page
    page.fill("#f-base_url", HOSTILE)

    page.hover("h1")
    with page.expect_response(lambda answer: "check?field=base_url" in answer.url):
        page.mouse.down()
    page.mouse.up()
    page.wait_for_selector("#f-base_url.is-invalid")

    assert page.inner_text("#f-base_url-problem") != ""


def test_one_service_and_the_question_before_its_end_are_sound(visit: Visit, site: Site) -> None:
    erp = {"base_url": "https://erp.example.org"}
    site.manage.post("/api/v1/services", json={"name": "erp", "definition": erp})
    seeds = Seeds(site.store, site.hub.clock)  # type: ignore[arg-type]
    seeds.delivery(1, service="erp")
    seeds.open_circuit("crm")
    seeds.rejected(2)
    visitor = visit("manage")

    for path in ("/services", "/services/crm", "/services/erp/edit", "/services/erp/delete", "/audit"):
        visitor.go(path)
        page_is_sound(visitor)


def test_a_circuit_is_reset_from_the_list_by_keyboard(visit: Visit, site: Site) -> None:
    Seeds(site.store, site.hub.clock).open_circuit("crm")  # type: ignore[arg-type]
    page = opened(visit, "/services").page

    page.focus("#reset-crm")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    assert "The circuit of crm is closed" in page.inner_text("main")
