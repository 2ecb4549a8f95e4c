"""Rules tried without sending anything: on one row of the log, or on all of the last days."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from sidecar.bridge.history import Bounds, History, history, last
from sidecar.bridge.match import CompiledRule, compile_one
from sidecar.bridge.preview import find_event, preview
from sidecar.bridge.render import BrokenRule
from sidecar.errors import ConfigError
from sidecar.settings.draft import draft_rule
from sidecar.store.find import known
from sidecar.web import explored
from sidecar.web.access import Manager, Viewer
from sidecar.web.ask import NameText, RuleName
from sidecar.web.desk import Desk, desk_of
from sidecar.web.explore import shape
from sidecar.web.fault import Fault, refusals

router = APIRouter(tags=["Rules"])

_LARGEST = 2**63 - 1
_EXAMPLE = {"name": "new-user", "event": r"\core\event\user_created", "service": "crm", "endpoint": "/users"}

AtDesk = Annotated[Desk, Depends(desk_of)]
Days = Annotated[float, Query(gt=0, le=31, description="How far back")]
Seconds = Annotated[float, Query(gt=0, le=30, description="How long it may take")]


class Tried(BaseModel):
    """Which rule: one in force by its name, or the values of one that stands nowhere yet."""

    model_config = ConfigDict(extra="forbid")

    rule: NameText | None = Field(default=None, description="Name of a rule of the configuration")
    draft: Mapping[str, Any] | None = Field(
        default=None, description="A rule as it would stand in the file", examples=[_EXAMPLE]
    )


class Trial(Tried):
    """A rule, and the row to try it on."""

    log_id: int | None = Field(
        default=None, ge=0, le=_LARGEST, description="A row of the log; null: the newest of its events"
    )


class Look(Tried):
    """A rule, and how far to look back."""

    days: float = Field(default=7, gt=0, le=31, description="How far back")
    seconds: float = Field(default=10, gt=0, le=30, description="How long it may take")


@router.post(
    "/preview",
    summary="Try a rule on one row",
    response_model=explored.Preview,
    responses=refusals(403, 404, 413, 415, 422, 503),
)
def try_rule(trial: Trial, visitor: Manager, desk: AtDesk) -> Any:
    """Return whether a rule matches a row, and the request as it would go out. Nothing is sent."""
    compiled = _compiled(desk, trial)
    with desk.reading() as conn:
        event = find_event(conn, desk.log, compiled.rule, trial.log_id)
        found = preview(conn, desk.settings, compiled, event, clock=desk.clock)
    shown = shape(found.event, visitor) if found.event else None
    fields = explored.Preview.model_fields.keys() - {"event"}
    return {"event": shown, **{name: getattr(found, name) for name in fields}}


@router.post(
    "/history",
    summary="Try a rule on the last days",
    response_model=explored.History,
    responses=refusals(403, 404, 413, 415, 422, 503),
)
def try_days(look: Look, _visitor: Manager, desk: AtDesk) -> Any:
    """Return how often a rule would have matched, by the hour, as far as it got in time."""
    return _looked(desk, _compiled(desk, look), look.days, look.seconds)


@router.get(
    "/rules/{name}/history",
    summary="Try a rule in force on the last days",
    response_model=explored.History,
    responses=refusals(404, 422, 503),
)
def look_back(name: RuleName, _visitor: Viewer, desk: AtDesk, days: Days = 7, seconds: Seconds = 10) -> Any:
    """Return how often it would have matched, by the hour, as far as it got in time."""
    return _looked(desk, _of_book(desk, name), days, seconds)


def _compiled(desk: Desk, tried: Tried) -> CompiledRule:
    if (tried.rule is None) == (tried.draft is None):
        raise Fault(422, "bad_input", "body: name a `rule`, or give a `draft`.", "GET /api/docs says how.")
    if tried.rule is not None:
        return _of_book(desk, tried.rule)
    assert tried.draft is not None
    try:
        return compile_one(draft_rule(tried.draft, desk.settings.services), desk.settings)
    except (ConfigError, BrokenRule) as error:
        raise Fault(422, "bad_rule", str(error), "Mend what the message names and try again.") from None


def _of_book(desk: Desk, name: str) -> CompiledRule:
    rules = {item.rule.name: item for item in desk.book.all}
    return rules[known(name, rules, "rule")]


def _looked(desk: Desk, compiled: CompiledRule, days: float, seconds: float) -> dict[str, Any]:
    bounds = Bounds(span=timedelta(days=days), seconds=seconds)
    with desk.reading() as conn:
        pieces = history(conn, desk.settings, compiled, log=desk.log, clock=desk.clock, bounds=bounds)
        return _shape(last(pieces))


def _shape(found: History) -> dict[str, Any]:
    hours = [{"hour": hour, "counts": counts} for hour, counts in found.hours.items()]
    fields = ("since", "back_to", "stopped", "rows", "totals")
    return {**{name: getattr(found, name) for name in fields}, "hours": hours}
