"""Everything that goes wrong as a page for people in browsers, and as JSON for programs."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sidecar.web.fault import Fault
from sidecar.web.pages import paper
from sidecar.web.pages.languages import N_, language_of
from sidecar.web.pages.page import HEADERS, Page, page_of_guest, theme_of

_FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/static/")

_TITLES: Mapping[int, tuple[str, str]] = {
    403: (N_("You may not do this"), N_("Your role does not allow it, or the page was open for too long.")),
    404: (N_("There is nothing here"), N_("The address is wrong, or what it led to is gone.")),
    405: (N_("There is nothing here"), N_("The address is wrong, or what it led to is gone.")),
    408: (N_("That took too long"), N_("Your browser did not send everything in time. Try again.")),
    409: (N_("That cannot be done now"), N_("Things have changed meanwhile. Look at them again.")),
    413: (N_("That is too large"), N_("Send less at a time.")),
    422: (N_("That makes no sense here"), N_("Mend what is named below and try again.")),
    500: (N_("Something is broken"), N_("This is an error of the program. Its log has the details.")),
    503: (
        N_("The database is away"),
        N_("Deliveries wait and nothing is lost. This page comes back when the database does."),
    ),
}
_BUSY = (
    N_("Deliveries go first"),
    N_("More pages are asked for than the sidecar makes while it is sending. Try again in a moment."),
)
# What the API says of a path that nothing has helps programs.
_NOWHERE = ("no_such_path", "wrong_method")
_NO_PAGE = (
    N_("No page of the dashboard has this address."),
    N_("Look whether it is written right, or go on from the start."),
)
_OTHERWISE = (N_("That did not work"), N_("Mend what is named below and try again."))


def show(request: Request, fault: Fault) -> Response:
    """Return the answer to a request that did not succeed."""
    if not _is_for_people(request):
        return fault.response()
    title, text = _BUSY if fault.problem.code == "busy" else _TITLES.get(fault.status, _OTHERWISE)
    page: Page | None = request.scope.get("mih.page")
    speaks = language_of(request)
    message, remedy = speaks.tell(fault.message), speaks.tell(fault.remedy)
    if fault.problem.code in _NOWHERE:
        page, (message, remedy) = page_of_guest(request), map(speaks.say, _NO_PAGE)
    values = {
        "title": title,
        "text": text,
        "message": message,
        "remedy": remedy,
        "code": fault.problem.code,
        "status": fault.status,
        "page": page,
        "is_part": "hx-request" in request.headers,
    }
    body = paper.render("wrong.html", speaks.code, values | _common(request, speaks.code, page))
    return HTMLResponse(body, fault.status, {**HEADERS, **fault.headers})


def _common(request: Request, code: str, page: Page | None) -> dict[str, object]:
    return {
        "lang": code,
        "theme": theme_of(request),
        "path": request.url.path,
        "csrf": page.guest.session.csrf if page and page.guest else "",
        "notice": None,
        "now": page.now if page else None,
    }


def _is_for_people(request: Request) -> bool:
    if request.url.path.startswith(_FOR_PROGRAMS) or request.url.path == "/api":
        return False
    return "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers
