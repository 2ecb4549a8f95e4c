"""All pages, in the order of the navigation, and the routes that they have in common."""

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from sidecar.web.pages import (
    about,
    assets,
    audit,
    deliveries,
    ending,
    events,
    ledger,
    letters,
    oidc,
    overview,
    requests,
    rules,
    services,
    settings,
    signing,
)
from sidecar.web.pages.page import SignInFirst, Tab, page_for

# A page is a module with a `router`, and a TAB where it stands in the navigation. Add yours here.
PAGES = (
    overview,
    services,
    rules,
    events,
    deliveries,
    letters,
    requests,
    ledger,
    audit,
    settings,
    about,
)


def attach(app: FastAPI) -> None:
    """Add all routes of the dashboard. What is in PAGES is for people with the role `view` at least."""
    app.add_exception_handler(SignInFirst, _sign_in_first)
    app.include_router(assets.router)
    app.include_router(signing.router, include_in_schema=False)
    app.include_router(oidc.router, include_in_schema=False)
    inside = APIRouter(dependencies=[page_for("view")], include_in_schema=False)
    inside.include_router(signing.out)
    inside.include_router(ending.router)
    for one in PAGES:
        inside.include_router(one.router)
    app.include_router(inside)


def tabs() -> tuple[Tab, ...]:
    """Return the navigation."""
    return tuple(one.TAB for one in PAGES)


def _sign_in_first(request: Request, error: Exception) -> Response:
    assert isinstance(error, SignInFirst)
    return signing.to_sign_in(request, error.path)
