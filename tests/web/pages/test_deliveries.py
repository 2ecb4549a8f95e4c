"""The pages of deliveries: list and filters, one with its story, send now and cancel, who sees what."""

import re
from datetime import timedelta
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.store import audit, services, tables
from tests.cli.seeds import Seeds
from tests.web.conftest import Enter, MakeSite, Site

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
pytestmark = ON_SQLITE


def changes(site: Site) -> list[tuple[str, str, str]]:
    with site.store.read() as conn:
        return [(row.who, row.via, row.action) for row in audit.find(conn) if row.action != "user.sign_in"]


def test_an_empty_list_says_what_comes_first(site: Site, enter: Enter) -> None:
    shown = enter(site, "view").get("/deliveries")

    assert "There is no delivery yet." in shown.text
    assert 'href="/rules"' in shown.text


def test_the_chips_count_what_is_owed_and_dead(site: Site, enter: Enter, seeds: Seeds) -> None:
    seeds.rejected(8)
    for log_id in (1, 2, 3):
        seeds.delivery(log_id)

    shown = enter(site, "view").get("/deliveries").text

    assert '>pending <span class="count">3</span></a>' in shown
    assert '>dead <span class="count">1</span></a>' in shown
    assert ">delivered</a>" in shown


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("state=dead", ["2"]),
        ("state=delivered", ["1"]),
        ("service=crm&state=pending", ["4", "3"]),
        ("rule=other", ["4"]),
        ("log_id=30", ["3"]),
        ("status=422", ["2"]),
        ("error=http+422", ["2"]),
        ("event=user_upd", ["4"]),
        ("since=2026-03-02T08:00:00&until=2026-03-02T08:00:01", ["4", "3", "2", "1"]),
        ("until=2026-03-02", []),
        ("within=1h", ["4", "3", "2", "1"]),
        ("state=&service=&rule=&error=&within=", ["4", "3", "2", "1"]),
        ("before=3", ["2", "1"]),
    ],
)
def test_each_filter_narrows_the_list(
    site: Site, enter: Enter, seeds: Seeds, query: str, numbers: list[str]
) -> None:
    seeds.delivered(10)
    seeds.rejected(20)
    seeds.delivery(30)
    seeds.delivery(40, rule="other", event=r"\core\event\user_updated")

    shown = enter(site, "view").get(f"/deliveries?{query}").text

    found = [f'<a href="/deliveries/{number}">' in shown for number in ("4", "3", "2", "1")]
    assert [number for number, there in zip(("4", "3", "2", "1"), found, strict=True) if there] == numbers


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("log_id=x", "A whole number, such as 42."),
        ("log_id=99999999999999999999", "A whole number, such as 42."),
        ("status=1000", "A whole number, such as 42."),
        ("since=soon", "A time such as 2026-03-02T14:00, in UTC."),
        ("state=lost", "One of these: pending, sending, delivered, dead, cancelled."),
        ("error=%00", "At most 255 characters"),
        ("event=" + "x" * 300, "At most 255 characters"),
        ("before=-1", "Nothing was looked for."),
    ],
)
def test_a_filter_that_makes_no_sense_is_said_at_its_field(
    site: Site, enter: Enter, query: str, said: str
) -> None:
    shown = enter(site, "view").get(f"/deliveries?{query}")

    assert shown.status_code == 422
    assert said in shown.text


def test_a_long_list_is_paged_by_key_and_keeps_its_filters(site: Site, enter: Enter, seeds: Seeds) -> None:
    for log_id in range(1, 53):
        seeds.delivery(log_id)
    browser = enter(site, "view")

    first = browser.get("/deliveries?state=pending").text
    second = browser.get("/deliveries?state=pending&before=3").text

    assert 'href="/deliveries?state=pending&amp;before=3"' in first
    assert '<a href="/deliveries/2">' in second
    assert '<a href="/deliveries/3">' not in second
    assert 'href="/deliveries?state=pending"' in second


def test_htmx_gets_the_rows_alone(site: Site, enter: Enter, seeds: Seeds) -> None:
    seeds.delivery(1)

    part = enter(site, "view").get("/deliveries?live=1", **{"HX-Request": "true"}).text

    assert '<a href="/deliveries/1">' in part
    assert "<html" not in part


def test_hostile_names_and_errors_are_text(site: Site, enter: Enter, seeds: Seeds) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    made = seeds.rejected(
        1, event=hostile, rule=hostile, endpoint=hostile, headers={"X": hostile}, body=hostile
    )
    browser = enter(site, "manage")

    paths = ["/deliveries", "/deliveries/1", "/dead-letters", f"/dead-letters/{made.delivery_id}"]
    pages = [browser.get(path).text for path in [*paths, f"/deliveries?error={hostile}&service={hostile}"]]

    for shown in pages:
        assert "<img src=x" not in shown
    assert "&lt;img src=x" in pages[1]


def test_one_delivery_tells_its_story_and_links_to_where_it_comes_from(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    seeds.rejected(77)

    shown = enter(site, "view").get("/deliveries/1").text

    for link in ("/events/77", "/rules/new-user", "/services/crm", "/deliveries"):
        assert f'href="{link}"' in shown
    for said in ("Moodle wrote the row", "refused for good", "given up", "The rule has changed since."):
        assert said in shown


def test_payloads_headers_and_answers_are_for_managers(site: Site, enter: Enter, seeds: Seeds) -> None:
    made = seeds.rejected(1, body='{"name": "Ana Torres"}', headers={"X-Name": "Ana Torres"})
    seeds.unrendered(2, row={"id": 2, "other": {"name": "Ana Torres"}})
    viewer, manager = enter(site, "view"), enter(site, "manage")

    for path in ("/deliveries/1", f"/dead-letters/{made.delivery_id}"):
        assert "Ana Torres" not in viewer.get(path).text
        assert "Ana Torres" in manager.get(path).text
    assert "Ana Torres" not in viewer.get("/dead-letters/2").text
    assert "Ana Torres" in manager.get("/dead-letters/2").text
    for path in ("edit", "comparison"):
        assert viewer.get(f"/dead-letters/{made.delivery_id}/{path}").status_code == 403


def _paused(seeds: Seeds) -> None:
    seeds.services()
    with seeds.store.write() as conn:
        services.pause(conn, "crm", pause=True, now=seeds.clock.now())


def _open(seeds: Seeds) -> None:
    seeds.open_circuit("crm")


@pytest.mark.parametrize(
    ("hinder", "said"),
    [
        (_paused, ["parked", "The service is paused.", "It waits, and loses no try."]),
        (_open, ["parked", "The circuit of the service is open.", "HTTP 503", "One delivery is tried now."]),
        (lambda _: None, ["pending", "It is due, and goes out as soon as it is its turn."]),
    ],
)
def test_it_says_why_it_waits(site: Site, enter: Enter, seeds: Seeds, hinder: Any, said: list[str]) -> None:
    seeds.delivery(1)
    hinder(seeds)

    shown = enter(site, "view").get("/deliveries/1").text

    for words in said:
        assert words in shown


def test_one_that_keeps_an_order_says_behind_which_other_one(site: Site, enter: Enter, seeds: Seeds) -> None:
    seeds.delivery(1, order_key="k")
    seeds.delivery(2, order_key="k")
    browser = enter(site, "view")

    assert "waits for delivery 1" in browser.get("/deliveries").text
    assert '<a href="/deliveries/1">Delivery 1</a>' in browser.get("/deliveries/2").text


def test_limits_of_the_service_and_the_rule_are_named(
    make_site: MakeSite, enter: Enter, seeds_of: Any, clock: FakeClock
) -> None:
    site = make_site({"rate_limit": 2.5})
    seeds_of(site).delivery(1, expires_at=clock.now() + timedelta(hours=1))

    shown = enter(site, "view").get("/deliveries/1").text

    assert "The service takes 2.5 requests a second at most." in shown
    assert "it is given up." in shown


def test_the_part_that_refreshes_says_when_something_has_happened(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    seeds.delivery(1)
    browser = enter(site, "view")

    same = browser.get("/deliveries/1?seen=pending-0", **{"HX-Request": "true"}).text
    other = browser.get("/deliveries/1?seen=sending-0", **{"HX-Request": "true"}).text

    assert "Something has happened" not in same
    assert "Something has happened" in other


def test_what_has_happened_is_read_out_once(site: Site, enter: Enter, seeds: Seeds) -> None:
    seeds.delivery(1)
    browser = enter(site, "view")
    page = browser.get("/deliveries/1").text
    seeds.sending(2)
    with site.store.write() as conn:
        conn.execute(tables.queue.update().where(tables.queue.c.id == 1).values(attempts=1))

    first = browser.get(link_of(page), **{"HX-Request": "true"}).text
    second = browser.get(link_of(first), **{"HX-Request": "true"}).text

    region = '<p id="story-said" class="visually-hidden" role="status" aria-live="polite"'
    assert f"{region}></p>" in page
    assert link_of(page) == "/deliveries/1?seen=pending-0&said=pending-0"
    assert "Look again." not in page
    assert f'{region} hx-swap-oob="innerHTML">Something has happened. Look again.</p>' in first
    assert "story-said" not in second
    assert "Look again.</a>" in second


def link_of(story: str) -> str:
    """Return what the page asks for next."""
    [link] = re.findall(r'id="story" hx-get="([^"]+)"', story)
    return str(link).replace("&amp;", "&")


def test_send_now_and_cancel_are_done_and_written_down(site: Site, enter: Enter, seeds: Seeds) -> None:
    made = seeds.delivery(1)
    browser = enter(site, "manage")

    cancelled = browser.post("/deliveries/1/cancel")
    after_cancel = seeds.state(made)
    retried = browser.post("/deliveries/1/retry")

    assert (cancelled.status_code, retried.status_code) == (303, 303)
    assert (after_cancel, seeds.state(made)) == ("cancelled", "pending")
    assert "Delivery 1 is due now." in browser.get("/deliveries/1").text
    assert [one for one in changes(site) if one[2].startswith("delivery.")] == [
        ("manage-1", "dashboard", "delivery.retry"),
        ("manage-1", "dashboard", "delivery.cancel"),
    ]


def test_a_delivery_that_has_moved_on_is_left_alone_and_that_is_said(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    seeds.delivered(1)
    browser = enter(site, "manage")

    browser.post("/deliveries/1/cancel")

    assert "Nothing was done" in browser.get("/deliveries/1").text


def test_a_delivery_that_is_not_there_is_a_page_that_says_so(site: Site, enter: Enter) -> None:
    browser = enter(site, "view")

    assert browser.get("/deliveries/4711").status_code == 404
    assert browser.get("/deliveries/no%20key").status_code == 422


def test_large_payloads_are_cut_and_json_is_laid_out_as_it_stands(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    seeds.delivery(1, body='{"price":1.10,"a":[],"b":{"c":[1,2]}}')
    seeds.delivery(2, body="x" * 300_000)
    browser = enter(site, "manage")

    small, large = browser.get("/deliveries/1").text, browser.get("/deliveries/2").text

    laid = '{\n  "price": 1.10,\n  "a": [],\n  "b": {\n    "c": [\n      1,\n      2\n    ]\n  }\n}'
    assert laid.replace('"', "&#34;") in small
    assert "Only the beginning is shown" in large
    assert len(large) < 250_000


def test_an_edited_payload_stands_beside_what_the_rule_made(site: Site, enter: Enter, seeds: Seeds) -> None:
    made = seeds.rejected(1)
    browser = enter(site, "manage")

    browser.post(f"/dead-letters/{made.delivery_id}/edit", {"payload": '{"id": 2}'})
    shown = browser.get("/deliveries/1").text

    assert "The payload was edited." in shown
    assert "Payload as the rule made it" in shown
