"""The audit on its page: who changed what, narrowed, paged, in words, for those who manage."""

import re
from pathlib import Path

import pytest

from sidecar.clock import FakeClock
from sidecar.store import audit
from sidecar.web.pages.audit import ACTIONS
from tests.web.conftest import Enter, Site

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
HOSTILE = "<img src=x onerror=alert(1)>"
ROOT = Path(__file__).parents[3] / "sidecar"


def note(site: Site, who: str, action: str, thing: str, detail: str | None = None) -> None:
    with site.store.write() as conn:
        audit.write(
            conn, who=who, via="api", action=action, object=thing, detail=detail, now=site.hub.clock.now()
        )


def objects(text: str) -> list[str]:
    return re.findall(r'data-label="Object"><span>(?:<a[^>]*>)?([^<]*)<', text)


def test_a_change_is_shown_in_words_with_a_link_to_its_object(site: Site, enter: Enter) -> None:
    note(site, "ana", "service.change", "service crm", "timeout, auth.token (secret)")
    note(site, "ana", "service.delete", "service old")

    shown = enter(site, "manage").get("/audit?who=ana").text

    assert "service changed" in shown
    assert "timeout, auth.token (secret)" in shown
    assert '<a href="/services/crm">service crm</a>' in shown
    assert 'href="/services/old"' not in shown


def test_the_audit_is_for_those_who_manage(site: Site, enter: Enter) -> None:
    viewer = enter(site, "view")

    assert viewer.get("/audit").status_code == 403
    assert 'href="/audit"' not in viewer.get("/services").text


def test_changes_are_narrowed_by_who_action_object_and_time(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    browser = enter(site, "manage")
    note(site, "ana", "service.pause", "service crm")
    clock.advance(7200)
    note(site, "luis", "rule.change", "rule new-user")
    late = site.hub.clock.now().strftime("%Y-%m-%dT%H:%M:%S")

    def found(query: str) -> list[str]:
        return objects(browser.get(f"/audit?{query}").text)

    assert found("who=luis") == ["rule new-user"]
    assert found("action=service.pause") == ["service crm"]
    assert found("object=service+crm") == ["service crm"]
    assert found("within=1h&who=ana") == []
    assert found("within=24h&who=ana") == ["service crm"]
    assert found(f"until={late}&object=rule+new-user") == []
    assert found(f"since={late}&object=rule+new-user") == ["rule new-user"]


def test_a_filter_that_makes_no_sense_is_said_at_its_field(site: Site, enter: Enter) -> None:
    told = enter(site, "manage").get("/audit?since=yesterday&before=x")

    assert told.status_code == 422
    assert 'id="f-since-problem">A time such as' in told.text
    assert "Nothing was looked for." in told.text


def test_a_long_audit_is_paged_by_key(site: Site, enter: Enter) -> None:
    for number in range(51):
        note(site, "ana", "rule.change", f"rule r{number:02}")
    browser = enter(site, "manage")

    first = browser.get("/audit?who=ana").text
    older = re.search(r'href="(/audit\?[^"]*before=\d+[^"]*)"', first)
    assert older
    second = browser.get(older[1].replace("&amp;", "&")).text

    assert (objects(first)[0], objects(first)[-1], len(objects(first))) == ("rule r50", "rule r01", 50)
    assert objects(second) == ["rule r00"]
    assert "before=" not in second.split('class="pages"')[1].split("</nav>")[0].replace("Newest", "")


def test_when_nothing_matches_the_page_says_what_to_do(site: Site, enter: Enter) -> None:
    assert "No change matches." in enter(site, "manage").get("/audit?who=nobody").text


def test_names_and_details_are_text(site: Site, enter: Enter) -> None:
    note(site, HOSTILE, HOSTILE, HOSTILE, HOSTILE)

    shown = enter(site, "manage").get("/audit").text

    assert "<img src=x" not in shown
    assert shown.count("&lt;img src=x") >= 4


def test_every_deed_that_the_code_writes_down_has_words(backend: str) -> None:
    pattern = re.compile(
        r'"((?:service|circuit|rule|delivery|queue|dead_letter|letter|replay|ledger|cursor'
        r'|secret|user|session)\.[a-z]+)"'
    )
    rooms = ("bridge", "cli", "web", "workshop")
    texts = [
        path.read_text(encoding="utf-8")
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if "audit." in path.read_text(encoding="utf-8")
    ]
    written = {name for text in texts for name in pattern.findall(text)}

    assert {"service.test", "circuit.reset", "cursor.set", "dead_letter.replay"} <= written
    assert sorted(one for one in written - set(ACTIONS) if not one.endswith(".html")) == []
