"""Sign-in by a provider of OpenID Connect: the browser is sent there, and comes back with a code."""

import base64
import binascii
import json
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from sidecar.identity.oidc import Back, Flow, new_flow
from sidecar.identity.person import NotLetIn, Trouble
from sidecar.web.pages.gate import Refused
from sidecar.web.pages.origin import address_of, is_secure, local_path
from sidecar.web.pages.outside import Busy
from sidecar.web.pages.page import Page, Visit, cookie_name
from sidecar.web.pages.signing import Failed, gate_of, let_in, show_form

router = APIRouter()

PATH = "/login/oidc"
_LASTS_S = 600
_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the browser keeps while it is away: the flow, the page that was wanted, its end."""

    flow: Flow
    wanted: str
    until_s: int


@router.get(PATH)
def go_there(page: Visit, next: str = "/") -> Response:  # noqa: A002 - the parameter's name in the address
    """Send the browser to the provider."""
    outside = gate_of(page).outside
    oidc, wanted = outside.oidc, local_path(next)
    if oidc is None:
        return RedirectResponse("/login", 303)
    flow = new_flow()
    try:
        where = outside.asked(lambda: oidc.way_there(flow, _return_address(page)))
    except Busy:
        return show_form(page, wanted, Failed(Trouble.UNREACHABLE, 1.0, way="oidc"))
    except NotLetIn as why:
        gate_of(page).tell("oidc", why)
        return show_form(page, wanted, Failed(why.trouble, way="oidc"))
    answer = RedirectResponse(where, 303)
    until_s = int(page.now.timestamp()) + _LASTS_S
    # Lax: the provider's page is another site, and the browser has to send it when coming from there.
    answer.set_cookie(
        _cookie(page, flow.state),
        _packed(Ticket(flow, wanted, until_s)),
        max_age=_LASTS_S,
        path=PATH,
        httponly=True,
        samesite="lax",
        secure=is_secure(page.request),
    )
    return answer


@router.get(f"{PATH}/back")
def come_back(page: Visit, code: str = "", state: str = "", error: str = "", iss: str = "") -> Response:
    """Let in whoever comes back with a code that proves who they are."""
    ticket = _unpacked(page.request.cookies.get(_cookie(page, state), ""))
    if ticket is None or page.now.timestamp() >= ticket.until_s:
        return show_form(page, "/", Failed(Trouble.OVER, way="oidc"))
    back = Back(state[:_LONGEST], code[:_LONGEST], iss[:_LONGEST], error[:_LONGEST])
    try:
        address = address_of(page.request)
        opened = gate_of(page).sign_in_by_oidc(ticket.flow, back, _return_address(page), address)
    except Refused as refused:
        answer = show_form(page, ticket.wanted, Failed(refused.trouble, refused.wait_s, way="oidc"))
    else:
        answer = let_in(page, opened, ticket.wanted)
    answer.delete_cookie(_cookie(page, state), path=PATH)
    return answer


@router.get(f"{PATH}/out")
def sign_out_there(page: Visit) -> Response:
    """Send the browser to where the provider signs it out, too."""
    outside = gate_of(page).outside
    oidc = outside.oidc
    if oidc is None or page.guest is not None:
        return RedirectResponse("/login", 303)
    try:
        where = outside.asked(lambda: oidc.way_out(f"{_base(page)}/login"))
    except (Busy, NotLetIn):
        where = None
    return (
        RedirectResponse(where, 303)
        if where
        else show_form(page, "/", Failed(Trouble.ODD_ANSWER, way="oidc"))
    )


def _return_address(page: Page) -> str:
    return f"{_base(page)}{PATH}/back"


def _base(page: Page) -> str:
    return str(page.request.base_url).rstrip("/")


def _cookie(page: Page, state: str) -> str:
    """Return the cookie of one flow: with one for all, a second tab would spoil the first."""
    return f"{cookie_name(page.desk)}_{''.join(one for one in state[:8] if one.isalnum())}"


def _packed(ticket: Ticket) -> str:
    flow = ticket.flow
    text = json.dumps([flow.state, flow.nonce, flow.verifier, ticket.wanted, ticket.until_s])
    return base64.urlsafe_b64encode(text.encode()).decode()


def _unpacked(cookie: str) -> Ticket | None:
    """Return the ticket; whoever made one up has deceived nobody but themselves."""
    try:
        state, nonce, verifier, wanted, until_s = json.loads(base64.urlsafe_b64decode(cookie))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        return None
    texts = (state, nonce, verifier, wanted)
    if not all(isinstance(one, str) and one for one in texts) or not isinstance(until_s, int):
        return None
    return Ticket(Flow(state, nonce, verifier), local_path(wanted), until_s)
