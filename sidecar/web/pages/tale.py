"""One delivery as its page tells it: its story, what was sent and answered, and why it waits."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from sidecar.bridge.story import Moment, Story, story
from sidecar.model import Circuit, DeliveryState
from sidecar.store import circuits, dlq, log, order
from sidecar.store.find import find_delivery
from sidecar.store.overview import Obstacle, obstacles
from sidecar.web.pages.layout import Text, text_of
from sidecar.web.pages.page import Page

_MOST_ATTEMPTS = 200


@dataclass(frozen=True, slots=True)
class Captured:
    """What was kept of one try; None where the reader may not see it, or nothing was kept."""

    request: str | None
    response: str | None
    replica: str | None


@dataclass(frozen=True, slots=True)
class Waits:
    """Why a delivery is not sent at this moment, beside its turn."""

    obstacle: Obstacle | None = None
    circuit: Circuit | None = None
    behind: int | None = None
    rate: float | None = None
    lingers: bool = False
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that the page of one delivery shows. Without the role manage payloads are None."""

    row: Row[Any]
    story: Story
    captured: Mapping[int, Captured]
    waits: Waits
    payload: Text | None
    original: Text | None
    headers: Sequence[tuple[str, str]]
    letter: Row[Any] | None

    @property
    def obstacle(self) -> Obstacle | None:
        """What keeps it from being sent."""
        return self.waits.obstacle

    @property
    def past(self) -> list[Moment]:
        """What has happened."""
        return [one for one in self.story.moments if not one.ahead]

    @property
    def ahead(self) -> list[Moment]:
        """What comes next."""
        return [one for one in self.story.moments if one.ahead]

    @property
    def can_be_sent(self) -> bool:
        """Whether “send now” makes sense."""
        waits = self.row.state in (DeliveryState.PENDING, DeliveryState.CANCELLED)
        return waits or (self.letter is not None and self.row.payload is not None)

    @property
    def can_be_cancelled(self) -> bool:
        """Whether “cancel” makes sense."""
        return self.row.state in (DeliveryState.PENDING, DeliveryState.DEAD)


def tell(page: Page, key: str) -> Told:
    """Return the tale of a delivery. Raises NotFound. All in one look into the store."""
    desk, may = page.desk, page.may("manage")
    with desk.store.read() as conn:
        row = find_delivery(conn, key)
        told = story(conn, desk.settings, row, desk.versions(), now=page.now)
        tries = log.find(conn, delivery_id=row.delivery_id, limit=_MOST_ATTEMPTS)
        letter = dlq.get(conn, row.delivery_id) if row.state == DeliveryState.DEAD else None
        waits = _waits(conn, page, row)
    return Told(
        row,
        told,
        {one.id: _captured(one, may) for one in tries},
        waits,
        text_of(row.payload) if may else None,
        text_of(row.original) if may else None,
        headers_of(row) if may else (),
        letter,
    )


def headers_of(row: Row[Any]) -> Sequence[tuple[str, str]]:
    """Return the headers that a rule gave to a delivery or a dead letter."""
    return sorted(json.loads(row.headers).items()) if row.headers else []


def _captured(row: Row[Any], may: bool) -> Captured:
    return Captured(row.request, row.response, row.replica) if may else Captured(None, None, row.replica)


def _waits(conn: Connection, page: Page, row: Row[Any]) -> Waits:
    if row.state != DeliveryState.PENDING:
        return Waits()
    settings = page.desk.settings
    obstacle = obstacles(conn, settings.services, {row.service: None}).get(row.service)
    circuit = circuits.load_all(conn).get(row.service) if obstacle is Obstacle.CIRCUIT else None
    service = settings.services.get(row.service)
    rule = next((one for one in settings.rules if one.name == row.rule), None)
    batches = rule is not None and rule.batch is not None and not row.attempts
    return Waits(
        obstacle,
        circuit,
        order.waits_for(conn, [row]).get(row.id),
        service.rate_limit if service else None,
        batches and row.due_at > page.now,
        row.expires_at,
    )
