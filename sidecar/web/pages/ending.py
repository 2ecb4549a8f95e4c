"""What becomes of waiting deliveries when a service or rule made here is switched off: it is asked."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from sidecar import workshop
from sidecar.settings import Kind
from sidecar.store.waiting import count_waiting
from sidecar.web.ask import RuleName, ServiceName
from sidecar.web.pages.page import Manage, Page
from sidecar.workshop import Conflict, StillWaiting, Waiting

router = APIRouter()

_HOMES = {Kind.SERVICE: "services", Kind.RULE: "rules"}


@router.get("/services/{name}/disable")
def ask_of_service(page: Manage, name: ServiceName) -> Response:
    """Ask what becomes of what waits for a service."""
    return _asked(page, Kind.SERVICE, name)


@router.post("/services/{name}/disable")
def end_service(page: Manage, name: ServiceName) -> Response:
    """Switch a service off, and with what waits do what was said."""
    return switched_off(page, Kind.SERVICE, name)


@router.get("/rules/{name}/disable")
def ask_of_rule(page: Manage, name: RuleName) -> Response:
    """Ask what becomes of what a rule has queued."""
    return _asked(page, Kind.RULE, name)


@router.post("/rules/{name}/disable")
def end_rule(page: Manage, name: RuleName) -> Response:
    """Switch a rule off, and with what waits do what was said."""
    return switched_off(page, Kind.RULE, name)


def chosen(page: Page) -> Waiting | None:
    """Return what a form says of what waits; None: nothing yet."""
    said = page.text("waiting")
    return Waiting(said) if said in tuple(Waiting) else None


def is_on(section: Mapping[str, Any]) -> bool:
    """Tell whether what is written so is switched on."""
    return section.get("enabled", True) is not False and section.get("state") not in ("off", False)


def switched_off(page: Page, kind: Kind, name: str) -> Response:
    """Switch it off; ask first where deliveries wait and nothing was said of them."""
    home, waiting = f"/{_HOMES[kind]}/{name}", chosen(page)
    try:
        workshop.switch(page.desk.hub, kind, name, on=False, by=page.author, waiting=waiting)
    except StillWaiting:
        return _asked(page, kind, name, status=409)
    except Conflict as error:
        return page.back(home, page.told(error.text), kind="danger")
    said = (
        page._("%(name)s is switched off: what is for it is queued and waits.", name=name)
        if kind is Kind.SERVICE
        else page._("%(name)s is off: it matches nothing.", name=name)
    )
    done = {
        Waiting.CANCEL: page._("What waited is cancelled."),
        Waiting.BURY: page._("What waited is among the dead letters."),
    }
    return page.back(home, f"{said} {done[waiting]}" if waiting in done else said)


def where_asked(page: Page, kind: Kind, name: str) -> str:
    """Return where it is asked what becomes of what waits, where something does; else its own page."""
    home = f"/{_HOMES[kind]}/{name}"
    with page.desk.store.read() as conn:
        return f"{home}/disable" if count_waiting(conn, kind, name) else home


def _asked(page: Page, kind: Kind, name: str, *, status: int = 200) -> Response:
    kept = workshop.show(page.desk.hub, kind, name)
    with page.desk.store.read() as conn:
        owed = count_waiting(conn, kind, name)
    return page.show("switch_off.html", status=status, kept=kept, owed=owed, home=f"/{_HOMES[kind]}/{name}")
