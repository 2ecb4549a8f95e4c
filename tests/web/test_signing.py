"""Getting in and out: passwords, sessions, cookies, the throttle, the setup link, forms of other sites."""

import logging
import re
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from sidecar.clock import FakeClock
from sidecar.store import tables, users
from sidecar.store.passwords import make_hash
from tests.web.conftest import Enter, MakeSite, Site
from tests.web.people import HASH, PASSWORD, Browser, add

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
MINUTE, HOUR, DAY = 60, 3_600, 86_400


def audited(site: Site) -> list[tuple[str, str, str | None]]:
    with site.store.read() as conn:
        rows = conn.execute(select(tables.audit).order_by(tables.audit.c.id))
        return [(row.who, row.action, row.detail) for row in rows]


def rows_of_sessions(site: Site) -> list[Any]:
    with site.store.read() as conn:
        return list(conn.execute(select(tables.sessions)))


def invitation(site: Site) -> str:
    assert site.server.invitation is not None
    return site.server.invitation.removeprefix(site.server.url)


def cookie(answer: httpx.Response) -> str:
    [found] = [line for line in answer.headers.get_list("set-cookie") if line.startswith("mih_")]
    return found


def test_sign_in_leads_to_the_page_that_was_wanted_and_sign_out_ends_it(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    add(site.store, clock, "ana", "view")
    browser = enter(site)

    sent = browser.get("/settings?all=1")
    entered = browser.sign_in("ana", next="/settings?all=1")
    seen = browser.get("/settings?all=1")
    out = browser.post("/logout")

    assert (sent.status_code, sent.headers["Location"]) == (303, "/login?next=/settings%3Fall%3D1")
    assert (entered.status_code, entered.headers["Location"]) == (303, "/settings?all=1")
    assert seen.status_code == 200
    assert (out.status_code, out.headers["Location"]) == (303, "/login")
    assert not browser.is_in
    assert rows_of_sessions(site) == []
    assert audited(site) == [
        ("ana", "session.begin", "password, from 127.0.0.1"),
        ("ana", "session.end", None),
    ]


@ON_SQLITE
def test_the_cookie_is_for_this_site_alone_and_the_table_does_not_hold_it(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    add(site.store, clock, "ana", "view")

    found = cookie(enter(site).sign_in("ana"))

    value = re.match(r"mih_[0-9a-f]{8}=([0-9a-f]{64});", found)
    assert value
    assert "HttpOnly" in found
    assert "Path=/" in found
    assert "SameSite=lax" in found
    assert "Secure" not in found
    [row] = rows_of_sessions(site)
    assert value[1] not in str(row)


@ON_SQLITE
def test_behind_a_trusted_proxy_with_tls_the_cookie_is_secure(
    make_site: MakeSite, enter: Enter, clock: FakeClock
) -> None:
    site = make_site(web={"trusted_proxies": ["127.0.0.1/32"]})
    add(site.store, clock, "ana", "view")
    browser = enter(
        site,
        **{
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "hub.example.org",
            "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
            "Origin": "https://hub.example.org",
        },
    )

    entered = browser.sign_in("ana")

    assert entered.status_code == 303
    assert "Secure" in cookie(entered)
    assert audited(site) == [("ana", "session.begin", "password, from 198.51.100.7")]


@ON_SQLITE
def test_what_a_stranger_says_of_proxies_is_not_believed(site: Site, enter: Enter, clock: FakeClock) -> None:
    add(site.store, clock, "ana", "view")
    browser = enter(site, **{"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"})

    entered = browser.sign_in("ana")

    assert "Secure" not in cookie(entered)
    assert audited(site) == [("ana", "session.begin", "password, from 127.0.0.1")]


@ON_SQLITE
def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    add(site.store, clock, "ana", "view")
    browser = enter(site)

    wrong = browser.sign_in("ana", "wrong horse battery")
    unknown = browser.sign_in("hunter2", "wrong horse battery")

    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert wrong.text.replace("ana", "hunter2") == unknown.text
    assert "The name or the password is wrong." in unknown.text
    assert audited(site) == [
        ("ana", "session.refused", "from 127.0.0.1"),
        ("-", "session.refused", "from 127.0.0.1"),
    ]


@ON_SQLITE
def test_each_failure_after_the_fifth_doubles_the_wait_and_success_forgives(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    add(site.store, clock, "ana", "view")
    browser = enter(site)
    for _ in range(4):
        assert browser.sign_in("ana", "wrong").status_code == 401

    fifth = browser.sign_in("ana", "wrong")
    at_once = browser.sign_in("ana")
    clock.advance(1)
    sixth = browser.sign_in("ana", "wrong")
    clock.advance(1)
    early = browser.sign_in("ana")
    clock.advance(1)
    right = browser.sign_in("ana")
    forgiven = enter(site).sign_in("ana", "wrong")

    assert (fifth.status_code, fifth.headers["Retry-After"]) == (429, "1")
    assert "There were too many attempts. Try again in 1 second." in fifth.text
    assert at_once.status_code == 429
    assert (sixth.status_code, sixth.headers["Retry-After"]) == (429, "2")
    assert (early.status_code, early.headers["Retry-After"]) == (429, "1")
    assert right.status_code == 303
    assert forgiven.status_code == 401


@ON_SQLITE
def test_an_address_that_tries_many_names_has_to_wait_for_all_of_them(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    add(site.store, clock, "ana", "view")
    browser = enter(site)
    for number in range(10):
        browser.sign_in(f"name-{number}", "wrong")

    refused = browser.sign_in("ana")
    clock.advance(1)
    let_in = browser.sign_in("ana")

    assert refused.status_code == 429
    assert let_in.status_code == 303


@ON_SQLITE
def test_a_session_ends_for_want_of_use_and_not_while_it_is_used(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    used, left = enter(site, "view"), enter(site, "view")

    for _ in range(3):
        clock.advance(5 * HOUR)
        assert used.is_in
    clock.advance(-1)

    assert used.is_in
    assert not left.is_in


@ON_SQLITE
def test_a_page_that_refreshes_itself_does_not_keep_a_session_alive(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    browser = enter(site, "view")

    for _ in range(3):
        clock.advance(5 * HOUR)
        part = browser.get("/about", **{"HX-Request": "true"})

    assert (part.status_code, part.headers["HX-Redirect"]) == (401, "/login")


@ON_SQLITE
def test_a_session_ends_after_a_week_however_it_is_used(site: Site, enter: Enter, clock: FakeClock) -> None:
    browser = enter(site, "view")

    for _ in range(14):
        clock.advance(12 * HOUR - 1)
        assert browser.is_in
    clock.advance(60)

    assert not browser.is_in


def test_a_new_password_ends_all_sessions_of_that_user(site: Site, enter: Enter, clock: FakeClock) -> None:
    first, other = enter(site, "view"), enter(site, "manage")

    with site.store.write() as conn:
        users.set_password(conn, "view-1", password_hash=make_hash("another one at all"), now=clock.now())

    assert not first.is_in
    assert other.is_in


@ON_SQLITE
def test_users_of_the_file_sign_in_and_a_changed_or_removed_one_is_out_at_once(
    make_site: MakeSite, enter: Enter
) -> None:
    site = make_site(web={"users": [{"name": "ana", "password_hash": HASH, "role": "manage"}]})
    browser = enter(site)
    assert browser.sign_in("ana").status_code == 303
    assert browser.is_in

    put_users(site, password_hash=make_hash("another one at all"))
    after_change = browser.is_in
    put_users(site, password_hash=HASH)
    before_removal = browser.is_in
    put_users(site)

    assert (after_change, before_removal, browser.is_in) == (False, True, False)


def put_users(site: Site, *, password_hash: str = "") -> None:
    """Put another `web.users` in force, as a reload of the file does."""
    web = site.hub.settings.web.model_dump() | {"users": []}
    if password_hash:
        web["users"] = [{"name": "ana", "password_hash": password_hash}]
    made = type(site.hub.settings.web).model_validate(web)
    site.hub.reconfigure(site.hub.settings.model_copy(update={"web": made}), site.hub.book)


@ON_SQLITE
def test_the_setup_link_makes_the_first_user_once(site: Site, enter: Enter) -> None:
    browser, late = enter(site), enter(site)
    link = invitation(site)
    code = link.rpartition("=")[2]
    form = {"code": code, "name": "ana", "password": PASSWORD, "again": PASSWORD}

    asked = browser.get(link)
    made = browser.client.post("/setup", data=form)
    again = late.client.post("/setup", data=form | {"name": "eve"})

    assert asked.status_code == 200
    assert (made.status_code, made.headers["Location"]) == (303, "/")
    assert browser.is_in
    assert again.status_code == 403
    assert late.get(link).status_code == 403
    assert audited(site) == [
        ("ana", "user.add", "manage, by the setup link"),
        ("ana", "session.begin", "setup, from 127.0.0.1"),
    ]


@ON_SQLITE
@pytest.mark.parametrize("code", ["", "x", "é", "A" * 200])
def test_a_wrong_code_makes_nobody(site: Site, enter: Enter, code: str) -> None:
    browser = enter(site)
    form = {"code": code, "name": "eve", "password": PASSWORD, "again": PASSWORD}

    assert browser.client.get("/setup", params={"code": code}).status_code == 403
    assert browser.client.post("/setup", data=form).status_code == 403
    assert browser.get("/welcome?code=" + code).status_code == 403


@ON_SQLITE
def test_the_setup_link_is_over_after_an_hour_and_when_there_is_a_user(
    site: Site, make_site: MakeSite, enter: Enter, clock: FakeClock
) -> None:
    browser = enter(site)
    link = invitation(site)
    before = browser.get(link).status_code

    add(site.store, clock, "ana", "manage")
    with_user = browser.get(link).status_code
    with site.store.write() as conn:
        users.remove(conn, "ana")
    without = browser.get(link).status_code
    clock.advance(HOUR)

    assert (before, with_user, without, browser.get(link).status_code) == (200, 403, 200, 403)


@ON_SQLITE
def test_with_users_there_is_no_link(make_site: MakeSite) -> None:
    site = make_site(web={"users": [{"name": "ana", "password_hash": HASH}]})

    assert site.server.invitation is None


@ON_SQLITE
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "<b>", "password": PASSWORD, "again": PASSWORD}, "Use letters, digits and"),
        ({"name": "ana", "password": "short", "again": "short"}, "Use 10 characters or more"),
        ({"name": "anastasia-maria", "password": "Anastasia-Maria", "again": "Anastasia-Maria"}, "your name"),
        ({"name": "ana", "password": "1111111111", "again": "1111111111"}, "over and over"),
        ({"name": "ana", "password": PASSWORD, "again": "other"}, "The two passwords differ."),
    ],
)
def test_a_first_user_that_makes_no_sense_is_told_what_to_mend(
    site: Site, enter: Enter, fields: dict[str, str], said: str
) -> None:
    code = invitation(site).rpartition("=")[2]

    answer = enter(site).client.post("/setup", data={"code": code, **fields})

    assert answer.status_code == 422
    assert said in answer.text
    assert "<b>" not in answer.text
    assert PASSWORD not in answer.text


@ON_SQLITE
@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/%0d%0aSet-Cookie:x=y\r\nX: y",
        "javascript:alert(1)",
        "/\tevil",
    ],
)
def test_nobody_is_sent_to_another_site(site: Site, enter: Enter, clock: FakeClock, wanted: str) -> None:
    add(site.store, clock, "ana", "view")

    answer = enter(site).sign_in("ana", next=wanted)

    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


@ON_SQLITE
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_is_refused(
    site: Site, enter: Enter, clock: FakeClock, headers: dict[str, str]
) -> None:
    add(site.store, clock, "ana", "view")
    signed_in, stranger = enter(site, "view"), enter(site, **headers)

    assert signed_in.post("/logout", None, **headers).status_code == 403
    assert stranger.sign_in("ana").status_code == 403
    assert signed_in.is_in


@ON_SQLITE
@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_change_without_the_sessions_own_token_is_refused(site: Site, enter: Enter, token: str) -> None:
    browser, other = enter(site, "manage"), enter(site, "manage")

    missing = browser.client.post("/logout", data={})
    wrong = browser.client.post("/logout", data={"csrf": token})
    of_another = browser.client.post("/logout", data={"csrf": other.token()})
    in_a_header = browser.client.post("/logout", headers={"X-CSRF-Token": browser.token()})

    assert {missing.status_code, wrong.status_code, of_another.status_code} == {403}
    assert "This did not come from a form of this session" in wrong.text
    assert in_a_header.status_code == 303


@ON_SQLITE
def test_tokens_open_no_page_and_sessions_no_route_of_the_api(site: Site, enter: Enter) -> None:
    browser = enter(site, "manage")

    assert site.manage.get("/about").status_code == 303
    assert browser.get("/api/v1/status").status_code == 401


@ON_SQLITE
@pytest.mark.parametrize("value", ["x", "0" * 64, "0" * 5000, "é%00"])
def test_a_made_up_cookie_is_nobody(site: Site, enter: Enter, value: str) -> None:
    browser = enter(site, "view")
    [name] = [name for name in browser.client.cookies if name.startswith("mih_")]

    answer = httpx.get(f"{site.server.url}/about", headers={b"Cookie": f"{name}={value}".encode()})

    assert answer.status_code == 303


@ON_SQLITE
def test_no_password_and_no_code_is_in_the_log(
    site: Site, enter: Enter, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "httpx")
    caplog.set_level(logging.DEBUG, "mih.web")
    browser = enter(site)
    browser.get(invitation(site))
    add(site.store, clock, "ana", "view")
    browser.sign_in("ana")
    browser.sign_in("ana", "wrong horse battery")

    assert "web.signed_in user=ana via=password address=127.0.0.1" in caplog.text
    assert "web.sign_in_refused user=ana" in caplog.text
    for secret in (PASSWORD, "wrong horse battery", invitation(site).rpartition("=")[2]):
        assert secret not in caplog.text


@ON_SQLITE
def test_signing_in_anew_gives_a_new_token_and_ends_the_old_session(
    site: Site, enter: Enter, clock: FakeClock
) -> None:
    browser = enter(site, "view")
    [before] = rows_of_sessions(site)

    browser.sign_in("view-1")

    [after] = rows_of_sessions(site)
    assert before.token_hash != after.token_hash


@ON_SQLITE
def test_many_at_once_do_not_get_more_tries(site: Site, clock: FakeClock) -> None:
    from concurrent.futures import ThreadPoolExecutor

    add(site.store, clock, "ana", "view")

    def attempt(_: int) -> int:
        browser = Browser(site.server.url)
        try:
            return browser.sign_in("ana", "wrong horse battery").status_code
        finally:
            browser.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, range(12)))

    refused = [what for _, what, _ in audited(site) if what == "session.refused"]
    assert len(refused) == 5
