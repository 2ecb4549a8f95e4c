"""A real Chromium at a real dashboard, and what every page of it has to stand."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from sidecar.clock import FakeClock
from tests.conftest import absent
from tests.web.conftest import Site, make_site, receiver, seeds, site
from tests.web.people import PASSWORD, add

__all__ = ["make_site", "receiver", "seeds", "site"]

AXE = (Path(__file__).parents[1] / "data" / "axe" / "axe.min.js").read_text("utf-8")
# Nothing of it asks for anything of the network; as root it needs to run without its own sandbox.
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_NARROW = {"width": 360, "height": 780}
_WIDE = {"width": 1280, "height": 900}


class Visitor:
    """One person's browser: a window with its own cookies. It notes what goes wrong in it."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.url, self.context = url, context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._open: set[Request] = set()
        self.page.on("request", self._asked)
        self.page.on("requestfinished", self._over)
        self.page.on("requestfailed", self._over)

    def go(self, path: str) -> None:
        """Open a page, with what it asks for at once. (To wait for `networkidle` takes half a second.)"""
        self.page.goto(self.url + path, wait_until="load")
        self.settle()

    def settle(self) -> None:
        """Wait until everything that the page asks for is answered, and the page has it."""
        while self._open:
            self.page.wait_for_timeout(10)
        self.page.evaluate("() => true")

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Send the form of the sign-in, and look at the page that it leads to."""
        sent = self.context.request.post(f"{self.url}/login", form={"name": name, "password": password})
        assert sent.ok
        self.go(sent.url.removeprefix(self.url))

    def _asked(self, request: Request) -> None:
        self.asked.append(request.url)
        self._open.add(request)

    def _over(self, request: Request) -> None:
        self._open.discard(request)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} at {message.location.get('url', '')}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of this machine; named in CHROMIUM, or found on the path."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not program:
        absent("there is no chromium: run scripts/bring-servers chromium as root, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(_OPTIONS))
        yield started
        started.close()


@pytest.fixture
def backend() -> str:
    """One database is enough here: what the pages read is tested on all of them elsewhere."""
    return "sqlite"


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser, site: Site, clock: FakeClock) -> Iterator[Visit]:
    """Open a browser at the site; `role` signs somebody of that role in. Other words go to the browser."""
    contexts: list[BrowserContext] = []

    def opened(role: str = "", **options: Any) -> Visitor:
        contexts.append(browser.new_context(**{"viewport": _WIDE, "locale": "en-GB", **options}))
        visitor = Visitor(contexts[-1], site.server.url)
        if role:
            name = f"{role}-{len(contexts)}"
            add(site.store, clock, name, role)
            visitor.sign_in(name)
        return visitor

    yield opened
    for context in contexts:
        context.close()


def page_is_sound(visitor: Visitor) -> None:
    """Fail unless the page in the window is fit for everybody.

    axe finds nothing serious in light and dark, wide and narrow; nothing is wider than 360 pixels;
    the console has no error; and no other host was asked for anything.
    """
    page = visitor.page
    # Or colours would be measured while they change.
    page.emulate_media(reduced_motion="reduce")
    for viewport in (_WIDE, _NARROW):
        page.set_viewport_size({"width": viewport["width"], "height": viewport["height"]})
        for theme in ("light", "dark"):
            page.evaluate("theme => window.mihTheme(theme)", theme)
            found = [*_too_wide(page), *_axe(page)]
            assert found == [], f"{page.url} {theme} {viewport['width']}: {json.dumps(found, indent=1)}"
    page.set_viewport_size({"width": _WIDE["width"], "height": _WIDE["height"]})
    page.wait_for_load_state("networkidle")  # what it asks for when it is there may go wrong, too
    assert visitor.complaints == []
    assert [url for url in visitor.asked if not url.startswith((visitor.url, "data:"))] == []


def _axe(page: Page) -> list[Any]:
    # By the debugger's door: a script in the page is what the policy refuses.
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        {"rule": one["id"], "help": one["help"], "at": [node["html"][:200] for node in one["nodes"][:5]]}
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]


def _too_wide(page: Page) -> list[str]:
    width = page.evaluate("() => [document.documentElement.scrollWidth, window.innerWidth]")
    return [f"{width[0]} pixels wide in a window of {width[1]}"] if width[0] > width[1] else []
