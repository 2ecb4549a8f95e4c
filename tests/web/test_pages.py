"""What all pages have in common: who may see them, their headers, languages, errors, files, and escapes."""

import hashlib
import json
import logging
import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from sidecar.clock import FakeClock
from sidecar.web.pages import assets
from sidecar.web.pages.page import POLICY
from sidecar.web.pages.register import PAGES, attach
from tests.servers import MariaDB
from tests.web.conftest import Enter, MakeSite, Site
from tests.web.people import HASH, add

ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
STATIC = Path(__file__).parents[2] / "sidecar" / "web" / "static"
TEMPLATES = STATIC.parent / "templates"

# Everybody may ask these; all other pages are for people who have signed in.
OPEN = {
    *{("GET", "/login"), ("POST", "/login"), ("GET", "/setup"), ("POST", "/setup"), ("GET", "/welcome")},
    *{("GET", "/login/oidc"), ("GET", "/login/oidc/back"), ("GET", "/login/oidc/out")},
}
# Changes that the role `view` may make, as they concern nobody else.
OWN = {("POST", "/logout")}


def page_routes() -> set[tuple[str, str]]:
    """Return the method and path of every route of the dashboard."""
    app = FastAPI(openapi_url=None)
    attach(app)
    return {(method, path) for method, path in _walk(app.routes) if not path.startswith("/static")}


def _walk(found: list[BaseRoute]) -> set[tuple[str, str]]:
    pairs: set[tuple[str, str]] = set()
    for route in found:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(route, "methods") and hasattr(route, "path"):
            pairs |= {(method, route.path) for method in (route.methods or ()) if method != "HEAD"}
        elif inner is not None and hasattr(inner, "routes"):
            pairs |= _walk(inner.routes)
    return pairs


def url_of(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "1", path)


def test_the_walk_over_the_routes_finds_them() -> None:
    assert {("GET", "/"), ("GET", "/about"), ("GET", "/settings"), *OPEN, *OWN} <= page_routes()


@ON_SQLITE
def test_a_page_sends_strangers_to_the_sign_in_and_lets_people_in(site: Site, enter: Enter) -> None:
    stranger, viewer, manager = enter(site), enter(site, "view"), enter(site, "manage")

    for method, path in sorted(page_routes() - OPEN - OWN):
        url = url_of(path)
        sent = stranger.client.request(method, url)
        assert sent.status_code == 303, (method, path)
        assert sent.headers["Location"].startswith("/login"), (method, path)
        if method == "GET":
            for browser in (viewer, manager):
                assert browser.get(url).status_code in (200, 303, 403, 404, 422), path
        else:
            refused = viewer.post(url)
            assert refused.status_code == 403, (method, path)
            assert "this needs manage" in refused.text, (method, path)
            assert manager.client.request(method, url).status_code == 403, (method, path)


@ON_SQLITE
@pytest.mark.parametrize("tab", [page.TAB for page in PAGES], ids=lambda tab: tab.path)
def test_a_page_of_the_navigation_is_whole_in_both_languages(site: Site, enter: Enter, tab: object) -> None:
    path = tab.path  # type: ignore[attr-defined]
    browser = enter(site, "manage")

    for code in ("en", "es"):
        shown = browser.get(f"{path}?lang={code}")

        assert shown.status_code == 200
        assert shown.headers["Content-Security-Policy"] == POLICY
        assert f'<html lang="{code}"' in shown.text
        assert f'<a href="{path}" aria-current="page">' in shown.text
        assert len(re.findall(r"<h1>", shown.text)) == 1
        assert re.findall(r"<script(?! src)|<style|\sstyle=|\son[a-z]+=|javascript:", shown.text) == []
        assert re.findall(r'(?:src|href|action)="(?:https?:)?//', shown.text) == []


def test_the_policy_lets_nothing_in_that_is_written_into_a_page() -> None:
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in POLICY


@ON_SQLITE
@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (("", "", ""), "en"),
        (("", "", "es-ES,es;q=0.9,en;q=0.8"), "es"),
        (("", "", "fr-FR, fr;q=0.9, es;q=0.5, en;q=0.4"), "es"),
        (("", "", "es;q=0, en"), "en"),
        (("", "", "de, fr"), "en"),
        (("", "", "es;q=9,,;;q=x"), "en"),
        (("", "es", "en"), "es"),
        (("", "../../etc", "en"), "en"),
        (("?lang=en", "es", "es"), "en"),
        (("?lang=tlh", "", "es"), "es"),
    ],
)
def test_the_language_is_what_was_asked_then_the_cookie_then_the_browsers(
    site: Site, enter: Enter, asked: tuple[str, str, str], code: str
) -> None:
    query, cookie, accepted = asked
    headers = {"Accept-Language": accepted} | ({"Cookie": f"mih_lang={cookie}"} if cookie else {})

    shown = enter(site).get(f"/login{query}", **headers)

    assert f'<html lang="{code}"' in shown.text
    assert ("Entrar" in shown.text) == (code == "es")
    assert ("mih_lang=" in shown.headers.get("set-cookie", "")) == (query in ("?lang=en", "?lang=es"))


@ON_SQLITE
def test_errors_are_pages_for_people_and_json_for_programs(site: Site, enter: Enter) -> None:
    browser = enter(site, "view")

    page, api, program = (
        browser.get("/nothing?lang=es"),
        browser.get("/api/v1/nothing"),
        site.anyone.get("/nothing"),
    )

    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "Aquí no hay nada" in page.text
    assert page.headers["Content-Security-Policy"] == POLICY
    assert (api.status_code, api.headers["Content-Type"]) == (401, "application/json")
    assert (program.status_code, program.json()["error"]["code"]) == (404, "no_such_path")


@ON_SQLITE
@pytest.mark.parametrize("method", ["GET", "POST"])  # of the second the page that is there takes none
def test_an_address_that_no_page_has_is_answered_by_a_page_with_navigation(
    site: Site, enter: Enter, method: str
) -> None:
    path = "/nothing" if method == "GET" else "/about"
    signed_in, stranger = enter(site, "view"), enter(site)

    shown = signed_in.client.request(method, f"{path}?lang=es")
    told = stranger.client.request(method, path)

    assert shown.status_code == told.status_code == (404 if method == "GET" else 405)
    assert '<nav id="nav"' in shown.text
    assert "Ninguna página del panel tiene esta dirección." in shown.text
    assert "No page of the dashboard has this address." in told.text
    assert "/api" not in shown.text + told.text
    assert '<nav id="nav"' not in told.text


@ON_SQLITE
def test_an_error_of_the_program_is_a_page_without_inner_workings(
    site: Site, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("inner workings")

    browser = enter(site, "view")
    monkeypatch.setattr("sidecar.store.replicas.all_rows", fail)

    told = browser.get("/about")

    assert told.status_code == 500
    assert "Something is broken" in told.text
    assert "inner workings" not in told.text


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
def test_a_database_that_is_away_is_said_on_a_page_and_comes_back(
    site: Site, enter: Enter, mariadb: MariaDB
) -> None:
    browser = enter(site, "view")

    mariadb.kill()
    away, stranger = browser.get("/about"), enter(site).get("/login")
    mariadb.start()

    assert (away.status_code, away.headers["Retry-After"]) == (503, "5")
    assert "The database is away" in away.text
    assert stranger.status_code == 503
    assert "not-a-secret" not in away.text
    assert browser.get("/about").status_code == 200


@ON_SQLITE
@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded", b"name=" + b"x" * 1_100_000, 413),
        ("application/x-www-form-urlencoded", b"&".join(b"a=b" for _ in range(1_100)), 422),
        ("application/x-www-form-urlencoded", b"\xff\xfe%zz=\x00", 401),
    ],
)
def test_pages_take_forms_only_and_only_sensible_ones(
    site: Site, enter: Enter, kind: str, body: bytes, status: int
) -> None:
    answer = enter(site).client.post("/login", content=body, headers={"Content-Type": kind})

    assert answer.status_code == status


@ON_SQLITE
def test_names_of_strangers_are_text_on_every_page(site: Site, enter: Enter) -> None:
    hostile = "<script>alert(1)</script>\"'{{7*7}}"
    browser = enter(site, "manage")

    told = browser.sign_in(hostile, "wrong")
    wanted = enter(site).client.get("/login", params={"next": '/"><script>alert(1)</script>'})
    missing = browser.client.get("/nothing/" + hostile, params={"lang": hostile})

    for answer in (told, wanted, missing):
        assert "<script>alert" not in answer.text
        assert "49" not in re.sub(r"[0-9a-f]{16,}", "", answer.text)


@ON_SQLITE
def test_a_notice_is_shown_once_and_as_text(site: Site, enter: Enter) -> None:
    browser = enter(site, "view")
    browser.post("/logout")

    first, second = browser.get("/login"), browser.get("/login")

    assert "You have signed out." in first.text
    assert "You have signed out." not in second.text


@ON_SQLITE
@pytest.mark.parametrize("cookie", ["x", "e30", "WyJzdWNjZXNzIl0=", "WyJldmlsIiwgIng8Yj4iXQ=="])
def test_a_made_up_notice_is_nothing(site: Site, enter: Enter, cookie: str) -> None:
    shown = enter(site).get("/login", Cookie=f"mih_notice={cookie}")

    assert shown.status_code == 200
    assert "alert-evil" not in shown.text


@ON_SQLITE
def test_files_are_kept_for_a_year_by_their_hash(site: Site) -> None:
    path = assets.address("mih.css")

    first = site.anyone.get(path)
    again = site.anyone.get(path, headers={"If-None-Match": first.headers["ETag"]})
    other = site.anyone.get("/static/mih.css?v=0")
    plain = site.anyone.get(path, headers={"Accept-Encoding": "identity"})

    assert first.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert first.headers["Content-Encoding"] == "gzip"
    assert first.headers["Content-Type"] == "text/css; charset=utf-8"
    assert (again.status_code, again.content) == (304, b"")
    assert other.headers["Cache-Control"] == "no-cache"
    assert plain.content == first.content == (STATIC / "mih.css").read_bytes()


@ON_SQLITE
@pytest.mark.parametrize(
    "name", ["../app.py", "..%2fapp.py", "vendor/../../app.py", "vendor/VENDORED", "", "nothing.js"]
)
def test_nothing_but_scripts_and_styles_is_served(site: Site, name: str) -> None:
    assert site.anyone.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize("folder", [STATIC / "vendor", Path(__file__).parents[1] / "data" / "axe"], ids=str)
def test_vendored_files_are_those_that_were_fetched(folder: Path) -> None:
    lines = (folder / "VENDORED").read_text("utf-8").splitlines()[1:]
    listed = {line.split()[0]: line.split()[-1] for line in lines}
    there = {path.name for path in folder.iterdir() if path.suffix in (".js", ".css")}

    assert there == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    for line in lines:
        assert (folder / f"{line.split()[1]}.LICENSE").is_file()


@ON_SQLITE
def test_settings_say_where_each_value_comes_from_and_keep_secrets(make_site: MakeSite, enter: Enter) -> None:
    site = make_site(
        {"auth": {"type": "bearer", "token": "hunter2-hunter2"}},
        web={"users": [{"name": "ana", "password_hash": HASH}]},
    )
    browser = enter(site, "view")

    shown = browser.get("/settings?all=1").text

    assert "hunter2" not in shown
    assert HASH not in shown
    assert re.search(r"services\.crm\.base_url</code>.*?file, line \d+", shown, re.DOTALL)
    assert re.search(r"dispatch\.lease</code>.*?60.*?default", shown, re.DOTALL)
    assert "dispatch.lease" not in browser.get("/settings").text


@ON_SQLITE
def test_what_rules_send_is_for_managers(make_site: MakeSite, enter: Enter) -> None:
    rule = {
        "name": "new-user",
        "event": r"\core\event\user_created",
        "service": "crm",
        "payload": {"note": "for Ana Torres"},
    }
    site = make_site(rules=[rule])

    viewer, manager = enter(site, "view"), enter(site, "manage")

    assert "for Ana Torres" not in viewer.get("/settings").text
    assert "for Ana Torres" in manager.get("/settings").text


@ON_SQLITE
def test_about_names_what_runs_here(site: Site, enter: Enter) -> None:
    shown = enter(site, "view").get("/about").text

    assert "SQLite 3." in shown
    assert site.hub.replica.name in shown
    assert "GNU General Public License" in shown


def test_htmx_is_told_to_run_nothing_from_pages() -> None:
    base = (TEMPLATES / "base.html").read_text("utf-8")

    found = re.search(r"name=\"htmx-config\" content='([^']*)'", base)

    assert found
    config = json.loads(found[1])
    assert (config["allowEval"], config["allowScriptTags"], config["includeIndicatorStyles"]) == (False,) * 3


@ON_SQLITE
def test_pages_are_logged_without_what_was_asked(
    site: Site, enter: Enter, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mih.web")
    add(site.store, clock, "ana", "view")
    enter(site).get("/login?next=/secret")

    assert "/secret" not in caplog.text
