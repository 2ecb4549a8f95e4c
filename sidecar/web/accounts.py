"""Is anything missing, and replays from Moodle's log: the ledger to read, replays to begin and steer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sidecar.bridge.account import Became
from sidecar.bridge.ledger import Asked, ledger
from sidecar.bridge.planned import NotReplayable, Wanted, begin, counted, found, planned, switched
from sidecar.bridge.sources import Sources
from sidecar.errors import NotFound
from sidecar.store import replays
from sidecar.store.faults import blame
from sidecar.store.replays import Replay, ReplayState
from sidecar.web import models
from sidecar.web.access import Manager, Viewer, Visitor, author
from sidecar.web.ask import Moment, NameText, Number, OneRule, Paged, Since, Until
from sidecar.web.desk import Desk, desk_of
from sidecar.web.fault import Fault, refusals

router = APIRouter(tags=["Ledger and replays"])

_LONGEST_S = 20.0
_COUNTING_S = 10.0
_DAY = timedelta(hours=24)
_MOST_NAMED = 1_000
_LARGEST = 2**63 - 1

AtDesk = Annotated[Desk, Depends(desk_of)]


class MissingRow(BaseModel):
    """A row that a rule wants and of which nothing is known."""

    rule: str
    log_id: int
    hour: datetime
    delivery_id: str


class Cell(BaseModel):
    """What became of the rows that one rule names, written in one hour."""

    hour: datetime
    rule: str
    rows: int
    by_count: bool = Field(description="Deliveries of then may have been pruned: compared by count")
    counts: Mapping[Became, int]


class LedgerShown(BaseModel):
    """Every row of some hours that a rule names, and what became of it."""

    since: datetime
    until: datetime
    position: int | None = Field(description="The cursor's, when this was begun")
    unaccounted: int
    missing: Sequence[MissingRow] = Field(description="The first 1,000 of them")
    short: Mapping[str, int] = Field(description="By rule: what the hourly counts lack, which has no ids")
    gap_ids: int = Field(description="Ids below the cursor that may still appear")
    hours: Sequence[Cell]
    in_force_since: datetime | None = Field(
        description="Since when rules are noted; before nothing is counted"
    )
    stopped_at: int | None = Field(
        description="It took too long: rows up to this id were read; null: all were"
    )


class NewReplay(BaseModel):
    """Which rows to replay, by which rule, how fast."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"rule": "new-user", "ids": "4711-4720", "count": 10}]},
    )

    rule: NameText
    ids: str | None = Field(default=None, max_length=10_000, description="1,2,5-9")
    from_id: int | None = Field(default=None, ge=1, le=_LARGEST)
    to_id: int | None = Field(default=None, ge=1, le=_LARGEST, description="Inside, too")
    since: Moment | None = Field(default=None, description="Rows of this time or later")
    until: Moment | None = Field(default=None, description="Rows before this time")
    rate: float | None = Field(default=None, ge=0.01, le=10_000, description="So many a second at most")
    again: bool = Field(default=False, description="Also what was delivered: it is sent once more")
    dry_run: bool = Field(default=False, description="Only count; nothing is begun")

    @model_validator(mode="after")
    def _one_range(self) -> Self:
        begins = [one for one in (self.ids, self.from_id, self.since) if one is not None]
        ends = [one for one in (self.ids, self.to_id, self.until) if one is not None]
        if len(begins) != 1 or len(ends) > 1:
            raise ValueError("name which rows: ids; or from_id or since, with or without to_id or until")
        return self

    @property
    def wanted(self) -> Wanted:
        """The same, as the bridge is asked."""
        begins = self.since if self.from_id is None else self.from_id
        ends = self.until if self.to_id is None else self.to_id
        return Wanted(self.rule, self.ids, begins, ends, self.rate, self.again)


class ReplayShown(BaseModel):
    """A replay from Moodle's log."""

    id: int = Field(description="0: a dry run")
    state: ReplayState
    rule: str
    ids: str
    event_since: datetime | None
    event_until: datetime | None
    again: bool
    rate: float | None
    expected: int = Field(
        description="Rows of the rule's events, before columns and conditions are looked at"
    )
    position: int
    looked_at: int
    queued: int
    known: int = Field(description="Left out: the queue or the request log has them")
    filtered: int
    dead: int
    problem: str | None
    created_by: str
    created_at: datetime
    finished_at: datetime | None


@router.get(
    "/ledger", summary="Account for every row", response_model=LedgerShown, responses=refusals(404, 422, 503)
)
def show_ledger(
    _visitor: Viewer, desk: AtDesk, rule: OneRule = None, since: Since = None, until: Until = None
) -> Any:
    """Return what became of every row of Moodle's log that a rule names, by default of the last day.

    Reads for 20 seconds at most; `stopped_at` then says how far.
    """
    if rule is not None and rule not in {one.rule.name for one in desk.book.all}:
        raise NotFound(f'There is no rule "{rule}".')
    asked = Asked(since or desk.now - _DAY, until, rule, _LONGEST_S)
    with blame(f"moodle.url ({desk.moodle.shown})"):
        account = ledger(_sources(desk), asked)
    return {
        "since": account.since,
        "until": account.until,
        "position": account.position,
        "unaccounted": account.unaccounted,
        "missing": [asdict(one) for one in account.missing[:_MOST_NAMED]],
        "short": account.short,
        "gap_ids": sum(account.gap_ids.values()),
        "hours": [
            {
                "hour": line.hour,
                "rule": line.rule,
                "rows": line.rows,
                "by_count": line.by_count,
                "counts": line.counts,
            }
            for line in account.lines
        ],
        "in_force_since": account.in_force_since,
        "stopped_at": account.stopped_at,
    }


@router.get(
    "/replays", summary="List replays", response_model=models.Page[ReplayShown], responses=refusals(422, 503)
)
def list_replays(_visitor: Viewer, desk: AtDesk, at: Paged) -> Any:
    """Return replays from Moodle's log, the newest first."""
    with desk.store.read() as conn:
        some = replays.find(conn, desk.settings.site, before=at.before, limit=at.limit)
    return {"items": [_shown(one) for one in some], "next": at.next_after([one.id for one in some])}


@router.get(
    "/replays/{number}",
    summary="Show a replay",
    response_model=ReplayShown,
    responses=refusals(404, 422, 503),
)
def show_replay(number: Number, _visitor: Viewer, desk: AtDesk) -> Any:
    """Return one replay: how far it is."""
    return _shown(found(desk.store, number))


@router.post(
    "/replays",
    summary="Begin a replay",
    response_model=ReplayShown,
    responses=refusals(403, 404, 413, 415, 422, 503),
)
def begin_replay(wish: NewReplay, visitor: Manager, desk: AtDesk) -> Any:
    """Deliver rows of Moodle's log by a rule, also from before the sidecar was there; live ones pass them.

    With `dry_run` only counted: the answer has the id 0. Age holds nothing back that is asked for by name.
    """
    sources, by = _sources(desk), author(visitor)
    with blame(f"moodle.url ({desk.moodle.shown})"):
        try:
            plan = planned(sources, desk.book, wish.wanted, by)
        except NotReplayable as error:
            raise Fault(422, "bad_input", str(error), "Name other rows or another rule.") from None
        plan = replace(plan, expected=counted(sources, desk.book, plan, seconds=_COUNTING_S).rows)
    return _shown(plan if wish.dry_run else found(desk.store, begin(desk.store, plan, by)))


@router.post(
    "/replays/{number}/pause",
    summary="Pause a replay",
    response_model=ReplayShown,
    responses=refusals(403, 404, 409, 422, 503),
)
def pause_replay(number: Number, visitor: Manager, desk: AtDesk) -> Any:
    """Queue no more of it; what is queued is sent."""
    return _switched(desk, number, ReplayState.PAUSED, visitor)


@router.post(
    "/replays/{number}/resume",
    summary="Resume a replay",
    response_model=ReplayShown,
    responses=refusals(403, 404, 409, 422, 503),
)
def resume_replay(number: Number, visitor: Manager, desk: AtDesk) -> Any:
    """Go on where it was."""
    return _switched(desk, number, ReplayState.RUNNING, visitor)


@router.post(
    "/replays/{number}/cancel",
    summary="Cancel a replay",
    response_model=ReplayShown,
    responses=refusals(403, 404, 409, 422, 503),
)
def cancel_replay(number: Number, visitor: Manager, desk: AtDesk) -> Any:
    """End it for good; what is queued is sent."""
    return _switched(desk, number, ReplayState.CANCELLED, visitor)


def _switched(desk: Desk, number: int, to: ReplayState, visitor: Visitor) -> Any:
    return _shown(switched(desk.store, number, to, author(visitor), now=desk.now))


def _sources(desk: Desk) -> Sources:
    return Sources(desk.moodle, desk.store, desk.log, desk.settings, desk.clock)


def _shown(one: Replay) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ReplayShown.model_fields}
