"""The moments that a service's rate limit gives, taken from the store for one process's stopwatch."""

from datetime import timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from sidecar.bridge.lanes import Lane
from sidecar.clock import Clock
from sidecar.gateway.rate import AHEAD_S, Slots, free_slots
from sidecar.store import rates
from sidecar.store.engine import Database

# How far ahead a backlog's moments are taken. What is claimed goes out at once, so not far.
_DRAIN_AHEAD_S = 0.1


class Pace:
    """Asked by the conductor for what it claims, and by senders for what they find to be sent on the way."""

    def __init__(self, store: Database, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def slots(self, conn: Connection, lane: Lane, most: int) -> Slots | None:
        """Return the moments to send at, ours to take in this transaction; None without a rate limit."""
        rate = lane.service.rate_limit
        if rate is None:
            return None
        next_at = rates.lock(conn, lane.name)
        # Not the time when this round began: we may have waited for the connection and for the lock.
        return free_slots(next_at, rate, now=self._clock.now(), most=most)

    def drain(self, conn: Connection, lane: Lane, most: int, *, ahead_s: float = _DRAIN_AHEAD_S) -> int:
        """Take the moments at which a backlog may leave now; return how many, at most `most`."""
        rate = lane.service.drain_rate
        if rate is None:
            return most
        next_at = rates.lock_drain(conn, lane.name)
        slots = free_slots(next_at, rate, now=self._clock.now(), most=most, ahead_s=ahead_s)
        if slots.count:
            rates.take_drain(conn, lane.name, until=slots.moment(slots.count))
        lane.drain_at = slots.moment(slots.count) - timedelta(seconds=ahead_s / 2)
        return slots.count

    def times(self, slots: Slots, number: int) -> tuple[float, float]:
        """Return a moment on the stopwatch, and until when it may be used."""
        left_s = (slots.moment(number) - self._clock.now()).total_seconds()
        moment = self._clock.monotonic() + left_s
        return moment, moment + slots.late_s

    def next_times(self, lane: Lane) -> tuple[float, float] | None:
        """Take the next moment of a limited service, waiting until one may be taken.

        None if there is no use in waiting: the lane closes, or the store is away.
        """
        while not lane.closing:
            try:
                slots = self._take_one(lane)
            except SQLAlchemyError:
                return None
            if slots is None or slots.count:
                return self.times(slots, 0) if slots else None
            lane.rest(until=self._clock.monotonic() + AHEAD_S / 2)
        return None

    def _take_one(self, lane: Lane) -> Slots | None:
        with self._store.write() as conn:
            slots = self.slots(conn, lane, 1)
            if slots is not None and slots.count:
                rates.take(conn, lane.name, until=slots.moment(1))
            return slots
