"""Services on their pages: how each fares, made and changed in a form, operated and deleted by hand."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.model import CircuitState
from sidecar.store import audit, circuits
from tests.cli.seeds import Seeds
from tests.receiver import Receiver, answer
from tests.web.conftest import Enter, MakeSite, Site
from tests.web.people import Browser
from tests.web.test_making import KEY

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
TOKEN = "planted-token-51ab77"
HOSTILE = "<img src=x onerror=alert(1)>"
ERP = {
    "name": "erp",
    "type": "rest",
    "enabled": "yes",
    "base_url": "https://erp.example.org/api",
    "auth": "bearer",
    "auth_token": TOKEN,
    "timeout": "7",
}


@pytest.fixture
def keyed(make_site: MakeSite) -> Site:
    """A site with a key, so that secrets can be kept."""
    return make_site(store={"secret_key": KEY}, network={"allow": ["127.0.0.0/8"]})


def make(browser: Browser, **changes: Any) -> Any:
    return browser.post("/services/-/new", {**ERP, **changes})


def deeds_of(site: Site) -> list[tuple[str, str, str]]:
    with site.store.read() as conn:
        return [(row.action, row.object, row.via) for row in audit.find(conn) if row.via == "dashboard"]


def circuit_of(site: Site, name: str) -> CircuitState:
    with site.store.read() as conn:
        return circuits.load_with(conn, [name])[name].state


def problem_of(text: str, field: str) -> str:
    found = re.search(rf'id="f-{field}-problem"[^>]*>([^<]*)<', text)
    assert found, f"there is no field {field}"
    return found[1].strip()


def test_the_list_says_how_each_service_fares(site: Site, enter: Enter, seeds: Seeds) -> None:
    seeds.delivery(1)
    seeds.open_circuit("crm")

    shown = enter(site, "view").get("/services")

    assert shown.status_code == 200
    assert "down" in shown.text
    assert "probe due now" in shown.text
    assert "HTTP 503" in shown.text
    assert "1 parked" in shown.text
    assert "Add a service" not in shown.text
    assert "<button" not in shown.text[shown.text.index("<tbody>") :]


def test_without_a_service_the_list_says_what_to_do(make_site: MakeSite, enter: Enter) -> None:
    site = make_site(services={}, rules=[])

    viewer, manager = enter(site, "view").get("/services"), enter(site, "manage").get("/services")

    assert "There is no service yet." in viewer.text
    assert 'href="/services/-/new"' not in viewer.text
    assert 'href="/services/-/new"' in manager.text


def test_a_long_list_is_paged_by_name_and_narrowed(make_site: MakeSite, enter: Enter) -> None:
    many = {f"s{number:03}": {"base_url": f"https://s{number}.example.org"} for number in range(60)}
    browser = enter(make_site(services=many, rules=[]), "view")

    first = browser.get("/services").text
    second = browser.get("/services?after=s049").text
    found = browser.get("/services?q=S7.EXAMPLE&state=well").text
    none = browser.get("/services?q=nothing-such").text

    assert ("s049" in first, "s050" in first, "after=s049" in first) == (True, False, True)
    assert ("s049<" in second, "s059" in second) == (False, True)
    assert re.findall(r"<strong>(\w+)</strong>", found) == ["s007"]
    assert "No service fits." in none


def test_a_service_is_paused_resumed_and_its_circuit_reset(site: Site, enter: Enter, seeds: Seeds) -> None:
    browser = enter(site, "manage")
    seeds.open_circuit("crm")

    paused = browser.post("/services/crm/pause", {"from": "page"})
    since = browser.get("/services").text
    browser.post("/services/crm/resume")
    browser.post("/services/crm/reset")

    assert (paused.status_code, paused.headers["Location"]) == (303, "/services/crm")
    assert "by manage-1" in since
    assert circuit_of(site, "crm") is CircuitState.CLOSED
    assert [one[:2] for one in reversed(deeds_of(site))][-3:] == [
        ("service.pause", "service crm"),
        ("service.resume", "service crm"),
        ("circuit.reset", "service crm"),
    ]


def test_all_circuits_are_reset_at_once(site: Site, enter: Enter, seeds: Seeds) -> None:
    browser = enter(site, "manage")
    seeds.open_circuit("crm")

    browser.post("/services/-/reset-all")
    told = browser.get("/services").text
    browser.post("/services/-/reset-all")

    assert "1 circuit is closed by hand." in told
    assert "All circuits were closed already." in browser.get("/services").text
    assert [one for one in deeds_of(site) if one[0] == "circuit.reset"] == [
        ("circuit.reset", "service crm", "dashboard")
    ]


def test_a_service_of_the_file_is_operated_and_not_edited(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")

    shown = browser.get("/services/crm").text
    edited, deleted = browser.get("/services/crm/edit"), browser.post("/services/crm/delete")

    assert re.search(r"It stands in sidecar.yaml, line \d+: edit it there.", shown)
    assert "/services/crm/edit" not in shown
    assert (edited.status_code, deleted.status_code) == (409, 409)
    assert "edit it there" in edited.text


def test_a_service_is_made_and_shown_without_its_secret(keyed: Site, enter: Enter) -> None:
    browser = enter(keyed, "manage")

    made = make(browser, header_name=["X-Tenant", ""], header_value=["planted-header", ""])
    shown, edited = browser.get("/services/erp").text, browser.get("/services/erp/edit").text

    assert (made.status_code, made.headers["Location"]) == (303, "/services/erp")
    assert "The service erp is created." in shown
    service = keyed.hub.settings.services["erp"]
    assert (service.base_url, service.timeout) == ("https://erp.example.org/api", 7)
    assert service.auth.model_dump()["token"].get_secret_value() == TOKEN
    assert service.headers["X-Tenant"].get_secret_value() == "planted-header"
    assert "${ERP_TOKEN}" in shown
    for text in (shown, edited):
        assert TOKEN not in text
        assert "planted-header" not in text


def test_an_empty_secret_stays_and_a_new_one_takes_its_place(keyed: Site, enter: Enter) -> None:
    browser = enter(keyed, "manage")
    make(browser, header_name=["X-Tenant"], header_value=["first"])

    kept = {**ERP, "auth_token": "", "header_name": ["X-Tenant"], "header_value": [""]}
    browser.post("/services/erp/edit", {**kept, "timeout": "9", "revision": "1"})
    after_one = keyed.hub.settings.services["erp"]
    browser.post("/services/erp/edit", {**ERP, "auth_token": "another", "revision": "2"})
    after_two = keyed.hub.settings.services["erp"]

    assert after_one.timeout == 9
    assert after_one.auth.model_dump()["token"].get_secret_value() == TOKEN
    assert after_one.headers["X-Tenant"].get_secret_value() == "first"
    assert after_two.auth.model_dump()["token"].get_secret_value() == "another"
    assert after_two.headers == {}


def test_all_problems_are_said_at_once_at_their_fields_and_nothing_typed_is_lost(
    keyed: Site, enter: Enter
) -> None:
    browser = enter(keyed, "manage")
    wrong = {"name": "crm", "base_url": "ftp://erp", "auth_token": "", "timeout": "-3", "max_retries": "many"}

    told = make(browser, **wrong, more="timeuot: 3")

    assert told.status_code == 422
    assert "already: choose another" in problem_of(told.text, "name")
    assert "Write a whole URL" in problem_of(told.text, "base_url")
    assert "Write it" in problem_of(told.text, "auth_token")
    assert "more than 0 seconds" in problem_of(told.text, "timeout")
    assert "number" in problem_of(told.text, "max_retries")
    assert "timeuot" in problem_of(told.text, "more")
    assert "6 things are to be mended" in told.text
    assert 'href="#f-timeout"' in told.text
    assert 'value="ftp://erp"' in told.text
    assert "erp" not in keyed.hub.settings.services


def test_a_secret_that_was_typed_is_never_sent_back(keyed: Site, enter: Enter) -> None:
    told = make(enter(keyed, "manage"), timeout="0", proxy="http://u:planted-proxy@p:3128", name="")

    assert told.status_code == 422
    assert TOKEN not in told.text
    assert "planted-proxy" not in told.text
    assert "Write the secrets again" in told.text


def test_secrets_do_not_belong_among_the_other_options(keyed: Site, enter: Enter) -> None:
    told = make(enter(keyed, "manage"), more="signing: {previous: [whsec_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]}")

    assert told.status_code == 422
    assert "this is a secret" in problem_of(told.text, "more")


@pytest.mark.parametrize("more", ["a: [", "- 1", "timeout: 3", "a: &x [*x]", "headers: 7", "retry: 3"])
def test_nonsense_among_the_other_options_is_said_there(keyed: Site, enter: Enter, more: str) -> None:
    told = make(enter(keyed, "manage"), more=more, max_retries="2", header_name=["X-A"], header_value=["b"])

    assert told.status_code == 422
    assert "to be mended" in told.text


def test_one_field_is_checked_while_it_is_typed(keyed: Site, enter: Enter) -> None:
    browser = enter(keyed, "manage")
    htmx = {"HX-Request": "true"}

    bad = browser.post("/services/-/check?field=timeout", {**ERP, "timeout": "0"}, **htmx).text
    good = browser.post("/services/-/check?field=timeout", ERP, **htmx).text
    strange = browser.post(f"/services/-/check?field={HOSTILE}", ERP, **htmx).text

    assert "more than 0 seconds" in problem_of(bad, "timeout")
    assert "base_url" not in bad
    assert problem_of(good, "timeout") == ""
    assert "img" not in strange


def test_a_brokers_fields_make_its_url(keyed: Site, enter: Enter) -> None:
    browser = enter(keyed, "manage")
    broker = {
        "type": "amqp",
        "auth": "basic",
        "auth_username": "moodle",
        "auth_password": "planted-pw",
        "host": "mq.example.org",
        "port": "5673",
        "vhost": "a/b",
        "exchange": "moodle events",
        "routing_key": "#",
        "queue": "all",
        "dlq": "refused",
        "tls": "yes",
    }

    checked = browser.post("/services/-/check?field=host", {**ERP, **broker}).text
    made = make(browser, **broker)
    edited = browser.get("/services/erp/edit").text

    url = "amqps://mq.example.org:5673/a%2Fb?exchange=moodle+events&routing_key=%23&queue_declare=all&dlq=refused"
    assert url.replace("&", "&amp;") in checked
    assert made.status_code == 303
    assert keyed.hub.settings.services["erp"].base_url == url
    for name in ("host", "port", "vhost", "exchange", "queue", "dlq"):
        assert f'value="{broker[name]}"' in edited
    assert "planted-pw" not in edited


def test_whoever_saves_second_sees_what_differs_and_may_save_again(keyed: Site, enter: Enter) -> None:
    mine, yours = enter(keyed, "manage"), enter(keyed, "manage")
    make(mine)
    quiet = {**ERP, "auth_token": ""}
    yours.post("/services/erp/edit", {**quiet, "timeout": "8", "revision": "1"})

    told = mine.post("/services/erp/edit", {**quiet, "timeout": "9", "revision": "1"})
    kept = keyed.hub.settings.services["erp"].timeout
    again = mine.post("/services/erp/edit", {**quiet, "timeout": "9", "revision": "2"})

    assert told.status_code == 409
    assert "manage-2 has changed this service meanwhile" in told.text
    assert re.findall(r'data-label="(?:Option|Kept now|Typed by you)">([^<]*)<', told.text) == [
        "timeout",
        "8",
        "9",
    ]
    assert 'name="revision" value="2"' in told.text
    assert (kept, again.status_code) == (8, 303)
    assert keyed.hub.settings.services["erp"].timeout == 9


def test_without_a_key_the_form_says_so_before_anybody_types(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")

    form, told = browser.get("/services/-/new").text, make(browser)
    plain = make(browser, auth="none")

    assert "mih secrets generate-key" in form
    assert "generate-key" in problem_of(told.text, "auth_token")
    assert plain.status_code == 303


def test_options_without_a_field_survive_the_form(keyed: Site, enter: Enter) -> None:
    browser = enter(keyed, "manage")
    make(browser, more="retry:\n  jitter: 0.5\nmax_payload: 99\n", schedule="5s, 30s")

    edited = browser.get("/services/erp/edit").text
    browser.post("/services/erp/edit", {**ERP, "auth_token": "", "revision": "1", "more": more_of(edited)})

    service = keyed.hub.settings.services["erp"]
    assert (service.retry.jitter, service.max_payload) == (0.5, 99)
    assert 'value="5s, 30s"' in edited


def more_of(text: str) -> str:
    found = re.search(r"<textarea[^>]*>([^<]*)</textarea>", text)
    assert found
    return found[1]


def test_what_is_typed_can_be_tried_before_it_is_kept(keyed: Site, enter: Enter, receiver: Receiver) -> None:
    browser = enter(keyed, "manage")
    receiver.otherwise(answer(200, b"fine"))

    told = browser.post("/services/-/try", {**ERP, "base_url": receiver.url}, **{"HX-Request": "true"}).text
    page = browser.post("/services/-/new", {**ERP, "base_url": receiver.url, "do": "try"})
    wrong = browser.post("/services/-/try", {**ERP, "base_url": "x"}, **{"HX-Request": "true"}).text

    assert "It answered well" in told
    assert (page.status_code, "It answered well" in page.text) == (200, True)
    assert "Not tried: mend this first" in wrong
    assert [one.header("Authorization") for one in receiver.requests] == [f"Bearer {TOKEN}"] * 2
    assert "erp" not in keyed.hub.settings.services


def test_a_service_is_tested_with_a_button(site: Site, enter: Enter, receiver: Receiver) -> None:
    browser = enter(site, "manage")
    receiver.otherwise(answer(503))

    browser.post("/services/crm/test")

    assert "crm cannot be reached or is ill" in browser.get("/services").text
    assert deeds_of(site)[0] == ("service.test", "service crm", "dashboard")


def test_a_wsdl_that_cannot_be_read_is_said(keyed: Site, enter: Enter, receiver: Receiver) -> None:
    browser = enter(keyed, "manage")
    receiver.otherwise(answer(404))
    soap = {"type": "soap", "base_url": f"{receiver.url}/x?wsdl", "auth": "none"}

    part = browser.post("/services/-/operations", soap, **{"HX-Request": "true"})
    page = browser.post("/services/-/new", {**soap, "do": "operations"})

    for told in (part, page):
        assert told.status_code == 200
        assert "The WSDL could not be read" in told.text


@pytest.mark.parametrize(
    ("waiting", "state"), [("park", "pending"), ("cancel", "cancelled"), ("bury", "dead")]
)
def test_a_service_is_deleted_when_it_is_said_what_becomes_of_what_waits(
    keyed: Site, enter: Enter, seeds_of: Callable[[Site], Seeds], waiting: str, state: str
) -> None:
    browser, seeds = enter(keyed, "manage"), seeds_of(keyed)
    make(browser)
    owed = seeds.delivery(1, service="erp")

    asked = browser.get("/services/erp/delete").text
    silent = browser.post("/services/erp/delete", {"revision": "1"})
    done = browser.post("/services/erp/delete", {"revision": "1", "waiting": waiting})

    assert "1 delivery waits." in asked
    assert silent.status_code == 422
    assert (done.status_code, seeds.state(owed)) == (303, state)
    assert "erp" not in keyed.hub.settings.services


def test_a_service_that_changed_meanwhile_or_is_used_is_not_deleted(keyed: Site, enter: Enter) -> None:
    browser = enter(keyed, "manage")
    make(browser)
    rule = {"event": r"\core\event\course_created", "service": "erp"}

    stale = browser.post("/services/erp/delete", {"revision": "7"})
    keyed.manage.post("/api/v1/rules", json={"name": "courses", "definition": rule})
    used, refused = browser.get("/services/erp/delete"), browser.post("/services/erp/delete")

    assert stale.status_code == 409
    assert "1 rule sends to it" in used.text
    assert refused.status_code == 409


def test_a_service_is_switched_off_and_on_and_exported(keyed: Site, enter: Enter) -> None:
    browser = enter(keyed, "manage")
    make(browser)

    browser.post("/services/erp/disable", {"from": "page"})
    off, shown = keyed.hub.settings.services["erp"].enabled, browser.get("/services/erp").text
    browser.post("/services/erp/enable")
    exported = browser.get("/services/erp/export")

    assert (off, keyed.hub.settings.services["erp"].enabled) == (False, True)
    assert "Switch on" in shown
    assert exported.headers["Content-Disposition"] == 'attachment; filename="erp.yaml"'
    assert "token: ${ERP_TOKEN}" in exported.text


@pytest.mark.parametrize(
    ("waiting", "state"), [("park", "pending"), ("cancel", "cancelled"), ("bury", "dead")]
)
def test_a_service_is_switched_off_when_it_is_said_what_becomes_of_what_waits(
    keyed: Site, enter: Enter, seeds_of: Callable[[Site], Seeds], waiting: str, state: str
) -> None:
    browser, seeds = enter(keyed, "manage"), seeds_of(keyed)
    make(browser)
    owed = seeds.delivery(1, service="erp")

    asked = browser.post("/services/erp/disable", {"from": "page"})
    still_on = keyed.hub.settings.services["erp"].enabled
    done = browser.post("/services/erp/disable", {"waiting": waiting})

    assert (asked.status_code, still_on) == (409, True)
    assert "1 delivery waits. What shall become of it?" in asked.text
    assert (done.status_code, seeds.state(owed)) == (303, state)
    assert not keyed.hub.settings.services["erp"].enabled


def test_a_service_that_is_switched_off_in_the_form_leads_to_the_same_question(
    keyed: Site, enter: Enter, seeds_of: Callable[[Site], Seeds]
) -> None:
    browser, seeds = enter(keyed, "manage"), seeds_of(keyed)
    make(browser)
    owed = seeds.delivery(1, service="erp")

    saved = browser.post("/services/erp/edit", {**ERP, "enabled": "", "revision": "1"})
    asked = browser.get(saved.headers["Location"]).text
    browser.post(saved.headers["Location"], {"waiting": "bury"})

    assert "1 delivery waits" in asked
    assert seeds.state(owed) == "dead"


def test_one_service_shows_tries_waiting_rules_and_stars(
    keyed: Site, enter: Enter, seeds_of: Callable[[Site], Seeds], clock: FakeClock
) -> None:
    browser, seeds = enter(keyed, "manage"), seeds_of(keyed)
    seeds.rejected(1)
    seeds.delivery(2)
    clock.advance(60)

    shown = browser.get("/services/crm?span=7d")

    assert shown.status_code == 200
    assert "HTTP 422" in shown.text
    assert 'href="/rules/new-user"' in shown.text
    assert 'href="/deliveries?state=pending&amp;service=crm"' in shown.text
    assert browser.get("/services/crm?span=1y").status_code == 422
    assert browser.get("/services/nobody").status_code == 404


def test_what_a_service_answers_is_text(site: Site, enter: Enter, seeds: Seeds) -> None:
    seeds.open_circuit("crm")
    with site.store.write() as conn:
        found = circuits.lock(conn, ["crm"], now=site.hub.clock.now())["crm"]
        circuits.save(conn, replace(found, last_error=HOSTILE), now=site.hub.clock.now())
    browser = enter(site, "view")

    for path in ("/services", "/services/crm"):
        shown = browser.get(path).text
        assert "<img" not in shown.replace('<img src="/static', "")
        assert "&lt;img src=x" in shown
