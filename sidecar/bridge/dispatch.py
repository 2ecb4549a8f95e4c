"""Claim due deliveries, have them sent, settle what came of it."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from math import inf
from queue import Empty, SimpleQueue
from random import Random

from sidecar.bridge.effort import Effort
from sidecar.bridge.engine import Engine, StoreEngine
from sidecar.bridge.lanes import Desk, InHand, Lane, Sent
from sidecar.bridge.lines import Permits
from sidecar.bridge.outlook import Outlook
from sidecar.bridge.pace import Pace
from sidecar.bridge.senders import work
from sidecar.bridge.settle import has_expired, judge, pause_gone, sightings, tell, tell_paused, without_texts
from sidecar.bridge.terms import Terms
from sidecar.clock import Clock
from sidecar.gateway import circuit as breaker
from sidecar.gateway import health
from sidecar.model import Settlement
from sidecar.settings import DispatchSettings, RetrySettings, Rule, Service
from sidecar.store.engine import Database
from sidecar.store.faults import UNSTORABLE
from sidecar.store.settle import settle

_log = logging.getLogger("mih.dispatch")

_MOST_AT_ONCE = 500
_LINGER_S, _LONGEST_LINGER_S = 0.01, 0.04
_FEW, _MANY, _ENOUGH = 10, 20, 200  # settlements in a batch
_LEAST_SHARE = 4  # requests in flight: one slow answer is not to hold up all of a service


class Dispatcher:
    """The sending half of the bridge: one conductor thread calls `run_once`, senders do the waiting.

    Every replica may run one: a delivery is in one process's hands at a time, by its lease. What cannot be
    settled, because the store is away, is kept and settled before anything else is claimed.
    """

    def __init__(
        self,
        store: Database,
        wanted: Mapping[str, Service],
        *,
        replica: str,
        settings: DispatchSettings,
        clock: Clock,
        rules: Iterable[Rule] = (),
        chance: Random | None = None,
        settled: Callable[[Settlement], None] | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._store, self._replica, self._settings, self._clock = store, replica, settings, clock
        self._settled = settled
        self._sent: SimpleQueue[Sequence[Sent]] = SimpleQueue()
        self._lanes: dict[str, Lane] = {}
        self._leaving: list[Lane] = []
        self._wanted = Terms(wanted, rules)
        self._applied: Terms | None = None
        self._chance = chance or Random()  # noqa: S311 - it spreads retries, it keeps no secret
        self._unsettled: list[Sent] = []
        self._linger_s = _LINGER_S
        self._effort = Effort()
        self._renew_at = 0.0
        pace = Pace(store, clock)
        self._engine = engine or StoreEngine(store, clock, replica=replica, lease_s=settings.lease)
        self._outlook = Outlook(store, self._engine, clock, poll_s=settings.poll)
        self._desk = Desk(work, self._sent.put, self._may_send, pace.next_times, self._chance.random)
        self._stopping = threading.Event()

    def configure(self, wanted: Mapping[str, Service], rules: Iterable[Rule] = ()) -> None:
        """Use other services and rules' policies from the next round on. Safe from any thread."""
        self._wanted = Terms(wanted, rules)
        self.wake()

    def wake(self) -> None:
        """Look for due deliveries now. Safe from any thread."""
        self._sent.put(())

    @property
    def in_hand(self) -> int:
        """How many deliveries this process holds."""
        return sum(len(lane.in_hand) for lane in self._all_lanes())

    def run_once(self) -> None:
        """Make one round: gather what was sent, settle it, claim more. Waits while there is nothing to do."""
        self._reconfigure()
        self._unsettled += self._gather(0 if self._unsettled else self._wait_s())
        self._settle()
        self._claim()
        self._staff()
        self._renew()

    def stop(self) -> None:
        """Send nothing more; finish what is in flight within the grace, settle it, and free the rest."""
        self._stopping.set()
        ends = self._clock.monotonic() + self._settings.shutdown_grace
        for lane in self._all_lanes():
            lane.close()
        self._settle()
        while self.in_hand and (left := ends - self._clock.monotonic()) > 0:
            self._unsettled += self._gather(left)
            self._settle()
        rest = [item.claimed for item in self._items()]
        if rest:
            _log.warning(
                "dispatch.cut_off deliveries=%d: they will be sent again with the same ids", len(rest)
            )
        self._engine.release(rest)

    def _reconfigure(self) -> None:
        wanted = self._wanted
        if wanted is self._applied:
            return
        self._applied = wanted
        share = self._settings.concurrency // max(len(wanted.services), 1)
        fair = max(share, min(_LEAST_SHARE, self._settings.concurrency))
        self._leaving = [lane for lane in self._leaving if lane.in_hand]
        for name in list(self._lanes):
            lane = self._lanes[name]
            same = wanted.services.get(name) == lane.service and wanted.manners(name) == lane.manners
            if not same or lane.capacity != (lane.service.max_concurrency or fair):
                lane.close()
                self._leaving.append(self._lanes.pop(name))
        for name, service in wanted.services.items():
            if name not in self._lanes:
                self._lanes[name] = Lane(
                    name,
                    service,
                    self._permits(name, service, service.max_concurrency or fair),
                    at_first=max(share, 1),
                    manners=wanted.manners(name),
                    clock=self._clock,
                    desk=self._desk,
                )

    def _permits(self, name: str, service: Service, capacity: int) -> Permits:
        """Return the permits of a lane to come: of the one that it replaces, if it leads to the same place.

        What still hangs there holds its own, and at another address it is in nobody's way.
        """
        for lane in self._leaving:
            if (lane.name, lane.service.base_url) == (name, service.base_url):
                lane.lines.permits.limit(capacity)
                return lane.lines.permits
        return Permits(capacity)

    def _may_send(self, item: InHand) -> bool:
        """Ask just before sending: the world may have changed since the claim."""
        timeout_s = item.lane.timeout_s(item.delivery)
        here = self._clock.monotonic()
        timely = here + timeout_s < item.lease_ends and here <= item.not_after
        timely = timely and not has_expired(item.delivery, self._clock.now())
        leaving = self._stopping.is_set() or item.lane.closing
        return timely and not leaving and (item.claimed.probe or self._outlook.open_to(item.lane.name))

    def _wait_s(self) -> float:
        return self._outlook.wait_s(self._lanes.values(), self._clock.now())

    def _gather(self, wait_s: float) -> list[Sent]:
        """Wait for something to happen, then a moment more, so that settlements come in batches.

        The more comes in the longer that moment: each batch has its cost, however large it is.
        """
        try:
            batch = list(self._sent.get(timeout=wait_s))
        except Empty:
            return []
        self._take_into(batch)
        if 0 < len(batch) < _ENOUGH:
            self._stopping.wait(self._linger_s)
            self._take_into(batch)
        longer = len(batch) >= _MANY and self._linger_s < _LONGEST_LINGER_S
        self._linger_s = self._linger_s * 2 if longer else self._linger_s
        if len(batch) < _FEW:
            self._linger_s = _LINGER_S
        return batch

    def _take_into(self, batch: list[Sent]) -> None:
        """Add what was handed back up to now."""
        with suppress(Empty):
            while len(batch) < _MOST_AT_ONCE:
                batch += self._sent.get_nowait()

    def _settle(self) -> None:
        """Settle all that was handed back; what the store cannot hold must not keep the rest from it."""
        try:
            self._settle_first(len(self._unsettled))
        except UNSTORABLE as error:
            reason = f"{type(error).__name__}: {error}"[:300]
            _log.warning("dispatch.isolating deliveries=%d reason=%r", len(self._unsettled), reason)
            while self._unsettled:
                self._settle_alone()

    def _settle_alone(self) -> None:
        try:
            self._settle_first(1)
        except UNSTORABLE:
            self._unsettled[0] = without_texts(self._unsettled[0])
            self._settle_first(1)

    def _settle_first(self, number: int) -> None:
        """Transaction T3: request log, circuits, queue and dead letters together."""
        batch = self._unsettled[:number]
        if not batch:
            return
        with self._store.write() as conn:
            now = self._clock.now()
            seen = health.record(conn, sightings(batch, now=now), self._outlook.circuits, now=now)
            settlements = [judge(sent, self._retry(sent), now=now, chance=self._chance) for sent in batch]
            valid = settle(conn, settlements, replica=self._replica, now=now)
            gone = pause_gone(conn, batch, now=now)
        tell_paused(gone)
        del self._unsettled[:number]
        self._outlook.settled(seen, gone)
        for sent in batch:
            sent.item.lane.done(sent)
        policies = {sent.item.claimed.number: self._retry(sent) for sent in batch}
        for settlement in valid:
            tell(settlement, 1 + policies[settlement.claimed.number].most_retries)
            if self._settled:
                self._settled(settlement)
        self._engine.settled(settlements, valid)
        if len(valid) < len(settlements):
            _log.warning("dispatch.lease_lost deliveries=%d", len(settlements) - len(valid))

    def _retry(self, sent: Sent) -> RetrySettings:
        return self._wanted.retry(sent.item.claimed.delivery, sent.item.lane.service)

    def _claim(self) -> None:
        """Transaction T2: take due deliveries for services that can be called and have room."""
        if not any(lane.room for lane in self._lanes.values()):
            return
        now = self._clock.now()
        due = self._outlook.look(self._lanes.values(), now)
        ready = [lane for lane in self._lanes.values() if self._is_ready(lane, due.get(lane.name), now)]
        more = self._engine.claim(ready, now)
        for lane in ready:
            lane.hot = lane.name in more
        self._outlook.expect(self._lanes.values(), due, now)

    def _is_ready(self, lane: Lane, due: datetime | None, now: datetime) -> bool:
        """Tell whether to claim for a service together with others; a probe and batches are claimed here."""
        circuit, waits = self._outlook.circuits.get(lane.name), lane.hot or (due is not None and due <= now)
        lane.drain_before, lane.hot = circuit.drain_before if circuit else None, False
        if not self._outlook.may_claim(lane, now):
            return False
        if circuit is not None and not breaker.admits(circuit):
            if waits:
                self._engine.claim_probe(lane, now)
            return False
        if lane.manners.batches:
            lane.hot = (waits or due is not None) and self._engine.claim_batches(lane, now)
            return False
        return waits

    def _staff(self) -> None:
        """Give each service as many senders as get the most done.

        What they share goes to those that have work: many services with little to do leave it to the others.
        """
        share = self._effort.share()
        if share is None:
            return
        shared = [lane for lane in self._lanes.values() if lane.service.max_concurrency is None]
        full = sum(lane.busy for lane in shared) >= self._settings.concurrency
        for lane in self._lanes.values():
            lane.look(share, may_grow=not (full and lane.service.max_concurrency is None))

    def _renew(self) -> None:
        """Extend the leases of what is in hand, long before they end."""
        if self._clock.monotonic() < self._renew_at:
            return
        items = self._items()
        ends = self._clock.monotonic() + self._settings.lease
        if items:
            until = self._clock.now() + timedelta(seconds=self._settings.lease)
            held = self._engine.renew([item.claimed for item in items], until)
            for item in items:
                ours = (item.claimed.number, item.claimed.token) in held
                item.lease_ends = ends if ours else -inf
        self._renew_at = self._clock.monotonic() + self._renewal_s()

    def _renewal_s(self) -> float:
        """Return how often to renew, so that what is in hand always has more than a timeout left."""
        longest = max((lane.longest_timeout_s for lane in self._all_lanes()), default=0)
        return min(self._settings.lease / 3, (self._settings.lease - longest) / 2)

    def _items(self) -> list[InHand]:
        return [item for lane in self._all_lanes() for item in lane.in_hand.values()]

    def _all_lanes(self) -> list[Lane]:
        return [*self._lanes.values(), *self._leaving]
