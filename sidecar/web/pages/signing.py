"""Sign in, sign out, and the two links that let somebody in without a password."""

import math
import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from sidecar.identity.person import Trouble
from sidecar.settings.values import USER_PATTERN
from sidecar.store.passwords import SHORTEST, weakness
from sidecar.store.sessions import Opened
from sidecar.web.pages.gate import Gate, Refused
from sidecar.web.pages.origin import address_of, is_secure, local_path
from sidecar.web.pages.page import Manage, Page, View, Visit, cookie_name
from sidecar.web.pages.signin_words import ELSEWHERE, NO_PASSWORD_THERE, STATUS, WORDS

router = APIRouter()
out = APIRouter()


@dataclass(frozen=True, slots=True)
class Failed:
    """A try that let nobody in, as the form shows it."""

    trouble: Trouble
    wait_s: float = 0.0
    name: str = ""
    way: str = ""


@router.get("/login")
def ask(page: Visit, next: str = "/") -> Response:  # noqa: A002 - the parameter's name in the address
    """Ask for name and password."""
    if page.guest:
        return RedirectResponse(local_path(next), 303)
    return show_form(page, next)


@router.post("/login")
def sign_in(page: Visit) -> Response:
    """Begin a session, or say why not; the same for a name that nobody has and a wrong password."""
    wanted = page.text("next", "/")
    name, way = page.text("name"), page.text("way")
    gate = gate_of(page)
    sign_in = gate.sign_in_by_moodle if way == "moodle" else gate.sign_in
    try:
        opened = sign_in(name, str(page.form.get("password", "")), address_of(page.request))
    except Refused as refused:
        return show_form(page, wanted, Failed(refused.trouble, refused.wait_s, name, way))
    return let_in(page, opened, local_path(wanted))


@router.get("/setup")
def ask_first_user(page: Visit, code: str = "") -> Response:
    """Ask for the first user."""
    if not gate_of(page).sets_up(code):
        return page.show("setup_over.html", status=403)
    return page.show("setup.html", code=code, name="", problems={}, shortest=SHORTEST)


@router.post("/setup")
def make_first_user(page: Visit) -> Response:
    """Make the first user and let them in."""
    code, name, password = page.text("code"), page.text("name"), str(page.form.get("password", ""))
    gate = gate_of(page)
    if not gate.sets_up(code):
        return page.show("setup_over.html", status=403)
    problems = _problems(page, name, password)
    if problems:
        return page.show("setup.html", status=422, code=code, name=name, problems=problems, shortest=SHORTEST)
    opened = gate.set_up(code, name, password, address_of(page.request))
    if opened is None:
        return page.show("setup_over.html", status=403)
    return let_in(page, opened, "/")


@router.get("/welcome")
def welcome(page: Visit, code: str = "") -> Response:
    """Let in whoever has the link that this process printed."""
    opened = gate_of(page).welcome(code, address_of(page.request))
    return let_in(page, opened, "/") if opened else page.show("setup_over.html", status=403)


@out.post("/logout")
def sign_out(page: View) -> Response:
    """End the session."""
    assert page.guest is not None
    gate_of(page).sign_out(page.guest.token, page.who)
    by_provider = page.guest.session.via == "oidc" and page.desk.settings.web.oidc is not None
    answer = page.back("/login?out=oidc" if by_provider else "/login", page._("You have signed out."))
    answer.delete_cookie(cookie_name(page.desk), path="/")
    return answer


@out.get("/session")
def token(page: Manage) -> Response:
    """Return the token that forms need now: static/live.js asks before it sends what somebody typed."""
    assert page.guest is not None
    return PlainTextResponse(page.guest.session.csrf)


def to_sign_in(request: Request, path: str) -> Response:
    """Send a browser to the sign-in; htmx has to be told in a header."""
    where = "/login" if path == "/" else f"/login?next={quote(path, safe='/')}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": where})
    return RedirectResponse(where, 303)


def gate_of(page: Page) -> Gate:
    """Return what lets people in."""
    gate: Gate = page.request.app.state.gate
    return gate


def show_form(page: Page, wanted: str, failed: Failed | None = None) -> Response:
    """Show the ways to sign in, and why the last try failed."""
    web, wait_s = page.desk.settings.web, failed.wait_s if failed else 0.0
    answer = page.show(
        "login.html",
        status=_status(failed),
        next=local_path(wanted),
        name=failed.name[:100] if failed else "",
        way=failed.way if failed else "",
        failed=failed and page._(WORDS[failed.trouble]),
        hint=_hint(page, failed),
        wait_s=math.ceil(wait_s),
        nobody=not gate_of(page).has_users(),
        local=web.local_login,
        moodle=web.moodle_login is not None,
        provider=urlsplit(web.oidc.issuer).hostname if web.oidc else None,
        signed_out_of=page.request.query_params.get("out", ""),
    )
    if wait_s:
        answer.headers["Retry-After"] = str(math.ceil(wait_s))
    return answer


def _status(failed: Failed | None) -> int:
    if failed is None:
        return 200
    return 429 if failed.wait_s else STATUS.get(failed.trouble, ELSEWHERE)


def _hint(page: Page, failed: Failed | None) -> str:
    wrong = failed is not None and failed.way == "moodle" and failed.trouble is Trouble.WRONG_PASSWORD
    return page._(NO_PASSWORD_THERE) if wrong else ""


def _problems(page: Page, name: str, password: str) -> dict[str, str]:
    """Return what is wrong, by field."""
    problems: dict[str, str] = {}
    if not re.fullmatch(USER_PATTERN, name) or len(name) > 100:
        problems["name"] = page._("Use letters, digits and . _ @ + -, and start with a letter or a digit.")
    if weakness(password, name):
        problems["password"] = page._(
            "Use %(n)s characters or more, and neither your name nor one character over and over.", n=SHORTEST
        )
    elif password != page.form.get("again"):
        problems["again"] = page._("The two passwords differ.")
    return problems


def let_in(page: Page, opened: Opened, path: str) -> Response:
    """Give the browser its session; one that it had before is ended."""
    if page.guest:
        gate_of(page).sign_out(page.guest.token, page.who)
    answer = RedirectResponse(path, 303)
    # Lax and not Strict: with Strict a link in a mail would lead to the sign-in. Every change needs a form.
    answer.set_cookie(
        cookie_name(page.desk),
        opened.token,
        # Not a date: the browser's clock may be wrong.
        max_age=int((opened.expires_at - page.now).total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(page.request),
    )
    return answer
