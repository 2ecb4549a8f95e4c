"""The pages of events: the log for each role, its filters, one row with every rule's verdict."""

from pathlib import Path

import pytest

from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.web.conftest import Enter, MakeSite, Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

EVENT = r"\x\event\y"
RULES = [
    {"name": "fits", "event": EVENT, "service": "crm"},
    {"name": "elsewhere", "event": EVENT, "service": "crm", "where": {"userid": 5}},
    {"name": "other", "event": r"\core\event\course_created", "service": "crm"},
]


@pytest.fixture
def database(moodle_db: Database) -> Database:
    """The sidecar's tables stand in a real Moodle's database."""
    return moodle_db


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(rules=RULES)


@pytest.fixture
def number(site: Site, database: Database) -> int:
    """A row of the log, of a person."""
    hostile = '{"username": "<script>alert(1)</script>"}'
    return insert_rows(database.url, [log_row(eventname=EVENT, userid=4711, ip="10.9.8.7", other=hostile)])[0]


def test_rows_are_listed_with_their_rules_and_persons_for_manage_only(
    site: Site, enter: Enter, number: int
) -> None:
    managed, seen = (enter(site, role).get("/events?event=y").text for role in ("manage", "view"))

    for shown in (managed, seen):
        assert f'href="/events/{number}"' in shown
        assert 'href="/rules/fits"' in shown
        assert "columns do not fit" in shown
        assert 'href="/rules/other"' not in shown
    assert "4711" in managed
    assert "4711" not in seen


def test_one_row_is_shown_with_each_verdict(site: Site, enter: Enter, number: int) -> None:
    managed, seen = (enter(site, role).get(f"/events/{number}").text for role in ("manage", "view"))

    assert "userid is 4711, wanted is 5" in managed
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in managed
    assert f'href="/rules/fits/preview?log_id={number}"' in managed
    assert f"/rules/-/new?event=%5Cx%5Cevent%5Cy&amp;row={number}" in managed
    assert "1 other rule wants other events." in managed
    for secret in ("4711", "10.9.8.7", "alert(1)"):
        assert secret not in seen
    assert "Columns do not fit" in seen
    assert "It matches" in seen


def test_a_row_that_is_gone_is_said_to_be_gone(site: Site, enter: Enter) -> None:
    answer = enter(site, "view").get("/events/999999999")

    assert answer.status_code == 404
    assert "There is no row 999999999" in answer.text


def test_the_filters_find_by_user_course_time_and_id(site: Site, enter: Enter, number: int) -> None:
    browser = enter(site, "manage")

    def found(query: str) -> bool:
        return f'href="/events/{number}"' in browser.get(f"/events?{query}").text

    assert found("user=4711")
    assert not found("user=4712")
    assert found("course=2&event=y")
    assert not found("course=3")
    assert found("since=2026-03-02T07:00&event=y")
    assert not found("since=2026-03-03T07:00")
    assert not found("until=2026-03-01T07:00")
    assert browser.get(f"/events?row={number}").headers["Location"] == f"/events/{number}"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("user=ada", "Write a whole number"),
        ("course=-1", "Write a whole number"),
        ("row=99999999999999999999", "Write a whole number"),
        ("since=yesterday", "Write a time such as"),
        ("event=" + "x" * 300, "255 characters"),
        ("before=x", ""),
    ],
)
def test_a_filter_that_makes_no_sense_is_said_at_its_field(
    site: Site, enter: Enter, query: str, said: str
) -> None:
    answer = enter(site, "manage").get(f"/events?{query}")

    assert answer.status_code == 422
    assert said in answer.text


def test_what_a_person_did_is_not_for_the_role_view(site: Site, enter: Enter) -> None:
    assert enter(site, "view").get("/events?user=4711").status_code == 403


def test_pages_go_back_by_id_and_each_row_comes_once(site: Site, database: Database, enter: Enter) -> None:
    made = insert_rows(database.url, [log_row(eventname=EVENT) for _ in range(60)])
    browser = enter(site, "view")

    first, second = (browser.get(f"/events?event=x{rest}").text for rest in ("", f"&before={made[10]}"))

    assert [number for number in made if f'href="/events/{number}"' in first] == made[10:]
    assert [number for number in made if f'href="/events/{number}"' in second] == made[:10]
    assert f"before={made[10]}" in first


def test_nothing_found_says_what_to_do(site: Site, enter: Enter, number: int) -> None:
    assert "No row is like that." in enter(site, "view").get("/events?event=nothing-like-it").text


def test_without_moodles_log_the_page_says_so_and_the_editor_opens(
    make_site: MakeSite, enter: Enter, tmp_path: Path
) -> None:
    browser = enter(make_site(moodle={"url": f"sqlite:///{tmp_path / 'empty.sqlite'}"}), "manage")

    events, editor = browser.get("/events"), browser.get("/rules/-/new")
    one = browser.get("/events/1")
    tried = browser.post("/rules/-/preview", {"event": EVENT, "service": "crm"}, **{"HX-Request": "true"})

    assert (events.status_code, editor.status_code, tried.status_code) == (200, 200, 200)
    assert "Moodle's log cannot be read now." in events.text
    assert "Moodle's log cannot be read now." in one.text
    assert "moodle.url" in tried.text
