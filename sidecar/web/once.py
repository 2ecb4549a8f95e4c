"""One key, one delivery: what was sent or is being sent with a key is not sent again beside it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from sidecar.model import Delivery, DeliveryState, Outcome
from sidecar.store import deliveries, log
from sidecar.web.desk import Desk
from sidecar.web.fault import Fault

_REMEMBERED = timedelta(hours=24)


def earlier(desk: Desk, made: Delivery) -> Row[Any] | None:
    """Return the try that delivered what this key stands for; None: it has to be sent.

    Raises Fault for a key that is queued, or that was used for something else.
    """
    with desk.store.read() as conn:
        queued = deliveries.get(conn, made.delivery_id)
        tries = log.find(conn, delivery_id=made.delivery_id)
    if tries:
        require_same(tries[0], made, body=False)
    done = next((row for row in tries if row.outcome == Outcome.DELIVERED), None)
    if done is not None and desk.now - done.created_at < _REMEMBERED:
        return done
    if queued is not None and queued.state in {DeliveryState.PENDING, DeliveryState.SENDING}:
        raise _conflict(f"This key is queued already, as delivery {made.delivery_id}.")
    return None


def require_same(before: Row[Any], made: Delivery, *, body: bool) -> None:
    """Raise Fault unless a key stands for the same request as before."""
    same = (before.method, before.endpoint) == (made.method, made.endpoint)
    if not same or (body and before.payload != made.body):
        raise Fault(
            422,
            "key_reused",
            "This idempotency key was used for another request.",
            "Make a new key for each thing that is to happen once.",
        )


_lock = threading.Lock()
_keys: set[str] = set()


@contextmanager
def one_at_a_time(made: Delivery) -> Iterator[None]:
    """Keep two requests with one key from being sent side by side."""
    with _lock:
        if made.delivery_id in _keys:
            raise _conflict("A request with this key is being sent right now.")
        _keys.add(made.delivery_id)
    try:
        yield
    finally:
        with _lock:
            _keys.discard(made.delivery_id)


def _conflict(message: str) -> Fault:
    return Fault(409, "in_progress", message, "Wait, and ask for the delivery's fate.")


def busy(message: str, wait_s: int) -> Fault:
    """Return the answer for a call that there is no room for."""
    return Fault(503, "busy", message, "Try again in a moment.", {"Retry-After": str(wait_s)})
