"""Deliveries and the request log: lists, one with its tries, retry and cancel."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from sidecar.bridge import byhand
from sidecar.bridge.story import story
from sidecar.errors import NotFound
from sidecar.store import log, order, shapes
from sidecar.store.find import find_delivery, known_filter
from sidecar.store.overview import obstacles
from sidecar.store.search import Wanted, search
from sidecar.web.access import Manager, Viewer, Visitor, author
from sidecar.web.ask import (
    Key,
    Number,
    OneLogRow,
    OneRule,
    OneService,
    OneState,
    OneStatus,
    Paged,
    PartOfError,
    PartOfEvent,
    Since,
    Until,
)
from sidecar.web.desk import Desk, desk_of
from sidecar.web.explored import Story
from sidecar.web.fault import refusals
from sidecar.web.models import Attempt, AttemptDetail, Delivery, DeliveryDetail, Page

router = APIRouter()

AtDesk = Annotated[Desk, Depends(desk_of)]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search for deliveries may name."""

    state: OneState = None
    service: OneService = None
    rule: OneRule = None
    event: PartOfEvent = None
    log_id: OneLogRow = None
    status: OneStatus = None
    error: PartOfError = None
    since: Since = None
    until: Until = None

    @property
    def wanted(self) -> Wanted:
        """The same, as the store is asked."""
        return Wanted(**{name: getattr(self, name) for name in self.__dataclass_fields__})


OfDeliveries = Annotated[Filters, Depends()]


@router.get(
    "/deliveries",
    tags=["Deliveries"],
    summary="List deliveries",
    response_model=Page[Delivery],
    responses=refusals(404, 422, 503),
)
def list_deliveries(
    _visitor: Viewer,
    desk: AtDesk,
    at: Paged,
    filters: OfDeliveries,
) -> Any:
    """Return deliveries, the newest first, without their payloads.

    A page looks at 20,000 of them at most: it may be short, or empty, and still have a `next`.
    """
    with desk.store.read() as conn:
        found = search(conn, filters.wanted, before=at.before, limit=at.limit)
        if not found.rows:
            known_filter(conn, desk.settings, service=filters.service, rule=filters.rule)
        waiting = obstacles(conn, desk.settings.services, {row.service: None for row in found.rows})
        behind = order.waits_for(conn, found.rows)
    items = [
        shapes.delivery(row, waiting.get(row.service), waits_for=behind.get(row.id)) for row in found.rows
    ]
    return {"items": items, "next": found.next}


@router.get(
    "/deliveries/{key}",
    tags=["Deliveries"],
    summary="Tell a delivery's fate",
    response_model=DeliveryDetail,
    responses=refusals(404, 422, 503),
)
def show_delivery(key: Key, visitor: Viewer, desk: AtDesk) -> Any:
    """Return one delivery: where it stands, its tries, and with the role `manage` what is sent."""
    return _detail(desk, key, visitor)


@router.get(
    "/deliveries/{key}/story",
    tags=["Deliveries"],
    summary="Tell a delivery's story",
    response_model=Story,
    responses=refusals(404, 422, 503),
)
def tell_story(key: Key, visitor: Viewer, desk: AtDesk) -> Any:
    """Return every moment of one delivery in order: row, queue, tries, end, and what comes next and when."""
    with desk.store.read() as conn:
        row = find_delivery(conn, key)
        told = story(conn, desk.settings, row, desk.versions(), now=desk.now)
    original = row.original if visitor.may("manage") else None
    return {
        "id": row.id,
        "delivery_id": row.delivery_id,
        "state": row.state,
        "rule_now": told.rule_now,
        "edited": told.edited,
        "original": original,
        "moments": told.moments,
    }


@router.post(
    "/deliveries/{key}/retry",
    tags=["Deliveries"],
    summary="Send a delivery now",
    response_model=DeliveryDetail,
    responses=refusals(403, 404, 409, 422, 503),
)
def retry_delivery(key: Key, visitor: Manager, desk: AtDesk) -> Any:
    """Make a waiting, dead or cancelled delivery due now, with the same id and bytes and all its tries."""
    byhand.retry(desk.store, key, now=desk.now, by=author(visitor))
    desk.wake()
    return _detail(desk, key, visitor)


@router.post(
    "/deliveries/{key}/cancel",
    tags=["Deliveries"],
    summary="Never send a delivery",
    response_model=DeliveryDetail,
    responses=refusals(403, 404, 409, 422, 503),
)
def cancel_delivery(key: Key, visitor: Manager, desk: AtDesk) -> Any:
    """Cancel a pending or dead delivery; retry takes that back while it is kept."""
    byhand.cancel(desk.store, key, now=desk.now, by=author(visitor))
    return _detail(desk, key, visitor)


@router.get(
    "/log",
    tags=["Log"],
    summary="List tries",
    response_model=Page[Attempt],
    responses=refusals(404, 422, 503),
)
def list_attempts(
    _visitor: Viewer, desk: AtDesk, at: Paged, service: OneService = None, rule: OneRule = None
) -> Any:
    """Return the request log, the newest first."""
    with desk.store.read() as conn:
        found = log.find(conn, service=service, rule=rule, before=at.before, limit=at.limit)
        if not found:
            known_filter(conn, desk.settings, service=service, rule=rule)
    return {
        "items": [shapes.attempt(row) for row in found],
        "next": at.next_after([row.id for row in found]),
    }


@router.get(
    "/log/{number}",
    tags=["Log"],
    summary="Show one try",
    response_model=AttemptDetail,
    responses=refusals(404, 422, 503),
)
def show_attempt(number: Number, visitor: Viewer, desk: AtDesk) -> Any:
    """Return one try; with the role `manage` also what was kept of its bodies."""
    with desk.store.read() as conn:
        row = log.get(conn, number)
    if row is None:
        raise NotFound(f"There is no try {number} in the request log.")
    bodies = {"request": row.request, "response": row.response}
    shown = bodies if visitor.may("manage") else dict.fromkeys(bodies)
    return {**shapes.attempt(row), **shown}


def _detail(desk: Desk, key: str, visitor: Visitor) -> dict[str, Any]:
    with desk.store.read() as conn:
        row = find_delivery(conn, key)
        waiting = obstacles(conn, desk.settings.services, {row.service: None}).get(row.service)
        tries = log.find(conn, delivery_id=row.delivery_id)
        behind = order.waits_for(conn, [row]).get(row.id)
    return {
        **shapes.delivery(row, waiting, waits_for=behind),
        "request": shapes.request(row) if visitor.may("manage") else None,
        "tries": [shapes.attempt(one) for one in tries],
    }
