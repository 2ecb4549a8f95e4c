"""Dead letters: lists, one with all that explains it, replay and delete, one or many."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from sidecar.bridge.compare import compare
from sidecar.bridge.letters import BadPayload, edit, groups
from sidecar.bridge.paced import Pace, replay_paced
from sidecar.bridge.replay import PIECE, Replayed, discard, replay, replayed
from sidecar.store import deliveries, shapes
from sidecar.store.audit import Author
from sidecar.store.find import find_letter, known_filter
from sidecar.web import explored, models
from sidecar.web.access import Manager, Viewer, author
from sidecar.web.ask import Choice, Key, Letters, Moment, OfLetters, Paged
from sidecar.web.desk import Desk, desk_of
from sidecar.web.fault import Fault, refusals

router = APIRouter(prefix="/dead-letters", tags=["Dead letters"])

_PIECES_AT_ONCE = 5

AtDesk = Annotated[Desk, Depends(desk_of)]
How = Literal["as_sent", "rendered"]
HowAsked = Annotated[
    How, Query(description="as_sent: the same bytes; rendered: from Moodle's log with today's rules")
]


class ReplayChoice(Choice):
    """Which dead letters to replay, how, and how fast."""

    how: How = Field(default="as_sent", description="The same bytes, or rendered again with today's rules")
    per_second: float | None = Field(
        default=None,
        ge=0.1,
        le=1000,
        description="So many at most are sent a second; null: all are due at once",
    )
    begins_at: Moment | None = Field(
        default=None, description="Go on at the same pace: next_begins_at of the answer before"
    )


class Edited(BaseModel):
    """Another payload for a dead letter."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"payload": '{"id": 7}'}]})

    payload: str = Field(description="The whole text, JSON or XML if its content type says so")


@router.get(
    "",
    summary="List dead letters",
    response_model=models.Page[models.Letter],
    responses=refusals(404, 422, 503),
)
def list_letters(
    _visitor: Viewer,
    desk: AtDesk,
    at: Paged,
    letters: OfLetters,
) -> Any:
    """Return dead letters, the newest first, without what they sent. `next` is for this list only."""
    with desk.store.read() as conn:
        found = letters.page(conn, before=at.before, limit=at.limit)
        if not found:
            known_filter(conn, desk.settings, service=letters.service, rule=letters.rule)
        numbers = deliveries.numbers(conn, [row.delivery_id for row in found])
    items = [shapes.letter(row, numbers.get(row.delivery_id)) for row in found]
    return {"items": items, "next": at.next_after([row.id for row in found])}


@router.get(
    "/count",
    summary="Count dead letters",
    response_model=models.Count,
    responses=refusals(422, 503),
)
def count_letters(
    _visitor: Viewer,
    desk: AtDesk,
    letters: OfLetters,
) -> Any:
    """Return how many match: what replay and delete of many want to be told."""
    with desk.store.read() as conn:
        return {"count": letters.count(conn)}


@router.get(
    "/groups",
    summary="Group dead letters",
    response_model=models.Items[explored.Group],
    responses=refusals(503),
)
def list_groups(_visitor: Viewer, desk: AtDesk) -> Any:
    """Return how many died alike: by reason, service and last answer, each with what probably mends them."""
    with desk.store.read() as conn:
        return {"items": groups(conn)}


@router.post(
    "/replay",
    summary="Replay many dead letters",
    response_model=models.Replayed,
    responses=refusals(403, 409, 413, 415, 422, 503),
)
def replay_many(choice: ReplayChoice, visitor: Manager, desk: AtDesk) -> Any:
    """Send up to 1,000 of the matching dead letters again; `next` says where to go on."""
    again = desk.again() if choice.how == "rendered" else None
    done: list[Replayed] = []
    before, pace = None, _pace(desk, choice)
    for piece in _pieces(desk, choice):
        if pace is None:
            done += replay(desk.store, piece, now=desk.now, again=again, by=author(visitor))
        else:
            done += replay_paced(desk.store, piece, pace, again=again, by=author(visitor), now=desk.now)
            pace = pace.after(len(piece))
        before = piece[-1].id
    desk.wake()
    more = len(done) == PIECE * _PIECES_AT_ONCE
    return {
        **replayed(done),
        "next": before if more else None,
        "next_begins_at": pace.begins_at if pace and more else None,
    }


@router.post(
    "/delete",
    summary="Delete many dead letters",
    response_model=models.Deleted,
    responses=refusals(403, 409, 413, 415, 422, 503),
)
def delete_many(choice: Choice, visitor: Manager, desk: AtDesk) -> Any:
    """Delete up to 1,000 of the matching dead letters for ever and cancel their deliveries."""
    seen, deleted, before = 0, 0, None
    for piece in _pieces(desk, choice):
        deleted += discard(desk.store, piece, now=desk.now, by=author(visitor))
        seen += len(piece)
        before = piece[-1].id
    return {"deleted": deleted, "next": before if seen == PIECE * _PIECES_AT_ONCE else None}


@router.get(
    "/{key}",
    summary="Show one dead letter",
    response_model=models.LetterDetail,
    responses=refusals(404, 422, 503),
)
def show_letter(key: Key, visitor: Viewer, desk: AtDesk) -> Any:
    """Return why it was given up, and with the role `manage` what was sent, answered and logged."""
    with desk.store.read() as conn:
        row = find_letter(conn, key)
        number = deliveries.numbers(conn, [row.delivery_id]).get(row.delivery_id)
    inner = {
        "request": shapes.request(row),
        "response": row.response,
        "event_row": json.loads(row.event_row) if row.event_row else None,
    }
    shown = inner if visitor.may("manage") else dict.fromkeys(inner)
    return {**shapes.letter(row, number), **shown}


@router.post(
    "/{key}/replay",
    summary="Replay one dead letter",
    response_model=models.Replayed,
    responses=refusals(403, 404, 422, 503),
)
def replay_one(key: Key, visitor: Manager, desk: AtDesk, how: HowAsked = "as_sent") -> Any:
    """Send it again, as it was or rendered again; its delivery id stays."""
    with desk.store.read() as conn:
        row = find_letter(conn, key)
    again = desk.again() if how == "rendered" else None
    done = replay(desk.store, [row], now=desk.now, again=again, by=author(visitor))
    desk.wake()
    return {**replayed(done), "next": None, "next_begins_at": None}


@router.get(
    "/{key}/comparison",
    summary="Compare a dead letter with today's rule",
    response_model=explored.Comparison,
    responses=refusals(403, 404, 422, 503),
)
def compare_one(key: Key, _visitor: Manager, desk: AtDesk) -> Any:
    """Return what was sent beside what `rendered` would send, line by line. Nothing is changed."""
    with desk.store.read() as conn:
        row = find_letter(conn, key)
    found = compare(row, desk.again(), now=desk.now)
    refused = found.refused
    return {
        "differs": found.differs,
        "lines": found.lines,
        "refused": refused.fate if refused else None,
        "detail": refused.detail if refused else None,
    }


@router.post(
    "/{key}/edit",
    summary="Edit the payload of a dead letter",
    response_model=models.LetterDetail,
    responses=refusals(403, 404, 413, 415, 422, 503),
)
def edit_one(key: Key, edited: Edited, visitor: Manager, desk: AtDesk) -> Any:
    """Give it another payload, which replay as sent sends under the same id; what was rendered is kept."""
    by = Author(visitor.name, "api")
    try:
        edit(desk.store, key, edited.payload, services=desk.settings.services, by=by, now=desk.now)
    except BadPayload as error:
        raise Fault(422, "bad_payload", str(error), "Mend what the message names and try again.") from None
    return show_letter(key, visitor, desk)


@router.post(
    "/{key}/delete",
    summary="Delete one dead letter",
    response_model=models.Deleted,
    responses=refusals(403, 404, 422, 503),
)
def delete_one(key: Key, visitor: Manager, desk: AtDesk) -> Any:
    """Delete it for ever and cancel its delivery."""
    with desk.store.read() as conn:
        row = find_letter(conn, key)
    return {"deleted": discard(desk.store, [row], now=desk.now, by=author(visitor)), "next": None}


def _pace(desk: Desk, choice: ReplayChoice) -> Pace | None:
    if choice.per_second is None:
        return None
    return Pace(choice.per_second, max(choice.begins_at or desk.now, desk.now))


def _pieces(desk: Desk, choice: Choice) -> Iterator[Sequence[Row[Any]]]:
    """Yield the chosen letters in pieces. Raises Fault unless there are as many as was said."""
    letters = choice.letters
    if choice.all == (letters != Letters()):
        message = "body: name which: service, rule, reason or since; or all: true, and nothing beside it"
        raise Fault(422, "bad_input", message, "GET /api/docs says what this call takes.")
    with desk.store.read() as conn:
        there = letters.count(conn)
    if choice.before is None and there != choice.count:
        raise Fault(
            409,
            "count_differs",
            f"There are {there:,} of them now, not {choice.count:,}: nothing was done.",
            "Look at them again, and send the number that there is.",
        )
    before = choice.before
    for _ in range(_PIECES_AT_ONCE):
        with desk.store.read() as conn:
            piece = letters.page(conn, before=before, limit=PIECE)
        if not piece:
            return
        yield piece
        before = piece[-1].id
