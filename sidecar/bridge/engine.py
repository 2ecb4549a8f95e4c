"""What the dispatcher asks of whoever carries deliveries: the store's own queue, or a broker."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from sidecar.bridge.claims import Claimer
from sidecar.bridge.lanes import Lane
from sidecar.bridge.pace import Pace
from sidecar.clock import Clock
from sidecar.model import Claimed, Settlement, Step
from sidecar.store import leases, order
from sidecar.store.engine import Database
from sidecar.store.lookout import Lookout


class Engine(Protocol):
    """Below it deliveries lie, above it they are sent and settled. One thread calls it."""

    def serve(self, lanes: Collection[Lane], seen: Lookout, now: datetime) -> Mapping[str, datetime]:
        """Learn how services are; return when the earliest delivery of each is or was due."""

    def claim(self, lanes: Sequence[Lane], now: datetime) -> set[str]:
        """Put what is due into lanes, as room and rate of each allow; return the names that may have more."""

    def claim_batches(self, lane: Lane, now: datetime) -> bool:
        """Do so for a service of which rules send many in one request."""

    def claim_probe(self, lane: Lane, now: datetime) -> None:
        """Put the one delivery into a lane by which all processes learn whether the service is well again."""

    def settled(self, settlements: Sequence[Settlement], valid: Sequence[Settlement]) -> None:
        """Do what can only be done when it is committed what happened; `valid` were in force."""

    def renew(self, claimed: Sequence[Claimed], until: datetime) -> set[tuple[int, str]]:
        """Keep what is in hand for longer; return (number, token) of what still is ours."""

    def release(self, claimed: Sequence[Claimed]) -> None:
        """Give back what was not sent: nothing is asked of it any more."""


class StoreEngine(Claimer):
    """Deliveries lie in the store, and every process claims them there, each for the time of a lease."""

    def __init__(self, store: Database, clock: Clock, *, replica: str, lease_s: float) -> None:
        super().__init__(store, Pace(store, clock), clock, replica=replica, lease_s=lease_s)

    def serve(self, lanes: Collection[Lane], seen: Lookout, now: datetime) -> Mapping[str, datetime]:  # noqa: ARG002
        """Return what was seen: what is in the store stays there until it is claimed."""
        return seen.due

    def settled(self, settlements: Sequence[Settlement], valid: Sequence[Settlement]) -> None:  # noqa: ARG002
        """Let the next of each order key come forward."""
        over = [item.claimed for item in valid if item.decision.step in {Step.DONE, Step.BURY}]
        numbers = [item.number for item in over if item.delivery.order_key]
        if numbers:
            with self._store.write() as conn:
                order.pass_on(conn, numbers)

    def renew(self, claimed: Sequence[Claimed], until: datetime) -> set[tuple[int, str]]:
        with self._store.write() as conn:
            return leases.renew(conn, claimed, until=until)

    def release(self, claimed: Sequence[Claimed]) -> None:
        if claimed:
            with self._store.write() as conn:
                leases.release(conn, claimed)
