"""The frame in a real browser: sign in, language, colours, keyboard, sign out; and every page is sound."""

import re

import pytest

from sidecar.clock import FakeClock
from sidecar.web.pages.page import Tab
from sidecar.web.pages.register import tabs
from tests.browser.conftest import Visit, page_is_sound
from tests.web.conftest import Site
from tests.web.people import PASSWORD, add


def test_somebody_signs_in_turns_to_spanish_and_dark_and_signs_out(
    visit: Visit, site: Site, clock: FakeClock
) -> None:
    visitor = visit()
    page = visitor.page
    add(site.store, clock, "ana", "manage")

    visitor.go("/login")
    page.fill("#f-name", "ana")
    page.fill("#f-password", PASSWORD)
    page.click("main button")
    page.wait_for_selector("nav#nav")
    page.click("details.user summary")
    page.click("text=Español")
    page.wait_for_load_state("networkidle")
    in_spanish = page.inner_text("nav#nav")
    page.click("details.user summary")
    page.click("[data-set-theme=dark]")
    at_once = page.get_attribute("html", "data-bs-theme")
    page.reload()
    kept = page.get_attribute("html", "data-bs-theme")
    page.click("details.user summary")
    page.click("text=Salir")
    page.wait_for_url("**/login")

    assert "Configuración" in in_spanish
    assert (at_once, kept) == ("dark", "dark")
    assert "Ha salido." in page.inner_text("main")
    visitor.go("/settings")
    assert page.url == f"{visitor.url}/login?next=/settings"
    assert visitor.complaints == []


@pytest.mark.parametrize(
    ("tab", "role"),
    [(tab, role) for tab in tabs() for role in ("view", "manage") if tab.role in ("view", role)],
    ids=lambda one: getattr(one, "path", one),
)
def test_a_page_is_sound_in_both_languages(visit: Visit, tab: Tab, role: str) -> None:
    visitor = visit(role)

    for code in ("en", "es"):
        visitor.go(f"{tab.path}?lang={code}")
        page_is_sound(visitor)


def test_pages_for_strangers_are_sound(visit: Visit, site: Site) -> None:
    visitor = visit()
    assert site.server.invitation is not None

    for path in ("/login", site.server.invitation.removeprefix(site.server.url), "/setup?code=x"):
        visitor.go(path)
        visitor.complaints = [one for one in visitor.complaints if "status of 403" not in one]
        page_is_sound(visitor)


def test_the_first_user_is_made_by_the_link(visit: Visit, site: Site) -> None:
    visitor = visit()
    assert site.server.invitation is not None

    visitor.page.goto(site.server.invitation)
    visitor.page.fill("#f-name", "ana")
    visitor.page.fill("#f-password", "correct horse battery")
    visitor.page.fill("#f-again", "correct horse battery")
    visitor.page.click("main button")
    visitor.page.wait_for_selector("nav#nav")

    assert "ana" in visitor.page.inner_text("details.user summary")
    assert visitor.complaints == []


def test_by_keyboard_the_first_stop_leads_to_the_content(visit: Visit) -> None:
    page = visit("view").page

    page.keyboard.press("Tab")
    skip = page.evaluate("() => document.activeElement.textContent")
    page.keyboard.press("Enter")

    assert skip == "Skip to the content"
    assert page.evaluate("() => document.activeElement.id") == "main"


def test_on_a_small_screen_the_navigation_is_behind_a_button(visit: Visit) -> None:
    page = visit("view").page
    page.set_viewport_size({"width": 360, "height": 780})

    hidden = page.is_visible("nav#nav")
    page.click("[data-toggles=nav]")

    assert (hidden, page.is_visible("nav#nav")) == (False, True)
    assert page.get_attribute("[data-toggles=nav]", "aria-expanded") == "true"


def test_moments_are_in_the_readers_own_time(visit: Visit) -> None:
    visitor = visit("view", timezone_id="America/Bogota")
    visitor.go("/about")

    moment = visitor.page.locator("time[data-time=moment]").first

    assert re.search(r"2 Mar 2026, 0?3:00:00", moment.inner_text())
    assert moment.get_attribute("title") == "2026-03-02 08:00:00 UTC"


def test_without_javascript_everything_can_be_read(visit: Visit, site: Site) -> None:
    visitor = visit("view", java_script_enabled=False)

    visitor.go("/about")

    page = visitor.page
    assert page.is_visible("nav#nav")
    assert "UTC" in page.inner_text("time[data-time=moment] >> nth=0")
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.is_visible("nav#nav")


def test_on_paper_it_is_light_and_has_nothing_to_press(visit: Visit) -> None:
    page = visit("manage").page
    page.evaluate("() => window.mihTheme('dark')")

    page.emulate_media(media="print")
    page.wait_for_selector("html[data-bs-theme=light]")
    shown = [page.is_visible(one) for one in ("main", "nav#nav", "details.user")]
    page.emulate_media(media="screen")

    assert shown == [True, False, False]
    page.wait_for_selector("html[data-bs-theme=dark]")
