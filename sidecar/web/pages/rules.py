"""Rules: what each did lately, one rule's page, and its switch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from sidecar import workshop
from sidecar.model import Held
from sidecar.settings import Kind, Settings, Source
from sidecar.store import counts, pile, rules, shapes
from sidecar.store.find import known
from sidecar.store.search import Wanted, search
from sidecar.web.ask import RuleName
from sidecar.web.pages import rule_editor, rule_trials, rule_words
from sidecar.web.pages.ending import chosen, switched_off
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Manage, Page, Tab, View
from sidecar.web.pages.rule_words import COUNTED
from sidecar.workshop import BadDefinition, Conflict, StillWaiting

router = APIRouter()
router.include_router(rule_editor.router)

TAB = Tab(N_("Rules"), "/rules", "rules")

_A_PAGE = 100
_DAY = timedelta(hours=24)
_HOUR = timedelta(hours=1)
_CHART = timedelta(days=7)
_LAST = 10
_FILTERED = (Held.WHERE, Held.WHEN, Held.TOO_OLD)
_STATES = ("off", "shadow", "on")


@dataclass(frozen=True, slots=True)
class Line:
    """One rule as the list shows it. `counted` has what became of its rows in 24 hours."""

    name: str
    events: tuple[str, ...]
    service: str
    state: str
    remark: str
    is_here: bool
    line: int | None
    counted: Mapping[str, int]

    @property
    def filtered(self) -> int:
        """How many rows had its event and were held back."""
        return sum(self.counted.get(what, 0) for what in _FILTERED)

    def fits(self, text: str, state: str) -> bool:
        """Whether it is among those that are looked for."""
        shown = " ".join((self.name, self.service, *self.events)).lower()
        return text.lower() in shown and state in ("", self.state)


@router.get("/rules")
def list_rules(page: View, q: str = "", state: str = "", after: str = "") -> Response:
    """Show all rules by name."""
    found = _lines(page)
    fitting = [one for one in found if one.fits(q, state) and one.name > after]
    shown = fitting[:_A_PAGE]
    older = page.link(after=shown[-1].name) if len(fitting) > _A_PAGE else None
    newest = page.link(after=None) if after else None
    return page.show(
        "rules.html",
        lines=shown,
        any=bool(found),
        q=q,
        state=state,
        older=older,
        newest=newest,
        words=rule_words,
    )


@router.get("/rules/{name}")
def show_rule(page: View, name: RuleName) -> Response:
    """Show one rule: how it is written, what it did, and for those who manage what it makes of a row."""
    return _shown(page, name)


@router.get("/rules/{name}/history")
def look_back(page: View, name: RuleName, seconds: float = 8) -> Response:
    """Count how often a rule in force would have matched in the last days, as a part or a page."""
    compiled = rule_trials.of_book(page.desk, name)
    return rule_trials.show_history(page, compiled, seconds, name=name)


@router.get("/rules/{name}/preview")
def try_row(page: Manage, name: RuleName, log_id: str = "") -> Response:
    """Try a rule in force on a row of the log, as a part or a page."""
    return rule_trials.show_preview(page, rule_trials.of_book(page.desk, name), log_id, name=name)


@router.post("/rules/{name}/state")
def set_state(page: Manage, name: RuleName) -> Response:
    """Switch a rule made here."""
    state = page.text("state")
    if state not in _STATES:
        return page.back(f"/rules/{name}", page._("Choose off, shadow or on."), kind="danger")
    if state == "off":
        return switched_off(page, Kind.RULE, name)
    kept = workshop.show(page.desk.hub, Kind.RULE, name)
    section = {key: value for key, value in kept.section.items() if key not in ("state", "enabled")}
    wanted = section if state == "on" else {**section, "state": state}
    try:
        workshop.save_rule(page.desk.hub, name, wanted, by=page.author, revision=kept.revision)
    except (BadDefinition, Conflict) as error:
        return page.back(f"/rules/{name}", page.told(error.text), kind="danger")
    said = {
        "on": page._("%(name)s is on: what happens from now on is delivered.", name=name),
        "shadow": page._("%(name)s is in the shadow: it counts, and sends nothing.", name=name),
    }
    return page.back(f"/rules/{name}", said[state])


@router.post("/rules/{name}/delete")
def delete(page: Manage, name: RuleName) -> Response:
    """Delete a rule made here."""
    try:
        workshop.remove(page.desk.hub, Kind.RULE, name, by=page.author, waiting=chosen(page))
    except StillWaiting as error:
        text = page.ngettext(
            "%(n)s delivery of this rule waits: say below what becomes of it.",
            "%(n)s deliveries of this rule wait: say below what becomes of them.",
            error.count,
        )
        return page.back(f"/rules/{name}#delete", text, kind="warning")
    except Conflict as error:
        return page.back(f"/rules/{name}", page.told(error.text), kind="danger")
    return page.back("/rules", page._("The rule %(name)s is deleted.", name=name))


def _lines(page: Page) -> list[Line]:
    desk, settings = page.desk, page.desk.settings
    versions = desk.versions()
    with desk.store.read() as conn:
        rows = rules.all_rows(conn)
        tally = counts.totals(conn, since=page.now - _DAY)
    counted: dict[str, dict[str, int]] = {}
    for rule, what, n in tally:
        counted.setdefault(rule, {})[what] = n
    written = {rule.name: (rule, versions[rule.name]) for rule in settings.rules}
    places = _places(settings, desk.source)
    views = shapes.rules(rows, written, settings.made)
    return [_line(page, view, places, counted.get(view["name"], {})) for view in views]


def _line(page: Page, view: shapes.View, places: Mapping[str, int], counted: Mapping[str, int]) -> Line:
    broken = view["in_force"].startswith("broken")
    state = "broken" if broken else view["state"] or "gone"
    remarks = {
        "not yet": N_("comes into force in a moment"),
        "not yet switched off": N_("is switched off in a moment"),
        "an older version": N_("its older version is still in force"),
    }
    late = remarks.get(view["in_force"])
    return Line(
        name=view["name"],
        events=tuple(view["event"]),
        service=view["service"],
        state=state,
        remark=page._(late) if late else "",
        is_here=view["source"] == "here",
        line=places.get(view["name"]),
        counted=counted,
    )


def _places(settings: Settings, source: Source | None) -> dict[str, int]:
    """Return the line of each rule of the file."""
    if source is None:
        return {}
    spots = {rule.name: source.spots.get(f"rules[{at}]") for at, rule in enumerate(settings.rules)}
    return {name: spot.line for name, spot in spots.items() if spot and name not in settings.made.rules}


def _shown(page: Page, name: str) -> Response:
    lines = {one.name: one for one in _lines(page)}
    line = lines[known(name, lines, "rule")]
    desk = page.desk
    rule = next((one for one in desk.settings.rules if one.name == name), None)
    made = desk.source is not None and (rule is not None or line.is_here)
    with desk.store.read() as conn:
        series, hours = rule_words.charted(COUNTED, _hours(conn, name, page.now))
        done: dict[str, Any] = {
            "deliveries": search(conn, Wanted(rule=name), limit=_LAST).rows,
            "letters": pile.search(conn, pile.Choice(rule=name), limit=_LAST).rows,
        }
    manages = page.may("manage")
    return page.show(
        "rule.html",
        line=line,
        rule=rule,
        version=desk.versions().get(name),
        kept=workshop.show(desk.hub, Kind.RULE, name) if made else None,
        yaml=workshop.export(desk.hub, Kind.RULE, name) if made and manages else None,
        flaw=desk.settings.made.flaw(Kind.RULE, name),
        words=rule_words,
        series=[page._(text) for text in series],
        hours=hours,
        **done,
    )


def _hours(conn: Connection, name: str, now: datetime) -> dict[datetime, Mapping[str, int]]:
    """Return what became of its rows in each of the last hours; nothing where there was none."""
    first = now.replace(minute=0, second=0, microsecond=0) - _CHART + _HOUR
    found = counts.by_hour(conn, name, since=first)
    hours = [first + number * _HOUR for number in range(int(_CHART / _HOUR))]
    return {hour: found.get(hour, {}) for hour in hours} if found else {}
