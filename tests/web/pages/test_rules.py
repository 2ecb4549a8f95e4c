"""The pages of rules: list, one rule, editor, preview and history; who may, and what is said of mistakes."""

from collections import Counter
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.store import audit, counts
from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.receiver import Receiver
from tests.rows import insert_rows, log_row
from tests.web.conftest import Enter, MakeSite, Site
from tests.web.people import Browser

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)

EVENT = r"\x\event\y"
OF_FILE = {"name": "r", "event": EVENT, "service": "crm", "payload": '{"secret-of-ada": {{ userid }}}'}
TYPED = {"name": "mine", "event": EVENT, "service": "crm", "state": "shadow", "content": "event"}


@pytest.fixture
def database(moodle_db: Database) -> Database:
    """The sidecar's tables stand in a real Moodle's database."""
    return moodle_db


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(rules=[OF_FILE])


@pytest.fixture
def number(site: Site, database: Database) -> int:
    """A row of the log, of a person."""
    row = log_row(eventname=EVENT, userid=4711, ip="10.9.8.7", other='{"username": "ada"}')
    return insert_rows(database.url, [row])[0]


def made(browser: Browser, **changes: Any) -> Any:
    return browser.post("/rules/-/new", {**TYPED, "do": "save", **changes})


def part(browser: Browser, path: str, **changes: Any) -> Any:
    return browser.post(path, {**TYPED, **changes}, **{"HX-Request": "true"})


def rule_of(site: Site, name: str = "mine") -> Any:
    return next((one for one in site.hub.settings.rules if one.name == name), None)


def test_without_rules_the_list_says_what_comes_first(make_site: MakeSite, enter: Enter) -> None:
    site = make_site(rules=[])

    managed, seen = (enter(site, role).get("/rules").text for role in ("manage", "view"))

    assert 'href="/rules/-/new"' in managed
    assert "There is no rule yet." in seen
    assert "/rules/-/new" not in seen


def test_the_list_says_what_each_did_in_a_day(site: Site, enter: Enter, clock: FakeClock) -> None:
    tally = Counter({("r", "queued"): 1234, ("r", "where"): 7, ("r", "too_old"): 3, ("r", "dead"): 2})
    with site.store.write() as conn:
        counts.add(conn, tally, now=clock.now())

    shown = enter(site, "view").get("/rules").text

    assert 'data-label="Queued" class="n">1,234<' in shown
    assert 'data-label="Filtered" class="n">10<' in shown
    assert 'href="/dead-letters?rule=r">2</a>' in shown
    assert "file, line " in shown


def test_the_list_is_narrowed_and_says_when_nothing_is_left(site: Site, enter: Enter) -> None:
    browser = enter(site, "view")

    assert 'href="/rules/r"' in browser.get(r"/rules?q=EVENT\Y").text
    assert "No rule is like that." in browser.get("/rules?q=nothing").text
    assert "No rule is like that." in browser.get("/rules?state=off").text


def test_a_long_list_is_paged_by_name(make_site: MakeSite, enter: Enter) -> None:
    site = make_site(rules=[{**OF_FILE, "name": f"rule-{number:03}"} for number in range(130)])
    browser = enter(site, "view")

    first, second = browser.get("/rules").text, browser.get("/rules?after=rule-099").text

    assert ("rule-099" in first, "rule-100" in first) == (True, False)
    assert "/rules?after=rule-099" in first
    assert ("rule-099" in second.split("<tbody>")[1], "rule-129" in second) == (False, True)


def test_one_rule_shows_its_text_and_preview_to_those_who_manage_only(
    site: Site, enter: Enter, number: int
) -> None:
    managed, seen = (enter(site, role).get("/rules/r").text for role in ("manage", "view"))

    assert "secret-of-ada" in managed
    assert "secret-of-ada" not in seen
    assert 'hx-get="/rules/r/preview"' in managed
    assert 'hx-get="/rules/r/preview"' not in seen
    assert "/rules/r/edit" not in managed


def test_one_rule_leads_to_its_deliveries_and_letters(site: Site, enter: Enter, seeds: Seeds) -> None:
    sent, dead = seeds.delivery(1, rule="r"), seeds.rejected(2, rule="r")

    shown = enter(site, "view").get("/rules/r").text

    assert f'href="/deliveries/{sent.delivery_id}"' in shown
    assert f'href="/dead-letters/{dead.delivery_id}"' in shown
    assert 'href="/events/2"' in shown


def test_a_rule_that_is_not_there_is_said_with_its_neighbour(site: Site, enter: Enter) -> None:
    answer = enter(site, "view").get("/rules/rr")

    assert answer.status_code == 404
    assert "rr" in answer.text


def test_a_rule_is_made_and_is_in_force_and_in_the_audit(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")

    answer = made(
        browser,
        event=f"{EVENT}\r\n\\core\\event\\*",
        method="PUT",
        endpoint="/u/{{ userid }}",
        headers="X-Origin: {{ origin }}\r\nX-B: 1",
        where="origin: [web, cli]\r\ncourseid: '2'",
        when="userid > 0",
        max_event_age="7d",
        anonymous="reveal",
        content="template",
        payload='{"id":\r\n {{ userid }}}\r\n',
        batch="yes",
        max_items="10",
        more="retry: {max_retries: 2}\r\ntimeout: 4",
        state="on",
    )

    assert (answer.status_code, answer.headers["Location"]) == (303, "/rules/mine")
    rule = rule_of(site)
    assert rule.events == (EVENT, "\\core\\event\\*")
    assert (rule.method, rule.endpoint, rule.when, rule.state) == (
        "PUT",
        "/u/{{ userid }}",
        "userid > 0",
        "on",
    )
    assert rule.headers == {"X-Origin": "{{ origin }}", "X-B": "1"}
    assert rule.where == {"origin": ("web", "cli"), "courseid": 2}
    assert rule.payload == '{"id":\n {{ userid }}}\n'
    assert (rule.max_event_age, rule.anonymous) == (604_800, "reveal")
    assert (rule.batch.max_items, rule.retry.max_retries, rule.timeout) == (10, 2, 4)
    with site.store.read() as conn:
        done = [(row.who, row.via, row.object) for row in audit.find(conn, action="rule.create")]
    assert done == [("manage-1", "dashboard", "rule mine")]


def test_what_was_kept_comes_back_into_the_editor_and_saving_it_changes_nothing(
    site: Site, enter: Enter
) -> None:
    browser = enter(site, "manage")
    made(
        browser, content="mapping", payload='a: "{{ userid }}"\nb: {c: "1e5"}', more="timeout: 4", state="off"
    )
    before = rule_of(site)

    shown = browser.get("/rules/mine/edit").text
    again = {
        **TYPED,
        "content": "mapping",
        "payload": "a: '{{ userid }}'\nb:\n  c: '1e5'\n",
        "more": "timeout: 4\n",
    }
    answer = browser.post("/rules/mine/edit", {**again, "revision": "1", "state": "off", "do": "save"})

    assert "c: &#39;1e5&#39;" in shown
    assert 'name="revision" value="1"' in shown
    assert answer.headers["Location"] == "/rules/mine"
    assert rule_of(site) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "give the rule a name"),
        ({"name": "a b"}, "use letters, digits"),
        ({"name": "r"}, "choose another name"),
        ({"service": "cmr"}, "did you mean &#34;crm&#34;?"),
        ({"event": ""}, "missing"),
        ({"event": "core/event/x"}, "Moodle writes events with backslashes"),
        ({"headers": "X-A: 1\nnonsense"}, "line 2: write it as Name: value"),
        ({"headers": "X-A: 1\nX-A: 2"}, "line 2: X-A stands there twice"),
        ({"where": "a: [1"}, "line "),
        ({"where": "- 1"}, "expected a mapping"),
        ({"where": "nope: 1"}, "unknown column"),
        ({"when": "userid >"}, "column"),
        ({"content": "template", "payload": '{\n"a": {{ usr }}}'}, "line 2, column"),
        ({"content": "template", "payload": ""}, "write a template"),
        ({"content": "mapping", "payload": ""}, "write a mapping"),
        ({"max_event_age": "soon"}, "24h"),
        ({"batch": "yes", "max_items": "many"}, "f-max_items"),
        ({"more": "endpoint: /x"}, "endpoint: it has a field of its own"),
        ({"more": "wobble: 3"}, "wobble"),
        ({"more": "&a [" + "*a, " * 3}, "line "),
        ({"endpoint": "${HOME}"}, "variables are for the configuration file"),
        ({"state": "maybe"}, "expected one of off, shadow, on"),
    ],
)
def test_a_mistake_is_said_at_its_field_and_nothing_typed_is_lost(
    site: Site, enter: Enter, changes: dict[str, str], said: str
) -> None:
    answer = made(enter(site, "manage"), **{"endpoint": "/typed-by-hand"} | changes)

    assert answer.status_code in (409, 422)
    assert said in answer.text
    assert changes.get("endpoint", "/typed-by-hand") in answer.text
    assert [one.name for one in site.hub.settings.rules] == ["r"]


def test_an_editor_that_is_out_of_date_says_so_and_keeps_what_was_typed(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")
    made(browser)
    changed = {**TYPED, "do": "save", "revision": "1", "endpoint": "/first"}
    browser.post("/rules/mine/edit", changed)

    late = browser.post("/rules/mine/edit", {**changed, "endpoint": "/second"})

    assert late.status_code == 409
    assert "was changed meanwhile" in late.text
    assert "/second" in late.text
    assert rule_of(site).endpoint == "/first"


def test_a_rule_of_the_file_is_copied_but_not_edited(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")

    edit, copy = browser.get("/rules/r/edit"), browser.get("/rules/-/new?copy=r")

    assert edit.status_code == 409
    assert "stands in the configuration file" in edit.text
    assert 'value="r-copy"' in copy.text
    assert "secret-of-ada" in copy.text


def test_a_ready_template_is_taken_and_what_was_typed_stays(site: Site, enter: Enter) -> None:
    chosen = {"do": "template", "ready": "json/certificate.json.j2", "endpoint": "/mine", "event": ""}

    shown = enter(site, "manage").post("/rules/-/new", {**TYPED, **chosen}).text

    assert "&#34;holder&#34;: &#34;{{ relateduser.firstname }}" in shown
    assert 'value="/mine"' in shown
    assert r"\core\event\course_completed" in shown
    assert rule_of(site) is None


def test_the_preview_shows_the_request_and_sends_nothing(
    site: Site, enter: Enter, number: int, receiver: Receiver
) -> None:
    typed = {"endpoint": "/u/{{ userid }}", "content": "template", "payload": '{"id": {{ userid }}}'}

    shown = part(enter(site, "manage"), "/rules/-/preview", **typed).text

    assert "It matches" in shown
    assert f"{receiver.url}/u/4711" in shown
    assert "{&#34;id&#34;: 4711}" in shown
    assert "12 B of" in shown
    assert "sends nothing" in shown
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"where": "courseid: 99"}, "Columns do not fit"),
        ({"when": "userid == 1"}, "The condition is false"),
        ({"event": r"\z\event\z", "log_id": "ROW"}, "Another event"),
        ({"event": r"\z\event\z"}, "No row to try it on"),
        ({"log_id": "999999999"}, "No row to try it on"),
        ({"log_id": "-1"}, "a whole number"),
        ({"log_id": "9" * 30}, "a whole number"),
        ({"content": "template", "payload": '{"a": {{ other.nope.x }}}'}, "dead letter"),
        ({"content": "template", "payload": '{"a": {{ }'}, "Not ready yet"),
        ({"service": ""}, "Not ready yet"),
    ],
)
def test_the_preview_says_why_not(
    site: Site, enter: Enter, number: int, changes: dict[str, str], said: str
) -> None:
    typed = {name: text.replace("ROW", str(number)) for name, text in changes.items()}

    assert said in part(enter(site, "manage"), "/rules/-/preview", **typed).text


def test_a_rule_in_force_is_tried_on_a_row_by_page_and_part(site: Site, enter: Enter, number: int) -> None:
    browser = enter(site, "manage")

    page = browser.get(f"/rules/r/preview?log_id={number}").text
    piece = browser.get("/rules/r/preview", **{"HX-Request": "true"}).text

    assert "<html" in page
    assert "<html" not in piece
    for shown in (page, piece):
        assert "{&#34;secret-of-ada&#34;: 4711}" in shown
    assert enter(site, "view").get("/rules/r/preview").status_code == 403


def test_the_last_days_are_counted_for_drafts_and_rules(site: Site, enter: Enter, number: int) -> None:
    drafted = part(enter(site, "manage"), "/rules/-/history", when="false").text
    seen = enter(site, "view").get("/rules/r/history").text

    assert "It would have matched 0 times" in drafted
    assert "1 row of its events was read." in drafted
    assert "It would have matched 1 time" in seen


def test_events_and_fields_are_offered_with_what_they_really_had(
    site: Site, enter: Enter, number: int
) -> None:
    browser = enter(site, "manage")

    events = browser.client.get("/rules/-/events", params={"q": r"x\event"}).text
    fields = browser.client.get("/rules/-/fields", params={"event": EVENT}).text
    never = browser.client.get("/rules/-/fields", params={"event": "a\0b"}).text

    assert f'data-text="{EVENT}"' in events
    assert "1 row" in events
    assert 'data-inserts="other.username"' in fields
    assert "ada" in fields
    assert "is among the newest 200,000" in never
    for path in ("events", "fields", "new"):
        assert enter(site, "view").get(f"/rules/-/{path}").status_code == 403


def test_a_rule_made_here_is_switched_and_one_of_the_file_is_not(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")
    made(browser)

    states = []
    for state in ("on", "shadow", "off", "on"):
        assert browser.post("/rules/mine/state", {"state": state}).status_code == 303
        states.append(rule_of(site).state)
    browser.post("/rules/r/state", {"state": "off"})
    browser.post("/rules/mine/state", {"state": "sideways"})

    assert states == ["on", "shadow", "off", "on"]
    assert (rule_of(site).state, rule_of(site, "r").state) == ("on", "on")


@pytest.mark.parametrize(
    ("waiting", "state"), [("park", "pending"), ("cancel", "cancelled"), ("bury", "dead")]
)
def test_a_rule_is_switched_off_when_it_is_said_what_becomes_of_what_it_has_queued(
    site: Site, enter: Enter, seeds: Seeds, waiting: str, state: str
) -> None:
    browser = enter(site, "manage")
    made(browser)
    browser.post("/rules/mine/state", {"state": "on"})
    owed = seeds.delivery(1, rule="mine")

    asked = browser.post("/rules/mine/state", {"state": "off"})
    still = rule_of(site).state
    done = browser.post("/rules/mine/disable", {"waiting": waiting})

    assert (asked.status_code, still) == (409, "on")
    assert "1 delivery waits. What shall become of it?" in asked.text
    assert (done.status_code, rule_of(site).state, seeds.state(owed)) == (303, "off", state)


def test_a_rule_that_is_switched_off_in_the_editor_leads_to_the_same_question(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    browser = enter(site, "manage")
    made(browser, state="on")
    seeds.delivery(1, rule="mine")

    saved = browser.post("/rules/mine/edit", {**TYPED, "revision": "1", "state": "off", "do": "save"})

    assert saved.headers["Location"] == "/rules/mine/disable"
    assert "1 delivery waits" in browser.get("/rules/mine/disable").text


def test_a_rule_with_waiting_deliveries_asks_before_it_is_deleted(
    site: Site, enter: Enter, seeds: Seeds
) -> None:
    browser = enter(site, "manage")
    made(browser)
    seeds.delivery(1, rule="mine")

    asked = browser.post("/rules/mine/delete", {"waiting": ""})
    told = browser.get("/rules/mine").text
    gone = browser.post("/rules/mine/delete", {"waiting": "cancel"})

    assert asked.headers["Location"] == "/rules/mine#delete"
    assert "1 delivery of this rule waits" in told
    assert (gone.headers["Location"], rule_of(site)) == ("/rules", None)
