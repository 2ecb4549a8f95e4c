"""Services and rules are made, changed, switched, tried, exported and deleted."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from sidecar import workshop
from sidecar.settings import Kind
from sidecar.store.audit import Author
from sidecar.web.access import Manager, Visitor, author
from sidecar.web.ask import RuleName, ServiceName
from sidecar.web.desk import Desk, desk_of
from sidecar.web.fault import refusals
from sidecar.web.making_models import (
    Change,
    Deleted,
    Exported,
    Kept,
    NewRule,
    NewService,
    Tried,
    Try,
    Written,
)
from sidecar.workshop import Saved, Shown, Waiting

router = APIRouter()

AtDesk = Annotated[Desk, Depends(desk_of)]
OfRevision = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="Delete it only if it is still this revision")
]
HowWaiting = Annotated[
    Waiting | None,
    Query(description="What becomes of deliveries that wait: they stay, are never sent, or are dead letters"),
]
_CHANGED = refusals(403, 404, 409, 413, 415, 422, 503)
_SEEN = refusals(403, 404, 422, 503)


@router.post(
    "/services", tags=["Services"], summary="Make a service", response_model=Kept, responses=_CHANGED
)
def make_service(asked: NewService, visitor: Manager, desk: AtDesk) -> Any:
    """Make a service, in force at once in this process, in a few seconds in the others."""
    return _kept(workshop.save_service(desk.hub, asked.name, asked.definition, by=author(visitor)))


@router.put(
    "/services/{name}", tags=["Services"], summary="Change a service", response_model=Kept, responses=_CHANGED
)
def change_service(name: ServiceName, asked: Change, visitor: Manager, desk: AtDesk) -> Any:
    """Put a definition in place of the one that was seen. What stands in the file is changed there."""
    return _kept(
        workshop.save_service(desk.hub, name, asked.definition, by=author(visitor), revision=asked.revision)
    )


@router.delete(
    "/services/{name}",
    tags=["Services"],
    summary="Delete a service",
    response_model=Deleted,
    responses=_CHANGED,
)
def delete_service(
    name: ServiceName,
    visitor: Manager,
    desk: AtDesk,
    revision: OfRevision = None,
    waiting: HowWaiting = None,
) -> Any:
    """Delete a service and its secrets. While deliveries wait for it, `waiting` has to be said."""
    return _removed(desk, visitor, Kind.SERVICE, name, revision=revision, waiting=waiting)


@router.post(
    "/services/{name}/enable",
    tags=["Services"],
    summary="Enable a service",
    response_model=Kept,
    responses=_CHANGED,
)
def enable_service(name: ServiceName, visitor: Manager, desk: AtDesk) -> Any:
    """Send to it again."""
    return _kept(workshop.switch(desk.hub, Kind.SERVICE, name, on=True, by=author(visitor)))


@router.post(
    "/services/{name}/disable",
    tags=["Services"],
    summary="Disable a service",
    response_model=Kept,
    responses=_CHANGED,
)
def disable_service(name: ServiceName, visitor: Manager, desk: AtDesk, waiting: HowWaiting = None) -> Any:
    """Queue what is for it from now on and let it wait. While deliveries wait, `waiting` has to be said."""
    by = author(visitor)
    return _kept(workshop.switch(desk.hub, Kind.SERVICE, name, on=False, by=by, waiting=waiting))


@router.get(
    "/services/{name}/definition",
    tags=["Services"],
    summary="Show how a service is written",
    response_model=Written,
    responses=_SEEN,
)
def show_service_definition(name: ServiceName, _visitor: Manager, desk: AtDesk) -> Any:
    """Return its definition with stars for secrets, also that of a service of the file."""
    return _written(workshop.show(desk.hub, Kind.SERVICE, name))


@router.get(
    "/services/{name}/export",
    tags=["Services"],
    summary="Export a service",
    response_model=Exported,
    responses=_SEEN,
)
def export_service(name: ServiceName, _visitor: Manager, desk: AtDesk) -> Any:
    """Return it as YAML for the file, with variables where secrets are."""
    return {"yaml": workshop.export(desk.hub, Kind.SERVICE, name)}


@router.post(
    "/services/{name}/test",
    tags=["Services"],
    summary="Try a service",
    response_model=Tried,
    responses=_CHANGED,
)
async def test_service(name: ServiceName, asked: Try, visitor: Manager, desk: AtDesk) -> Any:
    """Ask it once: by GET or HEAD, a broker by logging in, SOAP by reading the WSDL. It counts nowhere."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(desk.calls, _tried, desk, name, asked, author(visitor))


@router.post("/rules", tags=["Rules"], summary="Make a rule", response_model=Kept, responses=_CHANGED)
def make_rule(asked: NewRule, visitor: Manager, desk: AtDesk) -> Any:
    """Make a rule, in force at once in this process, in a few seconds in the others."""
    return _kept(workshop.save_rule(desk.hub, asked.name, asked.definition, by=author(visitor)))


@router.put("/rules/{name}", tags=["Rules"], summary="Change a rule", response_model=Kept, responses=_CHANGED)
def change_rule(name: RuleName, asked: Change, visitor: Manager, desk: AtDesk) -> Any:
    """Put a definition in place of the one that was seen. What is queued already stays as it is."""
    return _kept(
        workshop.save_rule(desk.hub, name, asked.definition, by=author(visitor), revision=asked.revision)
    )


@router.delete(
    "/rules/{name}", tags=["Rules"], summary="Delete a rule", response_model=Deleted, responses=_CHANGED
)
def delete_rule(
    name: RuleName,
    visitor: Manager,
    desk: AtDesk,
    revision: OfRevision = None,
    waiting: HowWaiting = None,
) -> Any:
    """Delete a rule. While deliveries that it made wait, `waiting` has to be said; parked ones are sent."""
    return _removed(desk, visitor, Kind.RULE, name, revision=revision, waiting=waiting)


@router.post(
    "/rules/{name}/enable", tags=["Rules"], summary="Enable a rule", response_model=Kept, responses=_CHANGED
)
def enable_rule(name: RuleName, visitor: Manager, desk: AtDesk) -> Any:
    """Let it match from now on; what passed meanwhile is not made up for."""
    return _kept(workshop.switch(desk.hub, Kind.RULE, name, on=True, by=author(visitor)))


@router.post(
    "/rules/{name}/disable", tags=["Rules"], summary="Disable a rule", response_model=Kept, responses=_CHANGED
)
def disable_rule(name: RuleName, visitor: Manager, desk: AtDesk, waiting: HowWaiting = None) -> Any:
    """Let it match nothing. While deliveries that it made wait, `waiting` has to be said."""
    by = author(visitor)
    return _kept(workshop.switch(desk.hub, Kind.RULE, name, on=False, by=by, waiting=waiting))


@router.get(
    "/rules/{name}/definition",
    tags=["Rules"],
    summary="Show how a rule is written",
    response_model=Written,
    responses=_SEEN,
)
def show_rule_definition(name: RuleName, _visitor: Manager, desk: AtDesk) -> Any:
    """Return its definition, also that of a rule of the file."""
    return _written(workshop.show(desk.hub, Kind.RULE, name))


@router.get(
    "/rules/{name}/export",
    tags=["Rules"],
    summary="Export a rule",
    response_model=Exported,
    responses=_SEEN,
)
def export_rule(name: RuleName, _visitor: Manager, desk: AtDesk) -> Any:
    """Return it as YAML for the file."""
    return {"yaml": workshop.export(desk.hub, Kind.RULE, name)}


def _kept(saved: Saved) -> dict[str, Any]:
    return {
        "kind": saved.kind,
        "name": saved.name,
        "revision": saved.revision,
        "created": saved.created,
    }


def _written(shown: Shown) -> dict[str, Any]:
    return {
        "kind": shown.kind,
        "name": shown.name,
        "source": "file" if shown.revision is None else "here",
        "definition": shown.section,
        "revision": shown.revision,
        "updated_by": shown.updated_by,
        "updated_at": shown.updated_at,
        "flaw": shown.flaw,
        "shadowed": shown.shadowed,
    }


def _removed(
    desk: Desk, visitor: Visitor, kind: Kind, name: str, *, revision: int | None, waiting: Waiting | None
) -> dict[str, Any]:
    gone = workshop.remove(desk.hub, kind, name, by=author(visitor), revision=revision, waiting=waiting)
    return {"kind": gone.kind, "name": gone.name, "waiting": gone.waiting}


def _tried(desk: Desk, name: str, asked: Try, by: Author) -> dict[str, Any]:
    found = workshop.try_service(desk.hub, name, by=by, method=asked.method, endpoint=asked.endpoint)
    seen = found.attempt
    return {
        "reached": found.reached,
        "accepted": found.accepted,
        "outcome": seen.outcome,
        "status": seen.status,
        "error": seen.error,
        "latency_ms": round(seen.latency_ms, 1),
        "response": seen.response,
    }
