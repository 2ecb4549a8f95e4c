"""The request log: what is found, what each role sees of a try, and what makes no sense."""

import re
from datetime import timedelta

import pytest

from sidecar.store import tables
from sidecar.store.dialect import insert_new
from tests.cli.seeds import Seeds
from tests.web.conftest import Enter, Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
HOSTILE = "<script>alert(1)</script>\"'{{7*7}}"


def tried(site: Site, seeds: Seeds, count: int = 1, **changes: object) -> None:
    """Log tries of crm that were answered with 503, one a second."""
    now = seeds.clock.now()
    row = {
        "delivery_id": "d-1",
        "rule": "new-user",
        "service": "crm",
        "method": "POST",
        "endpoint": "/users",
        "attempt": 1,
        "outcome": "failed",
        "status": 503,
        "latency_ms": 41.0,
        "error": "HTTP 503",
        "request": '{"name": "Ada"}',
        "response": "sorry, Ada",
        "replica": "box-7",
    }
    rows = [{**row, "created_at": now + timedelta(seconds=number), **changes} for number in range(count)]
    with site.store.write() as conn:
        insert_new(conn, tables.log, rows)


def numbers(html: str) -> list[int]:
    """Return the numbers of the tries in a list."""
    return [int(number) for number in re.findall(r'id="try-(\d+)"', html)]


def test_the_newest_try_stands_first_and_older_ones_follow(site: Site, seeds: Seeds, enter: Enter) -> None:
    tried(site, seeds, 120)
    browser = enter(site, "view")

    first = browser.get("/log").text
    [older] = re.findall(r'href="(/log\?before=\d+)"', first)
    second = browser.get(older).text

    assert numbers(first) == list(range(120, 70, -1))
    assert numbers(second) == list(range(70, 20, -1))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("service=crm", [3, 1]),
        ("service=erp", [2]),
        ("rule=other", [2]),
        ("outcome=delivered", [3]),
        ("status=503", [1]),
        ("error=refused", [2]),
        ("error=%25", []),
        ("delivery=d-2", [2]),
        ("since=2026-03-02T07:00", [3, 2]),
        ("until=2026-03-02T07:00", [1]),
        ("service=crm&outcome=failed&status=503", [1]),
    ],
)
def test_a_filter_finds_what_matches_it(
    site: Site, seeds: Seeds, enter: Enter, query: str, found: list[int]
) -> None:
    now = seeds.clock.now()
    tried(site, seeds, created_at=now - timedelta(hours=2))
    tried(
        site, seeds, service="erp", rule="other", delivery_id="d-2", status=None, error="connection refused"
    )
    tried(site, seeds, outcome="delivered", status=201, error=None)

    assert numbers(enter(site, "view").get(f"/log?{query}").text) == found


def test_manage_sees_what_was_sent_and_answered_and_view_does_not(
    site: Site, seeds: Seeds, enter: Enter
) -> None:
    tried(site, seeds)

    manager, viewer = enter(site, "manage").get("/log/1").text, enter(site, "view").get("/log/1").text

    assert "sorry, Ada" in manager
    assert "HTTP 503" in manager
    assert "Ada" not in viewer
    assert "the role manage sees them" in viewer


def test_a_try_leads_to_its_delivery(site: Site, seeds: Seeds, enter: Enter) -> None:
    seeds.rejected(1)

    assert '<a class="btn btn-sm btn-primary" href="/deliveries/1">' in enter(site, "view").get("/log/1").text


def test_a_try_that_is_not_there_is_said_in_words(site: Site, enter: Enter) -> None:
    told = enter(site, "view").get("/log/7")

    assert told.status_code == 404
    assert "There is no try 7 in the request log, or it was pruned." in told.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("status=x", "A whole number, such as 42."),
        ("status=1000", "A whole number, such as 42."),
        ("since=yesterday", "A time such as 2026-03-02T14:00, in UTC."),
        ("outcome=bad", "One of these: "),
        ("error=" + "x" * 300, "At most 255 characters."),
        ("delivery=%00", "At most 255 characters."),
        ("before=-1", "Nothing was looked for."),
    ],
)
def test_a_filter_that_makes_no_sense_is_marked(site: Site, enter: Enter, query: str, said: str) -> None:
    told = enter(site, "view").get(f"/log?{query}")

    assert told.status_code == 422
    assert said in told.text


def test_an_empty_log_says_what_comes_and_one_without_matches_how_to_go_on(
    site: Site, seeds: Seeds, enter: Enter
) -> None:
    browser = enter(site, "view")

    empty = browser.get("/log").text
    tried(site, seeds)
    none = browser.get("/log?service=erp").text

    assert "Nothing was sent yet." in empty
    assert "No try matches." in none
    assert '<a class="btn btn-primary" href="/log">Show all tries</a>' in none


def test_what_services_answer_is_text(site: Site, seeds: Seeds, enter: Enter) -> None:
    tried(site, seeds, error=HOSTILE, response=HOSTILE, request=HOSTILE, endpoint=HOSTILE, service=HOSTILE)
    browser = enter(site, "manage")

    for path in ("/log", "/log/1", "/log?service=" + "%3Cscript%3E"):
        assert "<script>alert" not in browser.get(path).text
