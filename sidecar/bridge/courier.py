"""What is queued goes to the broker: by the tail in its own transaction, by the courier from the table."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sidecar.clock import Clock
from sidecar.model import Delivery
from sidecar.store import lookout, queue, relayed
from sidecar.store.engine import Database
from sidecar.transports.relay.door import Door, depths
from sidecar.transports.relay.publisher import Publisher

_log = logging.getLogger("mih.relay")

_AT_ONCE = 200
# So many of the slow lane lie at the broker at most: what is new has to wait behind them there.
_MOST_SLOW = 100
# How long a delivery may be due, and the queue of its service empty, before it is brought again.
_MISSED_AFTER = timedelta(minutes=15)
_MOST_BROUGHT_AGAIN = 5_000


class Outlet:
    """Where the tail puts what is to be delivered: into the table and, before the commit, to the broker."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def ready(self) -> None:
        """See that the broker takes messages, before a transaction waits for it. Raises BrokerUnavailable."""
        self._publisher.ready()

    def enqueue(self, conn: Connection, deliveries: Sequence[Delivery], *, now: datetime) -> None:
        """Queue deliveries and return when the broker has confirmed them. Raises BrokerUnavailable.

        The caller commits then. If it dies before that, the same are published once more: by the ids in the
        table whoever takes them knows that there are two.
        """
        relayed.enqueue(conn, deliveries, now=now)
        self._publisher.publish(deliveries)

    def close(self) -> None:
        """Take leave of the broker."""
        self._publisher.close()


class Courier:
    """Brings to the broker what others put into the table: replays, backfills, calls that need not wait.

    Any number of processes may have one: each row is locked while it is brought.
    """

    def __init__(
        self, store: Database, door: Door, clock: Clock, services: Callable[[], Collection[str]]
    ) -> None:
        self._store, self._door, self._clock, self._services = store, door, clock, services
        self._publisher = Publisher(door, clock)

    def run_once(self) -> int:
        """Bring all that is due; return how much that was. Raises BrokerUnavailable."""
        with self._store.read() as conn:
            due = lookout.look(conn).due
        wanted, now = self._services(), self._clock.now()
        return sum(self._bring_all(name) for name, at in due.items() if at <= now and name in wanted)

    def sweep(self) -> int:
        """Bring again what the broker should have and has not, as after the loss of its disks.

        Returns how many. Its queues tell only how much they hold: so this waits until one is empty. What is
        brought in vain is known by its id.
        """
        now, names = self._clock.now(), self._services()
        with self._store.read() as conn:
            late = relayed.overdue(conn, names, due_before=now - _MISSED_AFTER)
        if not late:
            return 0
        left = depths(self._door, late, self._clock)
        missed = [service for service in late if not left[service]]
        if not missed:
            return 0
        with self._store.write() as conn:
            again = relayed.bring_again(
                conn, missed, due_before=now - _MISSED_AFTER, now=now, limit=_MOST_BROUGHT_AGAIN
            )
        if again:
            _log.warning("relay.missed deliveries=%d: the broker did not have them any more", again)
        return again

    def copies(self, here: Mapping[str, int]) -> int:
        """Return how many messages there are, at the broker and `here`, of deliveries that are over.

        They hurt nobody: whoever takes one lets it go. Raises BrokerUnavailable.
        """
        names = self._services()
        with self._store.read() as conn:
            carried = relayed.count(conn, names)
        left = depths(self._door, names, self._clock)
        return sum(max(left[name] + here.get(name, 0) - carried.get(name, 0), 0) for name in names)

    def close(self) -> None:
        """Take leave of the broker."""
        self._publisher.close()

    def _bring_all(self, service: str) -> int:
        brought = 0
        for lane in queue.LANES:
            while True:
                found = self._bring(service, lane)
                brought += found
                if found < _AT_ONCE:
                    break
        return brought

    def _bring(self, service: str, lane: int) -> int:
        """Bring some; died half way, they are brought once more."""
        self._publisher.ready()
        with self._store.write() as conn:
            most = _AT_ONCE
            if lane == queue.SLOW:
                most = min(most, _MOST_SLOW - relayed.slow_relayed(conn, service))
            found = relayed.load(conn, service, lane, max(most, 0), now=self._clock.now())
            self._publisher.publish(found.values())
            if found:
                relayed.relay(conn, found)
        return len(found)
