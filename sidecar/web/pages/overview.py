"""Overview: whether all is right, in words and in figures, and where to look if it is not."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from sidecar.store.overview import Overview, look
from sidecar.store.stats import Tally
from sidecar.store.trends import Point, Window
from sidecar.store.verdict import judge
from sidecar.web.lately import Fortune
from sidecar.web.pages.asking import Asked
from sidecar.web.pages.glance import HEIGHT, WIDTH, lines_of
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Page, Tab, View
from sidecar.web.pages.spoken import spoken

router = APIRouter()

TAB = Tab(N_("Overview"), "/", "overview")

_STEPS: Mapping[Window, str] = {
    Window.HOUR: N_("Tries per minute"),
    Window.DAY: N_("Tries per 10 minutes"),
    Window.WEEK: N_("Tries per hour"),
    Window.MONTH: N_("Tries per 6 hours"),
}


@router.get("/")
def overview(page: View) -> Response:
    """Show how things stand; to htmx the figures alone, or with `part=charts` the charts alone."""
    asked = Asked(page)
    window = asked.word("span", Window) or Window.DAY
    only_charts = page.is_part and asked["part"] == "charts"
    if not only_charts:
        page.desk.owings.begin()
    with page.desk.store.read() as conn:
        fortune = page.desk.fortunes.at(conn, now=page.now)
        # The charts before the figures, for which what is owed is being counted beside.
        charts = _charts(fortune, page, asked, window) if only_charts or not page.is_part else {}
        if only_charts:
            return page.show("overview_charts.html", **charts)
        values = _figures(conn, fortune, page, window)
    if page.is_part:
        return page.show("overview_live.html", seen=asked["seen"], **values)
    return page.show(
        "overview.html",
        status=422 if asked.problems else 200,
        problems=asked.problems,
        **values | charts,
    )


def _figures(conn: Connection, fortune: Fortune, page: Page, window: Window) -> dict[str, Any]:
    tallies, steps = fortune.summaries(window), fortune.sparks(window)
    counting = fortune.is_counting(window)
    found = look(conn, page.desk.settings, now=page.now, owed=page.desk.owings.get)
    return {
        "found": found,
        "verdict": spoken(judge(found), page.language),
        "lines": lines_of(found.lots, tallies, steps),
        "whole": _sum(tallies.values()),
        "counting": counting,
        "window": window,
        "spans": list(Window),
        "box": (WIDTH, HEIGHT),
        "first_steps": _first_steps(page, found, counted=bool(tallies) or counting),
        "dead": sum(n for _, _, n in found.letters),
        "waiting": sum(lot.pending + lot.sending for lot in found.lots),
        "parked": sum(lot.parked for lot in found.lots),
        "paths": {tab.path for tab in page.tabs},
    }


def _charts(fortune: Fortune, page: Page, asked: Asked, window: Window) -> dict[str, Any]:
    tallies = fortune.summaries(window)
    names = sorted({*tallies, *page.desk.settings.services})
    service = asked["service"] if asked["service"] in names else _busiest(tallies)
    deaths = fortune.dead_per_hour()
    return {
        "tries_caption": page._(_STEPS[window]),
        "points": [(one.begins_at, [one.delivered, one.failed]) for one in _points(fortune, page, window)],
        "latencies": [
            (one.begins_at, [one.p50_ms, one.p95_ms])
            for one in (_points(fortune, page, window, service) if service else ())
        ],
        "deaths": [(at, [n]) for at, n in deaths],
        "service": service,
        "counting": fortune.is_counting(window),
        "names": names,
        "window": window,
        "charts_link": page.link(part="charts", span=window, service=service or None),
    }


def _points(fortune: Fortune, page: Page, window: Window, service: str | None = None) -> list[Point]:
    """Return the points of a chart without the step that is not over: it would look like a fall."""
    found = fortune.series(window, service)
    return [one for one in found if one.begins_at + window.step <= page.now]


def _busiest(tallies: Mapping[str, Tally]) -> str:
    return max(tallies, key=lambda name: tallies[name].tries, default="")


def _sum(tallies: Iterable[Tally]) -> Tally:
    """Add up the counts; latencies of different services say nothing together."""
    found = list(tallies)
    return Tally("", sum(one.delivered for one in found), sum(one.failed for one in found))


def _first_steps(page: Page, found: Overview, *, counted: bool) -> str:
    """Return what is to be done first where nothing was delivered yet: service, rule, event, or nothing."""
    settings = page.desk.settings
    if not settings.services:
        return "service"
    if not settings.rules:
        return "rule"
    owed = any(lot.pending or lot.sending or lot.dead for lot in found.lots)
    return "" if counted or owed or found.letters else "event"
