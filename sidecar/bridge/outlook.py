"""How services are: which of them may be called now, and when it is worth looking again."""

from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import chain

from sidecar.bridge.calm import Calm
from sidecar.bridge.engine import Engine
from sidecar.bridge.lanes import Lane
from sidecar.clock import Clock
from sidecar.gateway import circuit as breaker
from sidecar.model import Circuit
from sidecar.store import lookout
from sidecar.store.engine import Database

_KNOWN_S = 0.25
_STARVED_S = 0.02


class Outlook:
    """Kept by the conductor; `open_to` is asked by senders, too."""

    def __init__(self, store: Database, engine: Engine, clock: Clock, *, poll_s: float) -> None:
        self._store, self._engine, self._clock, self._poll_s = store, engine, clock, poll_s
        self._paused: frozenset[str] = frozenset()
        self._known_until = 0.0
        self._next_at: datetime | None = None
        self._calm = Calm(clock)
        self.circuits: dict[str, Circuit] = {}

    def open_to(self, name: str) -> bool:
        """Whether a service is neither paused nor kept from requests by its circuit."""
        circuit = self.circuits.get(name)
        return name not in self._paused and (circuit is None or breaker.admits(circuit))

    def may_claim(self, lane: Lane, now: datetime) -> bool:
        """Whether something can be claimed for a service now, be it a probe."""
        if not lane.room or lane.name in self._paused or lane.paced(now):
            return False
        circuit = self.circuits.get(lane.name)
        return circuit is None or breaker.admits(circuit) or breaker.probe_due(circuit, now)

    def look(self, lanes: Collection[Lane], now: datetime) -> Mapping[str, datetime]:
        """Learn which services can be called, and return when the next delivery of each is due."""
        every = all(lane.hot or not lane.room for lane in lanes)
        if every and self._clock.monotonic() < self._known_until:
            return {}
        with self._store.read() as conn:
            seen = lookout.look(conn)
        self._paused, self.circuits = seen.paused, seen.circuits
        self._known_until = self._clock.monotonic() + _KNOWN_S
        return self._engine.serve(lanes, seen, now)

    def settled(self, circuits: Mapping[str, Circuit], gone: frozenset[str]) -> None:
        """Take over what settling has shown: circuits as they are now, and services that are gone."""
        self.circuits.update(circuits)
        self._paused |= gone
        self._next_at = None
        self._calm.stirred()

    def expect(self, lanes: Collection[Lane], due: Mapping[str, datetime], now: datetime) -> None:
        """Note when something will have to be looked at: deliveries due, cooldowns over, free moments."""
        cooldowns = (circuit.probe_at for circuit in self.circuits.values())
        rated = (moment for lane in lanes for moment in (lane.resume_at, lane.drain_at))
        moments = filter(None, chain(due.values(), cooldowns, rated))
        self._next_at = min((moment for moment in moments if moment > now), default=None)

    def wait_s(self, lanes: Collection[Lane], now: datetime) -> float:
        """Return for how long there is nothing to claim, unless something is handed back."""
        if any(lane.hot and lane.room and not lane.paced(now) for lane in lanes):
            return 0
        if any(lane.starved for lane in lanes):
            return _STARVED_S
        poll_s = self._calm.every_s(self._poll_s)
        if self._next_at is None:
            return poll_s
        return min(max((self._next_at - now).total_seconds(), 0), poll_s)
