"""Signing in by Moodle and by OpenID Connect, as a browser does: cookies, pages, sessions, the audit."""

import logging
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select

from sidecar.clock import FakeClock
from sidecar.store import tables
from tests.identity.standins import DOTTED, Issuer, Moodle
from tests.receiver import Receiver, answer
from tests.web.conftest import Enter, MakeSite, Site
from tests.web.people import HASH, Browser

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
LOCAL = {"name": "root", "password_hash": HASH, "role": "manage"}
Config = dict[str, object]


@pytest.fixture
def moodle(receiver: Receiver) -> Moodle:
    return Moodle(receiver)


@pytest.fixture
def issuer(receiver: Receiver, clock: FakeClock) -> Issuer:
    return Issuer(receiver, clock)


@pytest.fixture
def by_moodle(make_site: MakeSite, moodle: Moodle) -> Callable[..., Site]:
    def make(**web: object) -> Site:
        login = {"manage": ["eva"], "view": ["ana"]}
        return make_site(site_url=moodle.url, web={"users": [LOCAL], "moodle_login": login, **web})

    return make


def oidc_of(issuer: Issuer) -> Config:
    return {"issuer": issuer.url, "client_id": "hub", "client_secret": issuer.secret, "view": ["staff"]}


@pytest.fixture
def by_oidc(make_site: MakeSite, issuer: Issuer) -> Callable[..., Site]:
    def make(**web: object) -> Site:
        return make_site(web={"users": [LOCAL], "oidc": oidc_of(issuer), **web})

    return make


def audited(site: Site) -> list[tuple[str, str, str | None]]:
    with site.store.read() as conn:
        rows = conn.execute(select(tables.audit).order_by(tables.audit.c.id))
        return [(row.who, row.action, row.detail) for row in rows]


def put(site: Site, **changes: object) -> None:
    """Put other settings of `web` in force, as a reload of the file does."""
    web = site.hub.settings.web
    made = type(web).model_validate(web.model_dump() | changes)
    site.hub.reconfigure(site.hub.settings.model_copy(update={"web": made}), site.hub.book)


def go(browser: Browser, path: str = "/login/oidc") -> httpx.Response:
    """Follow the link to the provider; the browser keeps its cookie."""
    sent = browser.get(path)
    assert sent.status_code == 303, sent.text
    return sent


def come_back(browser: Browser, query: dict[str, str]) -> httpx.Response:
    return browser.client.get("/login/oidc/back", params=query)


def enter_by_oidc(browser: Browser, issuer: Issuer) -> httpx.Response:
    return come_back(browser, issuer.consent(go(browser).headers["Location"]))


def test_people_of_moodle_sign_in_and_nothing_of_their_password_stays(
    by_moodle: Callable[..., Site], enter: Enter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site = by_moodle()
    browser = enter(site)

    entered = browser.sign_in("ana", "Secret-1", way="moodle", next="/settings")
    page = browser.get("/about")

    assert (entered.status_code, entered.headers["Location"]) == (303, "/settings")
    assert "moodle:ana" in page.text
    assert audited(site) == [("moodle:ana", "session.begin", "moodle, from 127.0.0.1")]
    with site.store.read() as conn:
        rows = [str(conn.execute(select(table)).all()) for table in tables.metadata.sorted_tables]
    for text in (*rows, caplog.text):
        assert "Secret-1" not in text
        assert "token-of-ana" not in text


def test_roles_of_moodles_people_are_those_of_the_configuration(
    by_moodle: Callable[..., Site], enter: Enter
) -> None:
    site = by_moodle()
    boss, ana = enter(site), enter(site)

    boss.sign_in("boss", "Secret-2", way="moodle")
    ana.sign_in("ana", "Secret-1", way="moodle")
    with site.store.read() as conn:
        roles = {row.user_name: row.role for row in conn.execute(select(tables.sessions))}

    assert roles == {"moodle:boss": "manage", "moodle:ana": "view"}
    assert (boss.is_in, ana.is_in) == (True, True)


def test_a_wrong_password_at_moodle_is_told_with_what_else_it_can_mean(
    by_moodle: Callable[..., Site], enter: Enter, moodle: Moodle
) -> None:
    site = by_moodle()
    browser = enter(site)

    wrong = browser.sign_in("ana", "wrong", way="moodle")
    for _ in range(3):
        browser.sign_in("ana", "wrong", way="moodle")
    fifth = browser.sign_in("ana", "wrong", way="moodle")
    held = browser.sign_in("ana", "Secret-1", way="moodle")

    assert wrong.status_code == 401
    assert "The name or the password is wrong." in wrong.text
    assert "single sign-on" in wrong.text
    assert (fifth.status_code, held.status_code) == (429, 429)
    assert len(moodle.receiver.to("/login/token.php")) == 5
    assert audited(site)[0] == ("-", "session.refused", "moodle wrong_password, from 127.0.0.1")


def test_moodles_other_refusals_name_who_can_mend_it(
    by_moodle: Callable[..., Site], enter: Enter, moodle: Moodle, caplog: pytest.LogCaptureFixture
) -> None:
    moodle.errorcode = "enablewsdescription"

    shown = enter(by_moodle()).sign_in("ana", "Secret-1", way="moodle")

    assert shown.status_code == 502
    assert "An administrator of Moodle can enable them" in re.sub(r"\s+", " ", shown.text)
    assert (
        "web.sign_in_failed way=moodle trouble=web_services_off: Moodle says enablewsdescription"
        in caplog.text
    )


def test_a_local_password_is_never_shown_to_moodle_and_the_other_way_round(
    by_moodle: Callable[..., Site], enter: Enter, moodle: Moodle
) -> None:
    browser = enter(by_moodle())

    local = browser.sign_in("root")
    moodles_at_ours = enter(by_moodle()).sign_in("ana", "Secret-1")

    assert (local.status_code, moodles_at_ours.status_code) == (303, 401)
    assert moodle.receiver.requests == []


def test_a_change_of_who_may_sign_in_by_moodle_ends_its_sessions(
    by_moodle: Callable[..., Site], enter: Enter
) -> None:
    site = by_moodle()
    browser = enter(site)
    browser.sign_in("ana", "Secret-1", way="moodle")

    put(site, session_idle=600)
    unchanged = browser.is_in
    put(site, moodle_login={"view": ["eva"]})

    assert (unchanged, browser.is_in) == (True, False)


def test_users_of_the_hub_can_be_shut_out_and_are_out_at_once(
    by_moodle: Callable[..., Site], enter: Enter
) -> None:
    site = by_moodle()
    browser = enter(site)
    browser.sign_in("root")

    put(site, local_login=False)
    shown, tried = browser.get("/login"), enter(site).sign_in("root")

    assert not browser.is_in
    assert "user of this hub" not in shown.text
    assert (tried.status_code, "You may not sign in here." in tried.text) == (403, True)


def test_without_another_way_the_form_of_moodle_opens_nothing(make_site: MakeSite, enter: Enter) -> None:
    site = make_site(web={"users": [LOCAL]})

    assert enter(site).sign_in("root", way="moodle").status_code == 401
    assert enter(site).get("/login/oidc").headers["Location"] == "/login"


def test_the_provider_vouches_and_the_page_that_was_wanted_is_shown(
    by_oidc: Callable[..., Site], enter: Enter, issuer: Issuer
) -> None:
    site = by_oidc()
    browser = enter(site)

    sent = go(browser, "/login/oidc?next=/settings%3Fall%3D1")
    query = issuer.consent(sent.headers["Location"])
    entered = come_back(browser, query)

    [flow] = sent.headers.get_list("set-cookie")
    assert {"HttpOnly", "Max-Age=600", "Path=/login/oidc", "SameSite=lax"} <= set(flow.split("; "))
    assert (entered.status_code, entered.headers["Location"]) == (303, "/settings?all=1")
    assert browser.is_in
    assert "oidc:ana" in browser.get("/about").text
    assert audited(site) == [("oidc:ana", "session.begin", "oidc, from 127.0.0.1")]
    assert not [name for name in browser.client.cookies if name.count("_") > 1]


def test_coming_back_twice_or_in_another_browser_opens_nothing(
    by_oidc: Callable[..., Site], enter: Enter, issuer: Issuer
) -> None:
    site = by_oidc()
    browser, other = enter(site), enter(site)
    query = issuer.consent(go(browser).headers["Location"])
    go(other)

    elsewhere = come_back(other, query)
    first, again = come_back(browser, query), come_back(browser, query)

    assert (elsewhere.status_code, first.status_code, again.status_code) == (400, 303, 400)
    assert "Begin again." in again.text
    assert not other.is_in
    assert len(issuer.receiver.to("/token")) == 1


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_the_way_back_leads_to_our_own_pages_only(
    by_oidc: Callable[..., Site], enter: Enter, issuer: Issuer, wanted: str
) -> None:
    browser = enter(by_oidc())
    sent = browser.client.get("/login/oidc", params={"next": wanted})

    entered = come_back(browser, issuer.consent(sent.headers["Location"]))

    assert (entered.status_code, entered.headers["Location"]) == (303, "/")


def test_two_tabs_do_not_spoil_each_other_and_a_flow_is_over_after_ten_minutes(
    by_oidc: Callable[..., Site], enter: Enter, issuer: Issuer, clock: FakeClock
) -> None:
    browser = enter(by_oidc())
    first, second, late = (issuer.consent(go(browser).headers["Location"]) for _ in range(3))

    entered = come_back(browser, second).status_code, come_back(browser, first).status_code
    clock.advance(600)

    assert entered == (303, 303)
    assert come_back(browser, late).status_code == 400


def test_who_has_no_role_is_told_so_and_noted(
    by_oidc: Callable[..., Site], enter: Enter, issuer: Issuer
) -> None:
    site = by_oidc()
    issuer.claims["groups"] = ["students"]

    shown = enter_by_oidc(enter(site), issuer)

    assert (shown.status_code, "You may not sign in here." in shown.text) == (403, True)
    assert audited(site) == [("oidc:ana", "session.refused", "oidc not_listed, from 127.0.0.1")]


def test_a_provider_that_is_away_is_said_and_the_hubs_own_users_still_get_in(
    by_oidc: Callable[..., Site], enter: Enter, issuer: Issuer
) -> None:
    browser = enter(by_oidc())
    issuer.receiver.on(DOTTED, answer(503))

    away = browser.get("/login/oidc")

    assert (away.status_code, "The sign-in service gave an answer" in away.text) == (502, True)
    assert browser.sign_in("root").status_code == 303


def test_signing_out_offers_to_sign_out_there_too(
    by_oidc: Callable[..., Site], enter: Enter, issuer: Issuer
) -> None:
    site = by_oidc()
    browser = enter(site)
    enter_by_oidc(browser, issuer)

    out = browser.post("/logout")
    shown = browser.get(out.headers["Location"])
    there = browser.get("/login/oidc/out").headers["Location"]

    assert out.headers["Location"] == "/login?out=oidc"
    assert 'href="/login/oidc/out"' in shown.text
    assert there.startswith(f"{issuer.url}/out?client_id=hub&post_logout_redirect_uri=")
    assert urlsplit(there).query.endswith("%2Flogin")
    assert not browser.is_in


def test_no_setup_link_is_made_where_others_vouch(make_site: MakeSite, issuer: Issuer) -> None:
    site = make_site(web={"oidc": oidc_of(issuer), "local_login": False})

    assert site.server.invitation is None
