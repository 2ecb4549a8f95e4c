"""The overview and the request log in a real browser: sound when full, charts, live figures."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from sidecar import upkeep
from sidecar.clock import FakeClock
from sidecar.model import Circuit, CircuitState
from sidecar.store import circuits, tables
from sidecar.store.dialect import insert_new
from sidecar.store.engine import Database as Store
from tests.browser.conftest import Visit, page_is_sound
from tests.cli.seeds import Seeds
from tests.conftest import make_tables
from tests.databases import Database, Databases
from tests.web.conftest import MakeSite, Site

LONG = "student-information-system-of-the-faculty-of-applied-sciences-and-of-law-north"
NAMES = ("crm", "erp", "library", LONG)


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    """A store that has lived through a day."""
    name = databases.fresh_name()
    databases.create_database(name, databases.template("day", make_tables, live_through_a_day))
    yield databases.describe(name)
    databases.drop_database(name)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """A site with several services, one with a long name."""
    services = {name: {"base_url": f"https://{name[:20]}.example.org"} for name in NAMES}
    return make_site(services=services)


def live_through_a_day(url: str) -> None:
    """Log a day of tries that ends now: crm takes nothing since an hour, nobody sends at night."""
    dice = random.Random(7)
    store, clock = Store(url), FakeClock()
    seeds = Seeds(store, clock)
    seeds.replica()
    seeds.cursor(200, head=212)
    now = clock.now()
    rows = [_tried(dice, now, minute, name) for minute in range(1_440) for name in NAMES if _is_awake(minute)]
    with store.write() as conn:
        insert_new(conn, tables.log, rows)
    for number in range(40):
        seeds.delivery(number)
    for number in (100, 101, 102):
        seeds.rejected(number, service="erp")
    found = Circuit("crm", CircuitState.OPEN, 5, now - timedelta(hours=1), now, "HTTP 503", now)
    with store.write() as conn:
        circuits.create(conn, ["crm"], now=now)
        circuits.save(conn, found, now=now)
    while upkeep.roll_up(store, clock):
        pass
    store.close()


def _is_awake(minute: int) -> bool:
    return not 360 < minute < 720


def _tried(dice: random.Random, now: Any, minute: int, name: str) -> dict[str, Any]:
    fails = minute < 60 if name == "crm" else dice.random() < 0.02
    return {
        "delivery_id": f"d-{minute}-{name}"[:36],
        "rule": "new-user",
        "service": name,
        "method": "POST",
        "endpoint": "/users/<script>alert(1)</script>",
        "attempt": 1,
        "outcome": "failed" if fails else "delivered",
        "status": 503 if fails else 201,
        "latency_ms": round(dice.lognormvariate(4.2, 0.5), 1),
        "error": "HTTP 503: <b>upstream is away</b>, try again later" if fails else None,
        "response": '{"error": "upstream is away"}' if fails else None,
        "replica": "box-7",
        "created_at": now - timedelta(minutes=minute + 2),
    }


def test_the_overview_is_sound_with_a_day_of_work_and_an_outage(visit: Visit) -> None:
    visitor = visit("manage")

    visitor.go("/")
    visitor.page.wait_for_selector(".u-wrap >> nth=2")

    assert "crm is down since" in visitor.page.inner_text(".verdict")
    page_is_sound(visitor)


def test_the_request_log_and_a_try_are_sound_when_full(visit: Visit) -> None:
    visitor = visit("manage")

    for path in ("/log", "/log?outcome=failed", "/log/1"):
        visitor.go(path)
        page_is_sound(visitor)


def test_a_chart_tells_figures_under_the_pointer_and_leaves_its_gaps(visit: Visit, site: Site) -> None:
    page = visit("view").page
    page.goto(site.server.url + "/?service=erp")
    chart = page.locator("figure.chart >> nth=1")

    chart.locator(".u-over").hover()
    said = chart.locator(".chart-tip").inner_text()
    chart.locator("summary").click()
    empty = chart.locator("td[data-value='']").count()

    assert "half of the tries: " in said
    # Six hours of every day nobody sends: ten minutes a row, two figures each.
    assert 60 <= empty <= 80
    assert chart.locator("table.table").is_visible()


def test_the_figures_follow_and_the_keyboard_keeps_its_place(visit: Visit, site: Site, seeds: Seeds) -> None:
    page = visit("view").page
    page.goto(site.server.url + "/")
    page.focus("#card-queue")
    page.evaluate("() => { document.querySelector('.u-over').dataset.mark = 'drawn once'; }")

    seeds.delivery(900)
    with page.expect_response(lambda answer: "seen=" in answer.url):
        pass
    page.wait_for_function("() => document.querySelector('#live').textContent.includes('41')")

    assert page.evaluate("() => document.activeElement.id") == "card-queue"
    assert page.locator("[data-mark]").count() == 1


def test_of_many_troubles_some_are_folded_and_stay_unfolded(visit: Visit, site: Site, seeds: Seeds) -> None:
    for number in range(8):
        seeds.delivery(900 + number, service=f"gone-{number}")
    page = visit("view").page
    page.goto(site.server.url + "/")
    said, shown = page.locator(".verdict li").count(), page.locator(".verdict li:visible").count()

    page.click("#more-remarks-summary")
    seeds.delivery(990, service="gone-8")
    page.wait_for_function("n => document.querySelectorAll('.verdict li').length > n", arg=said)

    assert said > shown == 6
    assert page.locator(".verdict li:visible").count() == said + 1
