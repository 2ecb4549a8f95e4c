"""Services, their circuits, the rules, and how everything stands."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from sidecar.bridge import byhand
from sidecar.store import audit, circuits, counts, find, overview, rules, shapes, trends
from sidecar.store.find import known
from sidecar.web import models
from sidecar.web.access import Manager, Viewer, Visitor, author
from sidecar.web.ask import OneService, OneSpan, RuleName, ServiceName
from sidecar.web.desk import Desk, desk_of
from sidecar.web.fault import refusals

router = APIRouter()

AtDesk = Annotated[Desk, Depends(desk_of)]


@router.get(
    "/status",
    tags=["Status"],
    summary="Say how things stand",
    response_model=models.Status,
    responses=refusals(503),
)
def show_status(_visitor: Viewer, desk: AtDesk) -> Any:
    """Return everything on one page, as `mih status --json` does."""
    with desk.store.read() as conn:
        return shapes.overview(overview.look(conn, desk.settings, now=desk.now))


@router.get(
    "/stats",
    tags=["Status"],
    summary="Say how services fared",
    response_model=models.Stats,
    responses=refusals(404, 422, 503),
)
def show_stats(
    _visitor: Viewer, desk: AtDesk, service: OneService = None, span: OneSpan = trends.Window.DAY
) -> Any:
    """Return rates and latencies of each service, and the points of a chart: of all, or of one `service`."""
    now = desk.now
    with desk.store.read() as conn:
        found = trends.summaries(conn, span, now=now)
        if service is not None and service not in found:
            find.known_filter(conn, desk.settings, service=service, rule=None)
        points = trends.series(conn, span, now=now, service=service)
    return shapes.stats(span, [one for one in found.values() if service in {None, one.service}], points)


@router.get(
    "/services",
    tags=["Services"],
    summary="List services",
    response_model=models.Items[models.Service],
    responses=refusals(503),
)
def list_services(_visitor: Viewer, desk: AtDesk) -> Any:
    """Return all services of the configuration, and those gone from it that are still owed something."""
    wanted = desk.settings.services
    with desk.store.read() as conn:
        lots = overview.lots(conn, wanted)
    return {"items": [shapes.service(lot, wanted.get(lot.service)) for lot in lots]}


@router.get(
    "/services/{name}",
    tags=["Services"],
    summary="Show one service",
    response_model=models.ServiceDetail,
    responses=refusals(404, 422, 503),
)
def show_service(name: ServiceName, _visitor: Viewer, desk: AtDesk) -> Any:
    """Return one service with its settings; secrets are stars."""
    wanted = desk.settings.services
    with desk.store.read() as conn:
        lots = {lot.service: lot for lot in overview.lots(conn, wanted)}
    lot = lots[known(name, lots, "service")]
    return {**shapes.service(lot, wanted.get(name)), "settings": shapes.options(wanted.get(name))}


@router.post(
    "/services/{name}/pause",
    tags=["Services"],
    summary="Pause a service",
    response_model=models.Switched,
    responses=refusals(403, 404, 422, 503),
)
def pause_service(name: ServiceName, visitor: Manager, desk: AtDesk) -> Any:
    """Park its deliveries: none is dropped, no try is spent."""
    return _switched(desk, name, visitor, paused=True)


@router.post(
    "/services/{name}/resume",
    tags=["Services"],
    summary="Resume a service",
    response_model=models.Switched,
    responses=refusals(403, 404, 422, 503),
)
def resume_service(name: ServiceName, visitor: Manager, desk: AtDesk) -> Any:
    """Send to a paused service again, beginning with what was parked."""
    return _switched(desk, name, visitor, paused=False)


@router.get(
    "/circuits",
    tags=["Circuits"],
    summary="List circuits",
    response_model=models.Items[models.Circuit],
    responses=refusals(503),
)
def list_circuits(_visitor: Viewer, desk: AtDesk) -> Any:
    """Return the circuit breakers, one a service."""
    with desk.store.read() as conn:
        found = circuits.load_with(conn, desk.settings.services)
    return {"items": [shapes.circuit(one) for one in found.values()]}


@router.post(
    "/circuits/{name}/reset",
    tags=["Circuits"],
    summary="Close a circuit by hand",
    response_model=models.Circuit,
    responses=refusals(403, 404, 422, 503),
)
def reset_circuit(name: ServiceName, visitor: Manager, desk: AtDesk) -> Any:
    """Send what is parked at once, and count failures from zero."""
    with desk.store.write() as conn:
        known(name, circuits.load_with(conn, desk.settings.services), "service")
        circuits.reset(conn, [name], now=desk.now)
        audit.note(conn, author(visitor), "circuit.reset", f"service {name}", now=desk.now)
        found = circuits.load_with(conn, desk.settings.services)[name]
    desk.wake()
    return shapes.circuit(found)


@router.get(
    "/rules",
    tags=["Rules"],
    summary="List rules",
    response_model=models.Items[models.Rule],
    responses=refusals(503),
)
def list_rules(_visitor: Viewer, desk: AtDesk) -> Any:
    """Return all rules of the configuration, and whether they are in force."""
    return {"items": _rules(desk)}


@router.get(
    "/rules/{name}",
    tags=["Rules"],
    summary="Show one rule",
    response_model=models.RuleDetail,
    responses=refusals(404, 422, 503),
)
def show_rule(name: RuleName, visitor: Viewer, desk: AtDesk) -> Any:
    """Return one rule, what it came to in the last 24 hours, and with the role `manage` its definition."""
    found = {row["name"]: row for row in _rules(desk)}
    view = found[known(name, found, "rule")]
    with desk.store.read() as conn:
        tally = counts.totals(conn, since=desk.now - timedelta(hours=24))
    written = next((rule for rule in desk.settings.rules if rule.name == name), None)
    definition = written.model_dump(mode="json") if written and visitor.may("manage") else None
    return {
        **view,
        "last_24h": {what: n for rule, what, n in tally if rule == name},
        "definition": definition,
    }


def _rules(desk: Desk) -> list[shapes.View]:
    versions = desk.versions()
    with desk.store.read() as conn:
        rows = rules.all_rows(conn)
    written = {rule.name: (rule, versions[rule.name]) for rule in desk.settings.rules}
    return shapes.rules(rows, written, desk.settings.made)


def _switched(desk: Desk, name: str, visitor: Visitor, *, paused: bool) -> dict[str, Any]:
    with desk.store.write() as conn:
        byhand.switch(conn, desk.settings, name, paused=paused, now=desk.now, by=author(visitor))
        obstacle = overview.obstacles(conn, desk.settings.services, {name: None}).get(name)
    desk.wake()
    return {"service": name, "paused": paused, "obstacle": obstacle}
