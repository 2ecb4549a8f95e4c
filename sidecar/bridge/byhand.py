"""What people do to one delivery or service by hand: send now, never send, pause, resume."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row

from sidecar.bridge.replay import Fate, discard, replay
from sidecar.errors import HubError, NotFound, said
from sidecar.model import DeliveryState
from sidecar.settings import Kind, Settings
from sidecar.store import audit, deliveries, dlq, queue, services
from sidecar.store.audit import Author
from sidecar.store.engine import Database
from sidecar.store.find import find_delivery, known
from sidecar.store.waiting import bury_waiting, cancel_waiting
from sidecar.store.words import count


class LeftAlone(HubError):
    """Delivery {id} was left alone: {reason}."""


def retry(store: Database, key: str, *, now: datetime, by: Author | None = None) -> Row[Any]:
    """Make a waiting, dead or cancelled delivery due now; return it. Raises NotFound and LeftAlone."""
    with store.read() as conn:
        row = find_delivery(conn, key)
        letter = dlq.get(conn, row.delivery_id)
    problem = _replay(store, letter, now, by) if letter else _revive(store, row, now, by)
    if problem:
        raise LeftAlone(_left_alone(row.id, problem))
    with store.read() as conn:
        return find_delivery(conn, row.delivery_id)


def cancel(store: Database, key: str, *, now: datetime, by: Author | None = None) -> Row[Any]:
    """Never send a pending or dead delivery; return it. Raises NotFound and LeftAlone."""
    with store.read() as conn:
        row = find_delivery(conn, key)
        letter = dlq.get(conn, row.delivery_id)
    if letter:
        discard(store, [letter], now=now, by=by)
    else:
        with store.write() as conn:
            if queue.cancel(conn, [row.delivery_id], now=now):
                audit.note(conn, by, "delivery.cancel", f"delivery {row.delivery_id}", now=now)
    with store.read() as conn:
        after = find_delivery(conn, row.delivery_id)
    if after.state != DeliveryState.CANCELLED:
        raise LeftAlone(_left_alone(row.id, _is(after.state)))
    return after


def _left_alone(number: int, reason: str) -> str:
    return said("Delivery %(number)s was left alone: %(reason)s.", number=number, reason=reason)


def _is(state: str) -> str:
    return said("it is %(state)s", state=state)


class Ending(StrEnum):
    """What is to become of deliveries that wait."""

    CANCEL = "cancel"  # they are never sent
    BURY = "bury"  # they become dead letters


def settle_waiting(
    store: Database, kind: Kind, name: str, ending: Ending, *, now: datetime, by: Author | None = None
) -> int:
    """Cancel or bury all that waits for a service or was made by a rule; return how many.

    What is being sent is finished.
    """
    with store.write() as conn:
        if ending is Ending.CANCEL:
            settled = cancel_waiting(conn, kind, name, now=now)
        else:
            settled = bury_waiting(
                conn, kind, name, error=said("it was given up by hand while it waited"), now=now
            )
        if settled:
            owed = count(settled, "waiting delivery", "waiting deliveries")
            audit.note(conn, by, f"queue.{ending}", f"{kind} {name}", owed, now=now)
    return settled


def switch(
    conn: Connection,
    settings: Settings,
    name: str,
    *,
    paused: bool,
    now: datetime,
    by: Author | None = None,
) -> None:
    """Pause or resume a service. Raises NotFound for one that is not there, or not in force yet."""
    if services.pause(conn, name, pause=paused, now=now):
        audit.note(conn, by, f"service.{'pause' if paused else 'resume'}", f"service {name}", now=now)
        return
    if name in settings.services:
        raise NotFound(
            said("%(name)s is not in force yet: start `mih run` with its configuration once.", name=name)
        )
    known(name, [row.name for row in services.all_rows(conn)], "service")


def _replay(store: Database, letter: Row[Any], now: datetime, by: Author | None) -> str | None:
    done = replay(store, [letter], now=now, by=by)[0]
    if done.fate is Fate.NEVER_RENDERED:
        command = f"`mih dlq replay {letter.delivery_id} --render`"
        return said("it was never rendered: %(command)s renders it again", command=command)
    return done.detail


def _revive(store: Database, row: Row[Any], now: datetime, by: Author | None) -> str | None:
    with store.write() as conn:
        if _was_never_rendered(row):
            return said("it was never rendered, and its dead letter was deleted: there is nothing to send")
        if queue.revive(conn, [row.delivery_id], now=now):
            audit.note(conn, by, "delivery.retry", f"delivery {row.delivery_id}", now=now)
            return None
        return _is(_state_now(conn, row.delivery_id))


def _was_never_rendered(row: Row[Any]) -> bool:
    """Whether a delivery without its dead letter was born as one: then it holds no request."""
    return row.payload is None and row.attempts == 0 and row.last_error is not None


def _state_now(conn: Connection, delivery_id: str) -> str:
    found = deliveries.get(conn, delivery_id)
    return str(found.state) if found is not None else "gone"
