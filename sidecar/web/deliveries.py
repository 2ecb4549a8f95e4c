"""Deliveries and the request log: lists, one with its tries, retry and cancel."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from sidecar.bridge import byhand
from sidecar.errors import NotFound
from sidecar.store import deliveries, log, shapes
from sidecar.store.find import find_delivery, known_filter
from sidecar.store.overview import obstacles
from sidecar.web.access import Manager, Viewer, Visitor
from sidecar.web.ask import Key, Number, OneRule, OneService, OneState, Paged
from sidecar.web.desk import Desk, desk_of
from sidecar.web.fault import refusals
from sidecar.web.models import Attempt, AttemptDetail, Delivery, DeliveryDetail, Page

router = APIRouter()

AtDesk = Annotated[Desk, Depends(desk_of)]


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
    state: OneState = None,
    service: OneService = None,
    rule: OneRule = None,
) -> Any:
    """Return deliveries, the newest first, without their payloads."""
    with desk.store.read() as conn:
        found = deliveries.find(
            conn, state=state, service=service, rule=rule, before=at.before, limit=at.limit
        )
        if not found:
            known_filter(conn, desk.settings, service=service, rule=rule)
        waiting = obstacles(conn, desk.settings.services, {row.service: None for row in found})
    items = [shapes.delivery(row, waiting.get(row.service)) for row in found]
    return {"items": items, "next": at.next_after([row.id for row in found])}


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


@router.post(
    "/deliveries/{key}/retry",
    tags=["Deliveries"],
    summary="Send a delivery now",
    response_model=DeliveryDetail,
    responses=refusals(403, 404, 409, 422, 503),
)
def retry_delivery(key: Key, visitor: Manager, desk: AtDesk) -> Any:
    """Make a waiting, dead or cancelled delivery due now, with the same id and bytes and all its tries."""
    byhand.retry(desk.store, key, now=desk.now)
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
    byhand.cancel(desk.store, key, now=desk.now)
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
    return {
        **shapes.delivery(row, waiting),
        "request": shapes.request(row) if visitor.may("manage") else None,
        "tries": [shapes.attempt(one) for one in tries],
    }
