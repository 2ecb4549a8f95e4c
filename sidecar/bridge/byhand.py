"""What people do to one delivery or service by hand: send now, never send, pause, resume."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from sidecar.bridge.replay import Fate, discard, replay
from sidecar.errors import HubError, NotFound
from sidecar.model import DeliveryState
from sidecar.settings import Settings
from sidecar.store import deliveries, dlq, queue, services
from sidecar.store.engine import Database
from sidecar.store.find import find_delivery, known


class LeftAlone(HubError):
    """Delivery {id} was left alone: {reason}."""


def retry(store: Database, key: str, *, now: datetime) -> Row[Any]:
    """Make a waiting, dead or cancelled delivery due now; return it. Raises NotFound and LeftAlone."""
    with store.read() as conn:
        row = find_delivery(conn, key)
        letter = dlq.get(conn, row.delivery_id)
    problem = _replay(store, letter, now) if letter else _revive(store, row, now)
    if problem:
        raise LeftAlone(f"Delivery {row.id} was left alone: {problem}.")
    with store.read() as conn:
        return find_delivery(conn, row.delivery_id)


def cancel(store: Database, key: str, *, now: datetime) -> Row[Any]:
    """Never send a pending or dead delivery; return it. Raises NotFound and LeftAlone."""
    with store.read() as conn:
        row = find_delivery(conn, key)
        letter = dlq.get(conn, row.delivery_id)
    if letter:
        discard(store, [letter], now=now)
    else:
        with store.write() as conn:
            queue.cancel(conn, [row.delivery_id], now=now)
    with store.read() as conn:
        after = find_delivery(conn, row.delivery_id)
    if after.state != DeliveryState.CANCELLED:
        raise LeftAlone(f"Delivery {row.id} was left alone: it is {after.state}.")
    return after


def switch(conn: Connection, settings: Settings, name: str, *, paused: bool, now: datetime) -> None:
    """Pause or resume a service. Raises NotFound for one that is not there, or not in force yet."""
    if services.pause(conn, name, pause=paused, now=now):
        return
    if name in settings.services:
        raise NotFound(f"{name} is in the configuration but not in force yet: start `mih run` with it once.")
    known(name, [row.name for row in services.all_rows(conn)], "service")


def _replay(store: Database, letter: Row[Any], now: datetime) -> str | None:
    done = replay(store, [letter], now=now)[0]
    if done.fate is Fate.NEVER_RENDERED:
        return f"it was never rendered: `mih dlq replay {letter.delivery_id} --render` renders it again"
    return done.detail


def _revive(store: Database, row: Row[Any], now: datetime) -> str | None:
    with store.write() as conn:
        if _was_never_rendered(row):
            return "it was never rendered, and its dead letter was deleted: there is nothing to send"
        if queue.revive(conn, [row.delivery_id], now=now):
            return None
        return f"it is {_state_now(conn, row.delivery_id)}"


def _was_never_rendered(row: Row[Any]) -> bool:
    """Whether a delivery without its dead letter was born as one: then it holds no request."""
    return row.payload is None and row.attempts == 0 and row.last_error is not None


def _state_now(conn: Connection, delivery_id: str) -> str:
    found = deliveries.get(conn, delivery_id)
    return str(found.state) if found is not None else "gone"
