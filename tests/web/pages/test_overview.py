"""The overview: the verdict in words, figures that lead to their lists, first steps, and live parts."""

import re

import pytest

from sidecar import upkeep
from sidecar.model import Circuit, CircuitState
from sidecar.store import circuits, services
from sidecar.transports.words import unanswered
from tests.cli.seeds import Seeds
from tests.web.conftest import Enter, MakeSite, Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
PART = {"HX-Request": "true"}


def words(html: str) -> str:
    """Return what a page says, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_all_is_well_is_said_in_one_sentence(site: Site, seeds: Seeds, enter: Enter) -> None:
    seeds.replica()
    seeds.cursor(10, head=10)
    seeds.delivered(1)

    told = words(enter(site, "view").get("/").text)

    assert told.count("All is well") == 1
    assert "All is well: the log is read to its end, 0 deliveries on the way, none dead." in told
    assert "Processes 2 all answer" in told


def test_a_service_that_is_down_is_named_with_what_is_parked(site: Site, seeds: Seeds, enter: Enter) -> None:
    seeds.replica()
    for number in (1, 2):
        seeds.delivery(number)
    seeds.clock.advance(1080)
    seeds.beat(0)
    seeds.open_circuit("crm")

    shown = enter(site, "view").get("/").text

    assert "Something is not read or not delivered" in shown
    said = words(shown)
    assert "crm is down since 08:18 UTC , 2 deliveries parked, oldest 18 minutes" in said
    assert "down since 08:18 UTC HTTP 503" in said
    assert 'href="/deliveries?service=crm&amp;state=pending"' in shown


def test_the_verdict_is_said_in_spanish_numbers(site: Site, seeds: Seeds, enter: Enter) -> None:
    seeds.delivery(1)
    seeds.clock.advance(1080)
    seeds.open_circuit("crm")

    shown = enter(site, "view").get("/?lang=es").text

    assert "18 minutos" in shown


def test_an_outage_of_days_says_its_day_and_why_in_spanish(site: Site, seeds: Seeds, enter: Enter) -> None:
    seeds.delivery(1)
    now = seeds.clock.now()
    failed = Circuit("crm", CircuitState.OPEN, 5, now, now, str(unanswered("crm:443", 5)), now)
    with site.store.write() as conn:
        circuits.create(conn, ["crm"], now=now)
        circuits.save(conn, failed, now=now)
    seeds.clock.advance(2 * 86_400)

    shown = words(enter(site, "view").get("/?lang=es").text)

    assert "desde: 2 mar 2026, 08:00:00 UTC crm:443 no respondió" in shown


def test_a_service_has_its_figures_of_the_chosen_time(site: Site, seeds: Seeds, enter: Enter) -> None:
    for number in (1, 2, 3):
        seeds.delivered(number)
    seeds.rejected(4)
    seeds.clock.advance(7_200)
    upkeep.roll_up(site.store, seeds.clock)
    browser = enter(site, "view")

    of_the_day, of_the_hour = browser.get("/").text, browser.get("/?span=1h").text

    assert "75%" in of_the_day
    assert '<path class="taken"' in of_the_day
    assert 'href="/log?service=crm&amp;within=24h"' in of_the_day
    assert "75%" not in of_the_hour
    assert '<path class="taken"' not in of_the_hour


def test_tries_of_the_first_minute_are_being_counted_and_not_none(
    site: Site, seeds: Seeds, enter: Enter
) -> None:
    seeds.delivered(1)
    browser = enter(site, "view")

    fresh = words(browser.get("/").text)
    elsewhere = [words(browser.get(path).text) for path in ("/services", "/services/crm")]
    seeds.clock.advance(60)
    upkeep.roll_up(site.store, seeds.clock)
    counted = words(browser.get("/").text)

    assert "Accepted tries – being counted: a minute has to be over" in fresh
    assert "What was tried is being counted." in fresh
    assert "Nothing has been delivered yet." not in fresh
    assert "0 tries" not in fresh
    assert all("being counted: a minute has to be over" in one for one in elsewhere)
    assert "Accepted tries 100% of 1 try" in counted


def test_the_live_part_announces_the_verdict_only_when_another_is_true(
    site: Site, seeds: Seeds, enter: Enter
) -> None:
    browser = enter(site, "view")
    [link] = re.findall(r'id="live" hx-get="([^"]+)"', browser.get("/").text)
    link = link.replace("&amp;", "&")

    same = browser.get(link, **PART).text
    seeds.open_circuit("crm")
    other = browser.get(link, **PART).text

    assert "<html" not in same
    assert 'id="verdict-said"' not in same
    assert 'id="verdict-said"' in other
    assert "crm is down" in other.partition('id="verdict-said"')[2]


def test_the_charts_come_alone_for_a_service(site: Site, seeds: Seeds, enter: Enter) -> None:
    seeds.delivered(1)
    seeds.clock.advance(600)
    upkeep.roll_up(site.store, seeds.clock)

    part = enter(site, "view").get("/?part=charts&span=24h&service=crm", **PART).text

    assert "<html" not in part
    assert "Tries per 10 minutes" in part
    assert "Time that crm takes to answer" in part
    # Where nothing was sent there is no latency, and not one of nought.
    [latency] = [one for one in part.split("<figure") if "Time that crm" in one]
    assert len(re.findall(r'data-value=""', latency)) == 2 * 142
    assert len(re.findall(r'data-value="4\d\.\d+"', latency)) == 2


@pytest.mark.parametrize(
    ("sections", "said", "next_step"),
    [
        ({"services": {}, "rules": []}, "There is no service yet.", None),
        ({"rules": []}, "There is no rule yet.", "/rules/new"),
        ({}, "Nothing has been delivered yet.", "/events"),
    ],
)
def test_an_empty_overview_says_the_next_step(
    make_site: MakeSite, enter: Enter, sections: dict[str, object], said: str, next_step: str | None
) -> None:
    shown = enter(make_site(**sections), "manage").get("/").text

    assert said in shown
    assert next_step is None or f'<a class="btn btn-primary" href="{next_step}"' in shown


def test_names_are_text_in_the_verdict_and_in_the_table(site: Site, seeds: Seeds, enter: Enter) -> None:
    hostile = "<img src=x onerror=alert(1)>{0}%(n)s"
    seeds.delivery(1, service=hostile)

    shown = enter(site, "manage").get("/").text

    assert "<img" not in re.sub(r'<img src="/static[^>]*>', "", shown)
    assert "&lt;img src=x onerror=alert(1)&gt;{0}%(n)s is not configured" in shown


def test_a_time_that_is_none_is_refused_in_words(site: Site, enter: Enter) -> None:
    told = enter(site, "view").get("/?span=2h")

    assert told.status_code == 422
    assert "One of these: 1h, 24h, 7d, 30d." in told.text


def test_a_paused_service_is_no_trouble_while_nothing_waits(site: Site, seeds: Seeds, enter: Enter) -> None:
    seeds.replica()
    with site.store.write() as conn:
        services.pause(conn, "crm", pause=True, now=seeds.clock.now())

    shown = enter(site, "view").get("/").text

    assert "All is well" in shown
    assert "paused" in words(shown)
