"""Moodle's log to look at: its rows, the kinds of events in it, and the fields that these have."""

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from sidecar.bridge.browse import Wanted, browse, interests
from sidecar.errors import NotFound
from sidecar.model import Event
from sidecar.moodle.decode import decode, mask
from sidecar.moodle.seen import fields_of
from sidecar.web import explored
from sidecar.web.access import Viewer, Visitor
from sidecar.web.ask import NO_NUL, Number, Paged, Since, Until
from sidecar.web.desk import Desk, desk_of
from sidecar.web.fault import Fault, refusals

router = APIRouter(tags=["Events"])

_LARGEST = 2**63 - 1
_MOST_NAMES = 1_000

AtDesk = Annotated[Desk, Depends(desk_of)]
Name = Annotated[str, Query(min_length=1, max_length=255, pattern=NO_NUL, description="Its whole name")]


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of the log: those that match everything that is named."""

    event: Annotated[
        str | None,
        Query(max_length=255, pattern=NO_NUL, description="A name, a pattern with *, or a part of a name"),
    ] = None
    user: Annotated[
        int | None, Query(ge=0, le=_LARGEST, description="Whose doing; needs the role manage")
    ] = None
    course: Annotated[int | None, Query(ge=0, le=_LARGEST, description="Id of a course")] = None
    since: Since = None
    until: Until = None

    @property
    def wanted(self) -> Wanted:
        """The same, as the log is asked."""
        return Wanted(self.event, self.user, self.course, self.since, self.until)


OfRows = Annotated[Rows, Depends()]


@router.get(
    "/events",
    summary="List rows of Moodle's log",
    response_model=explored.EventPage,
    responses=refusals(403, 422, 503),
)
def list_events(visitor: Viewer, desk: AtDesk, at: Paged, rows: OfRows) -> Any:
    """Return rows, the newest first, with the rules that want them and the deliveries that these made.

    A page looks at 20,000 ids at most: it may be short, or empty, and still have a `next`.
    """
    if rows.user is not None and not visitor.may("manage"):
        raise Fault(
            403,
            "forbidden",
            "What a user did is personal data: this filter needs the role manage.",
            "Leave `user` away, or use a token whose role is manage.",
        )
    with desk.reading() as conn:
        page = browse(conn, desk.log, rows.wanted, clock=desk.clock, before=at.before, limit=at.limit)
    with desk.store.read() as conn:
        found = interests(conn, desk.book, page.events)
    items = [{"event": shape(event, visitor), "rules": found[event.id]} for event in page.events]
    return {"items": items, "next": page.next, "looked_at": page.looked_at}


@router.get(
    "/events/{number}",
    summary="Show one row of Moodle's log",
    response_model=explored.LoggedEvent,
    responses=refusals(404, 422, 503),
)
def show_event(number: Number, visitor: Viewer, desk: AtDesk) -> Any:
    """Return one row, with the rules that want it and the deliveries that these made."""
    with desk.reading() as conn:
        row = desk.log.row(conn, number)
    if row is None:
        raise NotFound(f"There is no row {number} in Moodle's log, or it was cleaned up.")
    event = decode(row)
    event = mask(event) if event.anonymous else event
    with desk.store.read() as conn:
        found = interests(conn, desk.book, [event])
    return {"event": shape(event, visitor), "rules": found[event.id]}


@router.get(
    "/event-names",
    summary="List kinds of events",
    response_model=explored.Names,
    responses=refusals(422, 503),
)
def list_names(
    _visitor: Viewer,
    desk: AtDesk,
    q: Annotated[str, Query(max_length=255, description="Words that are all in the name")] = "",
    limit: Annotated[int, Query(ge=1, le=_MOST_NAMES, description="At most so many")] = _MOST_NAMES,
) -> Any:
    """Return the events seen among the newest 200,000 ids, the most frequent first, then Moodle's others."""
    with desk.reading() as conn:
        sighting = desk.lookout.look(conn)
    items = [
        {**asdict(one.kind), "rows": one.rows, "last_id": one.last_id, "known": one.known}
        for one in sighting.find(q)[:limit]
    ]
    return {"items": items, "after": sighting.after, "head": sighting.head, "at": sighting.at}


@router.get(
    "/event-fields",
    summary="List the fields of an event",
    response_model=explored.FieldsOf,
    responses=refusals(422, 503),
)
def list_fields(visitor: Viewer, desk: AtDesk, event: Name) -> Any:
    """Return the fields that the newest 20 rows of an event had; with the role `manage` some values, too."""
    with desk.reading() as conn:
        found = fields_of(conn, desk.log, event)
    if visitor.may("manage"):
        return found
    return replace(found, fields=tuple(one.without_samples() for one in found.fields))


def shape(event: Event, visitor: Visitor) -> dict[str, Any]:
    """Return an event as this visitor may see it."""
    seen = event if visitor.may("manage") else replace(mask(event), other=None)
    return {name: getattr(seen, name) for name in explored.EventRow.model_fields}
