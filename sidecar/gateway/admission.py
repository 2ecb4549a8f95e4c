"""Whether a direct call may go out now: its service's pause, circuit and rate limit, as all replicas see."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sidecar.clock import Clock
from sidecar.gateway import circuit as breaker
from sidecar.gateway import gone, health
from sidecar.gateway.health import Sighting
from sidecar.gateway.rate import AHEAD_S, Slots, free_slots
from sidecar.model import Circuit, CircuitState
from sidecar.settings import Service
from sidecar.store import circuits, rates, services
from sidecar.store.engine import Database

_PROBE_SLACK_S = 10.0
_HEALTH_KNOWN_S = 0.25
_SHORTEST_WAIT_S = 0.01


@dataclass(frozen=True, slots=True)
class Leave:
    """The call may go out now. `probe`: it is the one request that this cooldown allows."""

    probe: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is to be sent, and when it is worth asking again; None where a person has to act."""

    reason: str
    again_at: datetime | None = None


class Admission:
    """One for all threads that call. `wait` lets time pass, and may raise to end a call."""

    def __init__(self, store: Database, clock: Clock, wait: Callable[[float], None]) -> None:
        self._store, self._clock, self._wait = store, clock, wait
        self._circuits: dict[str, Circuit] = {}
        self._paused: frozenset[str] = frozenset()
        self._known_until = 0.0
        self._lock = threading.Lock()
        self._turns: dict[tuple[str, float], _Turns] = {}

    def ask(self, name: str, service: Service) -> Leave | Refusal:
        """Return the leave to call the service now, or why not. Waits for the rate limit, at most a timeout.

        A probe is taken last, so that nobody waits with it.
        """
        refusal = self._obstacle(name, service)
        if refusal is None and service.rate_limit is not None:
            refusal = self._await_moment(name, service, service.rate_limit) or self._obstacle(name, service)
        return refusal or self._leave(name, service)

    def learn(self, conn: Connection, seen: Sighting, service: Service, *, now: datetime) -> frozenset[str]:
        """Write down what an attempt says of its service; return it if that paused it just now."""
        self._circuits |= health.record(conn, [seen], self._circuits, now=now)
        if seen.attempt is None or not gone.is_gone(seen.attempt):
            return frozenset()
        services.enter(conn, {seen.service: service}, now=now)
        self._paused |= {seen.service}
        return gone.pause(conn, [seen.service], now=now)

    def _obstacle(self, name: str, service: Service) -> Refusal | None:
        self._look()
        if not service.enabled or name in self._paused:
            return Refusal(f"{name} is {'paused' if name in self._paused else 'disabled'}")
        circuit = self._circuits.get(name)
        if circuit is None or breaker.admits(circuit) or breaker.probe_due(circuit, self._clock.now()):
            return None
        return _shut(circuit)

    def _leave(self, name: str, service: Service) -> Leave | Refusal:
        circuit = self._circuits.get(name)
        if circuit is None or breaker.admits(circuit):
            return Leave()
        with self._store.write() as conn:
            wait_s = service.timeout + _PROBE_SLACK_S
            if circuits.take_probe(conn, name, now=self._clock.now(), wait_s=wait_s):
                return Leave(probe=True)
        self._known_until = 0.0
        self._look()  # somebody else has the probe, or its answer already
        circuit = self._circuits.get(name)
        return Leave() if circuit is None or breaker.admits(circuit) else _shut(circuit)

    def _look(self) -> None:
        if self._clock.monotonic() >= self._known_until:
            with self._store.read() as conn:
                self._circuits, self._paused = circuits.load_all(conn), services.paused(conn)
            self._known_until = self._clock.monotonic() + _HEALTH_KNOWN_S

    def _await_moment(self, name: str, service: Service, rate: float) -> Refusal | None:
        """Wait for a moment that the rate limit gives; None when it has come."""
        patience = _Patience(self._clock, self._wait, service.timeout)
        turns = self._turns_of(name, rate)
        if turns.waiting.acquire(timeout=patience.left_s):
            try:
                while (slots := self._moment(name, rate, patience, turns)) is not None:
                    patience.wait((slots.first - self._clock.now()).total_seconds())
                    if (self._clock.now() - slots.first).total_seconds() <= slots.late_s:
                        return None
            finally:
                turns.waiting.release()
        again_at = patience.again_at or self._clock.now() + timedelta(seconds=1 / rate)
        shown = f"{again_at:%H:%M:%S} UTC"
        return Refusal(f"the rate limit of {name} has no room for this call before {shown}", again_at)

    def _moment(self, name: str, rate: float, patience: "_Patience", turns: "_Turns") -> Slots | None:
        """Take a moment, waiting for one to become free; None if that would take too long."""
        if not turns.asking.acquire(timeout=max(patience.left_s, 0)):
            return None
        try:
            while not (slots := self._take(name, rate, ahead_s=min(AHEAD_S, patience.left_s))).count:
                away_s = (slots.first - self._clock.now()).total_seconds()
                patience.again_at = slots.first
                if away_s > patience.left_s:
                    return None
                patience.wait(max(away_s - AHEAD_S, _SHORTEST_WAIT_S))
            return slots
        finally:
            turns.asking.release()

    def _turns_of(self, name: str, rate: float) -> "_Turns":
        with self._lock:
            return self._turns.setdefault((name, rate), _Turns(rate))

    def _take(self, name: str, rate: float, *, ahead_s: float) -> Slots:
        with self._store.write() as conn:
            next_at = rates.lock(conn, name)
            if next_at is None:  # nobody took one yet, or no sidecar has written the service down
                circuits.create(conn, [name], now=self._clock.now())
                next_at = rates.lock(conn, name)
            slots = free_slots(next_at, rate, now=self._clock.now(), most=1, ahead_s=ahead_s)
            if slots.count:
                rates.take(conn, name, until=slots.moment(1))
        return slots


class _Turns:
    """How the threads of one process take turns at the moments of one service.

    One at a time asks, else all that wait would ask for each moment. Only so many wait for a moment that is
    theirs as half of those there are: the queue, which takes what is free, is to have some, too.
    """

    def __init__(self, rate: float) -> None:
        self.asking = threading.Lock()
        self.waiting = threading.Semaphore(max(1, int(rate * AHEAD_S / 2)))


class _Patience:
    """How long one call goes on waiting for its moment: its waits and what passes between them."""

    def __init__(self, clock: Clock, wait: Callable[[float], None], seconds: float) -> None:
        self._clock, self._wait, self._seconds = clock, wait, seconds
        self._began, self._waited_s = clock.monotonic(), 0.0
        self.again_at: datetime | None = None

    @property
    def left_s(self) -> float:
        return self._seconds - max(self._waited_s, self._clock.monotonic() - self._began)

    def wait(self, seconds: float) -> None:
        if seconds > 0:
            self._waited_s += seconds
            self._wait(seconds)


def _shut(circuit: Circuit) -> Refusal:
    until = f" until {circuit.probe_at:%H:%M:%S} UTC" if circuit.probe_at else ""
    state = f"open{until}" if circuit.state is CircuitState.OPEN else "half-open, a probe is under way"
    return Refusal(
        f"the circuit of {circuit.service} is {state}; its last error: {circuit.last_error}", circuit.probe_at
    )
