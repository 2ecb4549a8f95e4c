"""Deliveries: queue, sent and failed in one list to search, and one of them with its whole story."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection, Row
from starlette.responses import Response

from sidecar.bridge import byhand
from sidecar.model import DeliveryState
from sidecar.store import order
from sidecar.store.deliveries import Owed
from sidecar.store.overview import Obstacle, obstacles
from sidecar.store.search import Found, Wanted, search
from sidecar.web.ask import Key
from sidecar.web.pages import fate_words, tale
from sidecar.web.pages.asking import Asked
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Manage, Page, Tab, View

router = APIRouter()

TAB = Tab(N_("Deliveries"), "/deliveries", "deliveries")

PAGE = 50
_OPEN = (DeliveryState.PENDING, DeliveryState.SENDING)
# Beside these the figures on the chips would be wrong.
_COUNTED_WITH = frozenset({"state", "service", "lang", "before"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the list: a delivery, its badge, what holds it, and behind which other one it waits."""

    row: Row[Any]
    badge: tuple[str, str]
    obstacle: str = ""
    behind: int | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chip:
    """A state to choose with one click, and how many are in it where that is cheaply known."""

    word: str
    link: str
    chosen: bool
    count: int | None = None


@router.get("/deliveries")
def show_list(page: View) -> Response:
    """Show the newest that match, or those before a number."""
    asked = Asked(page)
    wanted, before = _wanted(asked), asked.number("before")
    with page.desk.store.read() as conn:
        found = Found((), None) if asked.problems else search(conn, wanted, before=before, limit=PAGE)
        entries = _entries(conn, page, found.rows)
        owed = [] if page.is_part else page.desk.owings.get(conn)
    narrowed = any(value for value in (getattr(wanted, name) for name in Wanted.__dataclass_fields__))
    return page.show(
        "deliveries_rows.html" if page.is_part else "deliveries.html",
        status=422 if asked.problems else 200,
        asked=asked,
        entries=entries,
        chips=_chips(page, asked, owed),
        narrowed=narrowed,
        more_filters=any(asked[name] for name in ("event", "log_id", "status", "since", "until")),
        first=before is None,
        older=page.link(before=found.next) if found.next else None,
        newest=page.link(before=None) if before else None,
        services=asked.names("service", page.desk.settings.services),
        rules=asked.names("rule", (rule.name for rule in page.desk.settings.rules)),
    )


@router.get("/deliveries/{key}")
def show_one(page: View, key: Key) -> Response:
    """Show one delivery; its story alone to htmx, which asks while something may still happen.

    `seen` is how it stood when the page was made, `said` at the last look: what is new is read out once.
    """
    told = tale.tell(page, key)
    standing, asked = f"{told.row.state}-{told.row.attempts}", page.request.query_params
    template = "delivery_story.html" if page.is_part else "delivery.html"
    return page.show(
        template,
        told=told,
        row=told.row,
        badge=badge_of(page, told.row, told.obstacle),
        moves=told.row.state in _OPEN,
        standing=standing,
        seen=asked.get("seen", standing) if page.is_part else standing,
        said=asked.get("said", standing),
        words=fate_words,
    )


@router.post("/deliveries/{key}/retry")
def retry(page: Manage, key: Key) -> Response:
    """Make it due now."""
    try:
        row = byhand.retry(page.desk.store, key, now=page.now, by=page.author)
    except byhand.LeftAlone:
        return _left_alone(page, key)
    page.desk.wake()
    return page.back(f"/deliveries/{row.id}", page._("Delivery %(number)s is due now.", number=row.id))


@router.post("/deliveries/{key}/cancel")
def cancel(page: Manage, key: Key) -> Response:
    """Never send it."""
    try:
        row = byhand.cancel(page.desk.store, key, now=page.now, by=page.author)
    except byhand.LeftAlone:
        return _left_alone(page, key)
    said = page._("Delivery %(number)s is cancelled. “Send now” takes that back.", number=row.id)
    return page.back(f"/deliveries/{row.id}", said)


def badge_of(page: Page, row: Row[Any], obstacle: Obstacle | None) -> tuple[str, str]:
    """Return the badge of a delivery and its word; one that is held up is parked."""
    parked = row.state == DeliveryState.PENDING and obstacle is not None
    look, word = fate_words.PARKED if parked else fate_words.STATES[DeliveryState(row.state)]
    return look, page._(word)


def _left_alone(page: Page, key: str) -> Response:
    said = page._("Nothing was done: it has changed meanwhile, or there is nothing to send. See below.")
    return page.back(f"/deliveries/{key}", said, kind="warning")


def _wanted(asked: Asked) -> Wanted:
    return Wanted(
        state=asked.word("state", DeliveryState),
        service=asked.text("service"),
        rule=asked.text("rule"),
        event=asked.text("event"),
        log_id=asked.number("log_id"),
        status=asked.number("status", 999),
        error=asked.text("error"),
        since=asked.since(),
        until=asked.moment("until"),
    )


def _entries(conn: Connection, page: Page, rows: Sequence[Row[Any]]) -> list[Entry]:
    held = obstacles(conn, page.desk.settings.services, {row.service: None for row in rows})
    behind = order.waits_for(conn, rows)
    return [_entry(page, row, held.get(row.service), behind) for row in rows]


def _entry(page: Page, row: Row[Any], obstacle: Obstacle | None, behind: Mapping[int, int]) -> Entry:
    badge = badge_of(page, row, obstacle)
    if row.state != DeliveryState.PENDING:
        return Entry(row, badge)
    if obstacle is not None:
        return Entry(row, badge, page._(fate_words.OBSTACLES[obstacle]))
    return Entry(row, badge, behind=behind.get(row.id), next_at=row.due_at)


def _chips(page: Page, asked: Asked, owed: Sequence[Owed]) -> list[Chip]:
    counts = _counts(page, asked, owed)
    chosen = asked["state"]
    every = Chip(page._("all"), page.link(state=None, before=None), not chosen)
    return [
        every,
        *(
            Chip(page._(word), page.link(state=state, before=None), chosen == state, counts.get(state))
            for state, (_, word) in fate_words.STATES.items()
        ),
    ]


def _counts(page: Page, asked: Asked, owed: Sequence[Owed]) -> dict[DeliveryState, int]:
    others = [k for k, value in page.request.query_params.items() if value and k not in _COUNTED_WITH]
    if others or page.is_part:
        return {}
    ours = [one for one in owed if asked["service"] in ("", one.service)]
    return {
        DeliveryState.PENDING: sum(one.pending for one in ours),
        DeliveryState.SENDING: sum(one.sending for one in ours),
        DeliveryState.DEAD: sum(one.dead for one in ours),
    }
