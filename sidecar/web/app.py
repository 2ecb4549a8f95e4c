"""The application: all routes, the guard before them, and the one shape of everything that goes wrong."""

from copy import copy
from functools import cache

from fastapi import APIRouter, FastAPI
from starlette.datastructures import State
from starlette.types import ASGIApp

from sidecar import __version__
from sidecar.web import (
    accounts,
    audit,
    call,
    deliveries,
    docs,
    explore,
    health,
    letters,
    making,
    services,
    trials,
)
from sidecar.web.desk import Desk
from sidecar.web.fault import answer_in_words
from sidecar.web.guard import Guard
from sidecar.web.pages.gate import Gate
from sidecar.web.pages.register import attach, tabs
from sidecar.web.pages.wrong import show

_ABOUT = (
    "Call services through the sidecar, and see and operate what it does. Every path below /api/v1 needs"
    " `Authorization: Bearer TOKEN` with a token of `web.tokens`. Roles: view reads all but payloads, call"
    " may also call services, manage may do everything. What goes wrong has one shape: error.code,"
    " error.message, error.remedy."
)


def build(desk: Desk, gate: Gate) -> ASGIApp:
    """Return the application for this desk."""
    app = copy(routes())
    app.state = State({"desk": desk, "gate": gate, "tabs": tabs()})
    return Guard(app, desk, show)


@cache
def routes() -> FastAPI:
    """Return the routes without the guard before them: nobody is let in without it.

    Making them takes a while, and they are the same for every desk.
    """
    app = FastAPI(
        title="Moodle Integration Hub",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
    )
    answer_in_words(app, show)
    api = APIRouter(prefix="/api/v1")
    for part in (call, services, making, trials, explore, deliveries, letters, accounts, audit):
        api.include_router(part.router)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(docs.router)
    attach(app)
    return app
