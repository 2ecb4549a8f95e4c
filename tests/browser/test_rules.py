"""Rules and events in a real browser: the editor tries what is typed, and every page is sound."""

import pytest
from playwright.sync_api import expect

from sidecar.store.audit import Author
from sidecar.workshop import save_rule
from tests.browser.conftest import Visit, page_is_sound
from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.web.conftest import MakeSite, Site

CREATED = r"\core\event\user_created"
LONG = (
    "course-completion-of-the-faculty-of-arts-and-humanities-to-the-student-information-system-of-the-campus"
)
HOSTILE = "<img src=x onerror=alert(1)>\"'{{7*7}}"


@pytest.fixture
def database(moodle_db: Database) -> Database:
    """The sidecar's tables stand in a real Moodle's database."""
    return moodle_db


@pytest.fixture
def site(make_site: MakeSite, database: Database) -> Site:
    rows = [log_row(eventname=CREATED, target="user", action="created", objectid=4, relateduserid=4)]
    rows.append(
        log_row(eventname=CREATED, objectid=5, other='{"username": "' + HOSTILE.replace('"', '\\"') + '"}')
    )
    rows.append(log_row(anonymous=1, userid=4711))
    insert_rows(database.url, rows)
    return make_site(
        rules=[
            {"name": "new-user", "event": CREATED, "service": "crm", "where": {"origin": ["web", "cli"]}},
            {"name": LONG[:100], "event": [r"\core\event\*", CREATED], "service": "crm", "state": "shadow"},
        ]
    )


@pytest.mark.parametrize("role", ["view", "manage"])
def test_the_pages_of_rules_and_events_are_sound(visit: Visit, role: str) -> None:
    visitor = visit(role)

    for path in (
        "/rules",
        "/rules/new-user",
        f"/rules/{LONG[:100]}?lang=es",
        "/events",
        "/events?event=nothing",
    ):
        visitor.go(path)
        page_is_sound(visitor)
    visitor.page.goto(visitor.url + "/events")
    visitor.page.click("tbody a >> nth=0")
    page_is_sound(visitor)


def test_the_lists_fit_into_their_page_in_spanish(visit: Visit, site: Site) -> None:
    visitor = visit("manage")
    changes = [r"\core\event\user_enrolment_created", r"\core\event\user_enrolment_deleted"]
    section = {"event": changes, "service": "crm", "payload": {"id": "{{ objectid }}"}}
    save_rule(site.hub, "member", section, by=Author("ada", "dashboard"))

    for path in ("/rules", "/services"):
        visitor.go(f"{path}?lang=es")
        beyond = visitor.page.eval_on_selector_all(
            ".table-around", "all => all.map(one => one.scrollWidth - one.clientWidth)"
        )
        assert (path, beyond) == (path, [0])


def test_the_editor_is_sound_with_and_without_problems(visit: Visit) -> None:
    visitor = visit("manage")

    visitor.go("/rules/-/new")
    page_is_sound(visitor)
    visitor.go("/rules/-/new?copy=new-user&lang=es")
    visitor.page.select_option("#f-content", "template")
    visitor.page.fill("#f-payload", '{\n "a": {{ nonsense }}\n}')
    expect(visitor.page.locator("#f-payload-problem")).to_contain_text("línea 2")
    page_is_sound(visitor)


def test_a_rule_is_made_with_a_preview_and_kept(visit: Visit, site: Site) -> None:
    visitor = visit("manage")
    page = visitor.page
    visitor.go("/rules/-/new")

    page.fill("#f-q", "user created")
    page.click(f"[data-text='{CREATED.replace(chr(92), chr(92) * 2)}']")
    page.fill("#f-name", "to-crm")
    page.select_option("#f-service", "crm")
    page.fill("#f-endpoint", "/users/{{ objectid }}")
    page.select_option("#f-content", "template")
    page.fill("#f-payload", '{"id": }')
    page.locator("#f-payload").press("ArrowLeft")
    page.click("[data-inserts=objectid]")
    expect(page.locator("#preview")).to_contain_text('{"id": 5}')
    expect(page.locator("#preview")).to_contain_text("/users/5")
    page.get_by_role("button", name="Count").click()
    expect(page.locator("#history")).to_contain_text("It would have matched")
    page.check("#f-state-on")
    page.get_by_role("button", name="Save the rule").click()
    page.wait_for_url("**/rules/to-crm")

    assert "is kept and on" in page.inner_text(".alert-success")
    rule = next(one for one in site.hub.settings.rules if one.name == "to-crm")
    assert (rule.payload, rule.events, rule.state) == ('{"id": {{ objectid }}}', (CREATED,), "on")
    assert visitor.complaints == []


def test_a_mistake_in_the_template_is_shown_at_its_line(visit: Visit) -> None:
    visitor = visit("manage")
    page = visitor.page
    visitor.go("/rules/-/new?copy=new-user")

    page.select_option("#f-content", "template")
    page.fill("#f-payload", '{\n  "a": 1,\n  "b": {{ usr.name }}\n}')
    expect(page.locator("#f-payload-problem")).to_contain_text("line 3")
    page.click("#f-payload-problem button")
    start = page.evaluate("() => document.getElementById('f-payload').selectionStart")
    page.fill("#f-payload", '{"b": {{ userid }}}')
    expect(page.locator("#f-payload-problem")).to_have_text("")

    assert start > len('{\n  "a": 1,\n')
    assert page.get_attribute("#f-payload", "aria-invalid") is None


def test_hostile_values_stay_text(visit: Visit) -> None:
    visitor = visit("manage")
    page = visitor.page

    visitor.go("/events")
    page.click("tbody td:first-child a >> nth=1")

    assert HOSTILE.replace('"', '\\"') in page.inner_text("#other")
    page.click("text=Make a rule from this event")
    expect(page.locator("#preview")).to_contain_text("Not ready yet")
    expect(page.locator("#fields")).to_contain_text("other.username")
    assert page.locator("img[src=x]").count() == 0
    assert visitor.complaints == []


def test_without_javascript_a_rule_can_be_tried_and_kept(visit: Visit) -> None:
    visitor = visit("manage", java_script_enabled=False)
    page = visitor.page
    visitor.go("/rules/-/new?copy=new-user")

    page.click("button[value=try]")
    page.wait_for_load_state()
    tried = page.inner_text("#preview")
    page.click(".btn-primary[value=save]")
    page.wait_for_url("**/rules/new-user-copy")

    assert "It matches" in tried
    assert "new-user-copy" in page.inner_text("h1")


def test_enter_saves_and_where_things_are_tried_at_once_it_does_nothing(visit: Visit) -> None:
    visitor = visit("manage")
    page = visitor.page
    visitor.go("/rules/-/new")
    page.fill("#f-name", "not a name")
    page.press("#f-log_id", "Enter")
    page.press("#f-q", "Enter")

    with page.expect_request(lambda one: one.method == "POST" and one.url.endswith("/rules/-/new")) as sent:
        page.press("#f-name", "Enter")

    assert "do=save" in (sent.value.post_data or "")


def test_a_mistake_in_a_template_is_gone_to_in_spanish_too(visit: Visit) -> None:
    visitor = visit("manage")
    page = visitor.page
    visitor.go("/rules/-/new?lang=es")
    page.fill("#f-event", "*")
    page.fill("#f-payload", '{"a": 1,\n "b": {{ }')

    page.click("#f-payload-problem button")

    assert page.evaluate("() => document.activeElement.selectionStart") > len('{"a": 1,\n')
