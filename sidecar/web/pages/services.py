"""Services: how each fares, one service's page, and what is done to them by hand."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import PlainTextResponse, Response

from sidecar import workshop
from sidecar.bridge import byhand
from sidecar.model import CircuitState, DeliveryState
from sidecar.settings import Kind, Service
from sidecar.settings.source import child
from sidecar.store import audit, circuits, overview, shapes, tries
from sidecar.store.find import known
from sidecar.store.overview import Lot, Obstacle
from sidecar.store.search import Wanted, search
from sidecar.store.stats import Tally
from sidecar.store.trends import Point, Window
from sidecar.web.ask import ServiceName
from sidecar.web.pages import service_editor, service_words
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import HEADERS, Manage, Page, Tab, View
from sidecar.workshop import Conflict, Shown, Trial

router = APIRouter()
router.include_router(service_editor.router)

TAB = Tab(N_("Services"), "/services", "services")

_A_PAGE = 50
_LAST = 10
_DEED = "service.pause"
_STATES = ("well", "ill", "held")


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when a service is paused. `by` is nobody where it asked for that itself, with 410."""

    at: datetime | None = None
    by: str | None = None
    answered_gone: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One service as the list shows it. `line` is where it stands in the file."""

    lot: Lot
    service: Service | None
    tally: Tally
    counting: bool
    pause: Pause | None = None
    line: int | None = None
    shadows: bool = False

    @property
    def name(self) -> str:
        """Its name."""
        return self.lot.service

    @property
    def badge(self) -> tuple[str, str]:
        """Its state: the look and the word."""
        obstacle = self.lot.obstacle
        return service_words.OBSTACLES[obstacle] if obstacle else service_words.WELL

    @property
    def circuit(self) -> tuple[str, str]:
        """Its circuit's state: the look and the word."""
        return service_words.CIRCUITS[self.lot.circuit.state]

    @property
    def is_here(self) -> bool:
        """Whether it was made here, and can be changed here."""
        return self.service is not None and self.service.source == "here"

    @property
    def is_open(self) -> bool:
        """Whether its circuit can be reset."""
        return self.lot.circuit.state is not CircuitState.CLOSED

    def fits(self, text: str, state: str) -> bool:
        """Whether it is among those that are looked for."""
        url = self.service.base_url if self.service else ""
        ill = self.is_open or self.lot.obstacle in (Obstacle.BROKEN, Obstacle.CIRCUIT)
        kind = "ill" if ill else "held" if self.lot.obstacle else "well"
        return text.lower() in f"{self.name} {url}".lower() and state in ("", kind)


@router.get("/services")
def list_services(page: View, q: str = "", state: str = "", after: str = "") -> Response:
    """Show all services by name; the rows alone to htmx."""
    with page.desk.store.read() as conn:
        found = _lines(conn, page)
    fitting = [one for one in found if one.fits(q.strip(), state) and one.name > after]
    shown = fitting[:_A_PAGE]
    return page.show(
        "services_rows.html" if page.is_part else "services.html",
        lines=shown,
        any=bool(found),
        open=sum(one.is_open for one in found),
        q=q,
        state=state if state in _STATES else "",
        older=page.link(after=shown[-1].name) if len(fitting) > _A_PAGE else None,
        newest=page.link(after=None) if after else None,
        words=service_words,
    )


@router.get("/services/{name}")
def show_service(page: View, name: ServiceName, span: Window = Window.DAY) -> Response:
    """Show one service: how it fares, what waits for it, and how it is written."""
    desk = page.desk
    with desk.store.read() as conn:
        lines = {one.name: one for one in _lines(conn, page)}
        line = lines[known(name, lines, "service")]
        points = desk.fortunes.at(conn, now=page.now).series(span, name)
        attempts = tries.search(conn, tries.Wanted(service=name), limit=_LAST).rows
        waiting = search(conn, Wanted(service=name, state=DeliveryState.PENDING), limit=_LAST).rows
        resets = audit.find(conn, action="circuit.reset", thing=f"service {name}", limit=5)
    shown = _written(page, line)
    return page.show(
        "service.html",
        line=line,
        span=span,
        spans=[(one, page.link(span=one)) for one in Window],
        charts=_charts(points),
        attempts=attempts,
        waiting=waiting,
        resets=resets,
        rules=[rule for rule in desk.settings.rules if rule.service == name],
        options=sorted(_leaves(shapes.options(line.service) or {})),
        written=shown,
        yaml=workshop.export(desk.hub, Kind.SERVICE, name) if shown and page.may("manage") else None,
        words=service_words,
    )


@router.get("/services/{name}/export")
def export(page: Manage, name: ServiceName) -> Response:
    """Give the YAML for the file, with variables where secrets are."""
    text = workshop.export(page.desk.hub, Kind.SERVICE, name)
    saved_as = {"Content-Disposition": f'attachment; filename="{name}.yaml"'}
    return PlainTextResponse(text, 200, {**HEADERS, **saved_as})


@router.post("/services/{name}/pause")
def pause(page: Manage, name: ServiceName) -> Response:
    """Park its deliveries."""
    _switch(page, name, paused=True)
    return _back(page, page._("%(name)s is paused: what is for it waits.", name=name))


@router.post("/services/{name}/resume")
def resume(page: Manage, name: ServiceName) -> Response:
    """Send to it again."""
    _switch(page, name, paused=False)
    return _back(page, page._("%(name)s is sent to again, beginning with what waited.", name=name))


@router.post("/services/{name}/reset")
def reset(page: Manage, name: ServiceName) -> Response:
    """Close its circuit by hand."""
    _reset(page, [name])
    return _back(page, page._("The circuit of %(name)s is closed: what waited is sent now.", name=name))


@router.post("/services/-/reset-all")
def reset_all(page: Manage) -> Response:
    """Close all circuits by hand."""
    done = _reset(page, None)
    text = page.ngettext("%(n)s circuit is closed by hand.", "%(n)s circuits are closed by hand.", done)
    return _back(page, text if done else page._("All circuits were closed already."))


@router.post("/services/{name}/enable")
def enable(page: Manage, name: ServiceName) -> Response:
    """Switch a service made here on."""
    workshop.switch(page.desk.hub, Kind.SERVICE, name, on=True, by=page.author)
    return _back(page, page._("%(name)s is switched on.", name=name))


@router.post("/services/{name}/test")
async def test(page: Manage, name: ServiceName) -> Response:
    """Ask it once: REST by GET, a broker by logging in, SOAP by reading the WSDL. It counts nowhere."""
    loop = asyncio.get_running_loop()
    hub, by = page.desk.hub, page.author
    try:
        found = await loop.run_in_executor(
            page.desk.calls, lambda: workshop.try_service(hub, name, by=by, endpoint="")
        )
    except Conflict as conflict:
        return _back(page, page.told(conflict.text), kind="danger")
    if page.is_part:
        return page.show("service_trial.html", trial=found, problems={}, words=service_words)
    return _back(page, told(page, name, found), kind="success" if found.accepted else "warning")


def told(page: Page, name: str, found: Trial) -> str:
    """Return what came of a try in one sentence."""
    seen = found.attempt
    values = {
        "name": name,
        "ms": round(seen.latency_ms),
        "error": page.told(seen.error or str(seen.status or "")),
    }
    if found.accepted:
        return page._("%(name)s answered well, in %(ms)s ms.", **values)
    if found.reached:
        return page._("%(name)s is there, but refused this request: %(error)s", **values)
    return page._("%(name)s cannot be reached or is ill: %(error)s", **values)


def _lines(conn: Connection, page: Page) -> list[Line]:
    desk = page.desk
    wanted = desk.settings.services
    desk.owings.begin()
    fortune = desk.fortunes.at(conn, now=page.now)
    tallies, counting = fortune.summaries(Window.DAY), fortune.is_counting(Window.DAY)
    lots = overview.lots(conn, wanted, desk.owings.get)
    pauses = _pauses(conn, page, lots)
    return [
        Line(
            lot=lot,
            service=wanted.get(lot.service),
            tally=tallies.get(lot.service, Tally(lot.service)),
            counting=counting,
            pause=pauses.get(lot.service),
            line=_line_of(page, lot.service),
            shadows=_shadows(page, lot.service),
        )
        for lot in lots
    ]


def _pauses(conn: Connection, page: Page, lots: Iterable[Lot]) -> dict[str, Pause]:
    paused = [lot for lot in lots if lot.obstacle is Obstacle.PAUSED]
    things = {lot.service: f"service {lot.service}" for lot in paused if not lot.answered_gone}
    deeds = audit.last_of(conn, _DEED, things.values())
    who = page.may("manage")
    found = {lot.service: Pause(answered_gone=lot.answered_gone) for lot in paused}
    for name, thing in things.items():
        if row := deeds.get(thing):
            found[name] = Pause(row.done_at, row.who if who else None)
    return found


def _line_of(page: Page, name: str) -> int | None:
    desk = page.desk
    if desk.source is None or name in desk.settings.made.services:
        return None
    spot = desk.source.spots.get(child("services", name))
    return spot.line if spot else None


def _shadows(page: Page, name: str) -> bool:
    flaw = page.desk.settings.made.flaw(Kind.SERVICE, name)
    return flaw is not None and flaw.shadowed


def _written(page: Page, line: Line) -> Shown | None:
    if page.desk.source is None or line.service is None:
        return None
    return workshop.show(page.desk.hub, Kind.SERVICE, line.name)


def _switch(page: Page, name: str, *, paused: bool) -> None:
    with page.desk.store.write() as conn:
        byhand.switch(conn, page.desk.settings, name, paused=paused, now=page.now, by=page.author)
    page.desk.wake()


def _reset(page: Page, names: Iterable[str] | None) -> int:
    """Close circuits, all where none is named; return how many were not closed."""
    with page.desk.store.write() as conn:
        there = circuits.load_with(conn, page.desk.settings.services)
        for name in names or ():
            known(name, there, "service")
        wanted = list(there) if names is None else list(names)
        ill = [name for name in wanted if there[name].state is not CircuitState.CLOSED]
        done = circuits.reset(conn, ill, now=page.now)
        for name in ill:
            audit.note(conn, page.author, "circuit.reset", f"service {name}", now=page.now)
    page.desk.wake()
    return done


def _back(page: Page, text: str, *, kind: str = "success") -> Response:
    """Return to where the button was: the service's own page, or the list."""
    name = page.request.path_params.get("name")
    path = f"/services/{name}" if page.text("from") == "page" and name else "/services"
    return page.back(path, text, kind=kind)


def _charts(points: Sequence[Point]) -> Mapping[str, list[tuple[datetime, list[float | None]]]]:
    """Return the rows of both charts; none where nothing happened."""
    if not any(one.delivered or one.failed for one in points):
        return {}
    found: dict[str, list[tuple[datetime, list[float | None]]]] = {"tries": [], "latency": []}
    for one in points:
        found["tries"].append((one.begins_at, [one.delivered, one.failed]))
        found["latency"].append((one.begins_at, [one.p50_ms, one.p95_ms]))
    return found


def _leaves(found: Any, place: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(found, dict) and found:
        for name, value in found.items():
            yield from _leaves(value, child(place, str(name)))
    else:
        yield place, "–" if found in (None, "", [], {}, ()) else str(found)
