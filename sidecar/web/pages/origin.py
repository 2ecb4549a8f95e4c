"""Where a request comes from, and where it may be sent: our own pages and forms, and nobody else's."""

import hmac
import re
from urllib.parse import quote, urlsplit

from starlette.datastructures import FormData
from starlette.requests import Request

from sidecar.errors import said
from sidecar.web.fault import Fault

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf"
SAFE = ("GET", "HEAD")


def same_origin(request: Request) -> None:
    """Raise Fault if a browser says that another site sent this. Browsers always say; scripts need not."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if origin is None and site in ("same-origin", "none"):
        return
    if origin is not None and urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower():
        return
    raise Fault(
        403,
        "other_origin",
        said("This came from a page of another address: nothing was changed."),
        said("If a proxy stands before the dashboard: let it pass Host on, or set web.trusted_proxies."),
    )


def own_form(request: Request, form: FormData, csrf: str) -> None:
    """Raise Fault unless the form, or a header for it, has the token of the session."""
    field = form.get(CSRF_FIELD, "")
    given = request.headers.get(CSRF_HEADER) or (field if isinstance(field, str) else "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), csrf.encode()):
        raise Fault(
            403,
            "not_our_form",
            said("This did not come from a form of this session: nothing was changed."),
            said("Go back, reload the page, and try again."),
        )


def wanted_path(request: Request) -> str:
    """Return where to go after signing in: for a form or a part, the page that it stands on."""
    if request.method in SAFE and "hx-request" not in request.headers:
        query = f"?{request.url.query}" if request.url.query else ""
        return local_path(quote(request.url.path) + query)
    before = urlsplit(request.headers.get("referer", ""))
    if before.netloc != request.headers.get("host"):
        return "/"
    return local_path(before.path + (f"?{before.query}" if before.query else ""))


def local_path(text: str) -> str:
    """Return the path if it leads to a page of ours, else the start: nobody is sent to other sites."""
    return text if re.fullmatch(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,1000}", text) else "/"


def address_of(request: Request) -> str:
    """Return where the browser is."""
    return request.client.host if request.client else "-"


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a trusted proxy."""
    return request.url.scheme == "https"
