"""One request for a page: who asks, in which language, and what the page is rendered with."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sidecar.errors import said
from sidecar.settings import UserRole
from sidecar.store import outsiders, sessions
from sidecar.store.audit import Author
from sidecar.store.sessions import Session
from sidecar.store.users import User
from sidecar.web.desk import Desk
from sidecar.web.fault import Fault
from sidecar.web.pages import languages, paper
from sidecar.web.pages.languages import Language, language_of
from sidecar.web.pages.origin import SAFE, is_secure, own_form, same_origin, wanted_path

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    # Not no-referrer: a browser then says `Origin: null` of our own forms, and we could not tell them.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_NOTICE = "mih_notice"
_THEME = "mih_theme"
_THEMES = ("light", "dark")
_A_YEAR_S = 31_536_000
_LONGEST_TOKEN = 100


@dataclass(frozen=True, slots=True)
class Tab:
    """A page's place in the navigation; `title` is marked with N_, `icon` is one of templates/icons.html."""

    title: str
    path: str
    icon: str
    role: UserRole = "view"


@dataclass(frozen=True, slots=True)
class Guest:
    """Whoever is signed in."""

    user: User
    session: Session
    token: str = field(repr=False)


class SignInFirst(Exception):
    """Nobody is signed in; `path` is where the browser wanted to go."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, slots=True)
class Page:
    """What a handler of a page works with; whoever holds one has been let in."""

    request: Request
    desk: Desk
    language: Language
    guest: Guest | None
    form: FormData

    @property
    def now(self) -> datetime:
        """The store's time."""
        return self.desk.now

    @property
    def who(self) -> str:
        """The name to write into the audit log."""
        return self.guest.user.name if self.guest else "-"

    @property
    def author(self) -> Author:
        """Who changes something, for functions that write the audit log themselves."""
        return Author(self.who, "dashboard")

    @property
    def tabs(self) -> Sequence[Tab]:
        """The navigation."""
        tabs: Sequence[Tab] = self.request.app.state.tabs
        return [tab for tab in tabs if self.may(tab.role)]

    @property
    def is_part(self) -> bool:
        """Whether only a part of the page is asked for, by htmx."""
        return "hx-request" in self.request.headers

    def may(self, role: UserRole) -> bool:
        """Whether that role's deeds are allowed: view < manage. Payloads and people's data need manage."""
        return self.guest is not None and (role == "view" or self.guest.user.role == "manage")

    def _(self, text: str, /, **values: object) -> str:
        """Return a text in the page's language."""
        return self.language.say(text, **values)

    def ngettext(self, one: str, many: str, n: int, **values: object) -> str:
        """Return the text for a number in the page's language; `%(n)s` stands for it."""
        return self.language.say_n(one, many, n, **values)

    def text(self, name: str, default: str = "") -> str:
        """Return a field of the form that came, without blanks around it."""
        value = self.form.get(name, default)
        return value.strip() if isinstance(value, str) else default

    def told(self, text: str) -> str:
        """Return in the reader's language what was said deeper down."""
        return self.language.tell(text)

    def link(self, **changes: object) -> str:
        """Return this page's address with other parameters; None takes one away."""
        kept = {name: value for name, value in self.request.query_params.multi_items() if name not in changes}
        kept |= {name: str(value) for name, value in changes.items() if value is not None}
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in kept.items())
        return quote(self.request.url.path) + (f"?{query}" if query else "")

    def show(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """Return the template as an answer."""
        notice = _notice_of(self.request)
        common = {
            "page": self,
            "now": self.now,
            "lang": self.language.code,
            "theme": theme_of(self.request),
            "path": self.request.url.path,
            "csrf": self.guest.session.csrf if self.guest else "",
            "notice": notice,
        }
        answer = HTMLResponse(paper.render(template, self.language.code, common | values), status, HEADERS)
        if notice and not self.is_part:
            answer.delete_cookie(_NOTICE, path="/")
        if code := languages.wanted(self.request):
            answer.set_cookie(
                languages.COOKIE, code, max_age=_A_YEAR_S, samesite="lax", secure=is_secure(self.request)
            )
        return answer

    def back(self, path: str, text: str = "", *, kind: str = "success") -> Response:
        """Return a redirect after a change; `text` is shown there once, as success, warning or danger."""
        answer = RedirectResponse(path, 303)
        if text:
            packed = base64.urlsafe_b64encode(json.dumps([kind, text[:1000]]).encode()).decode()
            answer.set_cookie(_NOTICE, packed, max_age=60, httponly=True, samesite="lax")
        return answer


async def form_of(request: Request) -> FormData:
    """Return the fields of the form that came; the guard has let nothing else in."""
    return FormData() if request.method in SAFE else await request.form()


Form = Annotated[FormData, Depends(form_of)]


def visit(request: Request, form: Form) -> Page:
    """Return a page for anybody: of the few that need no session. Raises Fault for another site's form."""
    if request.method not in SAFE:
        same_origin(request)
    desk: Desk = request.app.state.desk
    return Page(request, desk, language_of(request), _guest_of(request, desk), form)


def page_of_guest(request: Request) -> Page | None:
    """Return the page of whoever is signed in, at a path that no page has; None for strangers."""
    desk: Desk = request.app.state.desk
    with suppress(SQLAlchemyError):
        if guest := _guest_of(request, desk):
            return Page(request, desk, language_of(request), guest, FormData())
    return None


def page_for(role: UserRole) -> Any:
    """Return the dependency that gives the page to visitors of this role, and those above it.

    Every change has to come from a form of ours: with this session's token, from our own origin.
    """

    def check(page: Annotated[Page, Depends(visit)]) -> Page:
        if page.guest is None:
            raise SignInFirst(wanted_path(page.request))
        page.request.scope["mih.page"] = page
        if not page.may(role):
            raise Fault(
                403,
                "forbidden",
                said(
                    "%(who)s has the role %(role)s; this needs %(needed)s.",
                    who=page.who,
                    role=page.guest.user.role,
                    needed=role,
                ),
                said("Ask somebody who manages the users."),
            )
        if page.request.method not in SAFE:
            own_form(page.request, page.form, page.guest.session.csrf)
        return page

    return Depends(check)


Visit = Annotated[Page, Depends(visit)]
View = Annotated[Page, page_for("view")]
Manage = Annotated[Page, page_for("manage")]


def cookie_name(desk: Desk) -> str:
    """Return the cookie of the sessions; cookies know no ports, so each site has a name of its own."""
    return f"mih_{hashlib.sha256(desk.settings.site.encode()).hexdigest()[:8]}"


def theme_of(request: Request) -> str:
    """Return light, dark, or auto: as the system has it."""
    theme = request.cookies.get(_THEME, "")
    return theme if theme in _THEMES else "auto"


def _guest_of(request: Request, desk: Desk) -> Guest | None:
    token = request.cookies.get(cookie_name(desk), "")
    if not token or len(token) > _LONGEST_TOKEN:
        return None
    web, now = desk.settings.web, desk.now
    with desk.store.read() as conn:
        session = sessions.find(conn, token, idle=timedelta(seconds=web.session_idle), now=now)
        user = outsiders.user_of(conn, desk.settings, session) if session else None
    if session is None or user is None or not sessions.is_sealed(session, token, user.password_hash):
        return None
    # A page that refreshes itself is not somebody who uses it.
    asked_by_hand = "hx-request" not in request.headers or request.method not in SAFE
    if asked_by_hand and sessions.wants_touch(session, now):
        with suppress(SQLAlchemyError), desk.store.write() as conn:
            sessions.touch(conn, session, now=now)
    return Guest(user, session, token)


def _notice_of(request: Request) -> tuple[str, str] | None:
    """Return the kind and the text of a notice; others may have written the cookie: it is shown as text."""
    try:
        kind, text = json.loads(base64.urlsafe_b64decode(request.cookies.get(_NOTICE, "")))
    except (ValueError, TypeError, binascii.Error):
        return None
    return (kind, text) if kind in ("success", "warning", "danger") and isinstance(text, str) else None
