"""What the hub did, for whoever shows it: every attempt as it is settled, and how the store stands."""

import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sidecar.clock import Clock
from sidecar.hub import Hub
from sidecar.model import CircuitState, Held, Settlement, Step
from sidecar.store import counts, overview

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Fate(StrEnum):
    """What came of one attempt, in a word."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    PROBE_OK = "probe ok"
    PROBE_BAD = "probe bad"


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt, as it is shown."""

    at: datetime
    event: str
    rule: str
    service: str
    fate: Fate
    status: int | None
    latency_ms: float
    number: int
    error: str | None


@dataclass(frozen=True, slots=True)
class ServiceView:
    """One service at a moment."""

    name: str
    circuit: CircuitState
    error: str | None
    sent: int
    retries: int
    dead: int
    parked: int
    waiting: int  # its turn comes by itself: due, being sent, or between two tries
    latency_ms: float | None


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything at a moment."""

    at: datetime
    elapsed_s: float
    rows: int
    matched: int
    held: int
    delivered: int
    behind: int
    gaps: int
    services: tuple[ServiceView, ...]


class Tally:
    """Counts attempts; its `settled` is the hub's callback and may come from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._start = clock, clock.monotonic()
        self._fresh: deque[Try] = deque()
        self._fates: Counter[tuple[str, Fate]] = Counter()
        self._latency_ms: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the counting began."""
        return self._clock.monotonic() - self._start

    def settled(self, settlement: Settlement) -> None:
        """Take note of one attempt."""
        seen = describe(settlement)
        if seen is None:
            return
        with self._lock:
            self._fresh.append(seen)
            self._fates[seen.service, seen.fate] += 1
            before = self._latency_ms.get(seen.service, seen.latency_ms)
            self._latency_ms[seen.service] = before * 0.8 + seen.latency_ms * 0.2

    def fresh(self) -> list[Try]:
        """Return the attempts since the last call, in order."""
        with self._lock:
            taken = list(self._fresh)
            self._fresh.clear()
        return taken

    def count(self, *fates: Fate, service: str | None = None) -> int:
        """Return how many attempts came to one of these fates."""
        with self._lock:
            return sum(
                n
                for (name, fate), n in self._fates.items()
                if fate in fates and (service is None or name == service)
            )

    def look(self, hub: Hub, rows: int) -> Picture:
        """Return how things stand: the attempts from here, all else from the store."""
        now = self._clock.now()
        with hub.store.read() as conn:
            found = overview.look(conn, hub.settings, now=now)
            matched = counts.totals(conn, since=_EVER)
        return Picture(
            at=now,
            elapsed_s=self.elapsed_s,
            rows=rows,
            matched=sum(n for _, what, n in matched if what in (counts.QUEUED, counts.DEAD)),
            held=sum(n for _, what, n in matched if what in set(Held)),
            delivered=self.count(Fate.DELIVERED, Fate.PROBE_OK),
            behind=max((found.cursor.head or 0) - found.cursor.position, 0) if found.cursor else 0,
            gaps=found.ids_open,
            services=tuple(self._view(lot) for lot in found.lots),
        )

    def _view(self, lot: overview.Lot) -> ServiceView:
        with self._lock:
            latency_ms = self._latency_ms.get(lot.service)
        return ServiceView(
            name=lot.service,
            circuit=lot.circuit.state,
            error=lot.circuit.last_error,
            sent=self.count(Fate.DELIVERED, Fate.PROBE_OK, service=lot.service),
            retries=self.count(Fate.RETRY, service=lot.service),
            dead=lot.dead,
            parked=lot.parked,
            waiting=lot.pending - lot.parked + lot.sending,
            latency_ms=latency_ms,
        )


def describe(settlement: Settlement) -> Try | None:
    """Return an attempt as it is shown; None if nothing was sent."""
    attempt, delivery = settlement.attempt, settlement.claimed.delivery
    if attempt is None:
        return None
    return Try(
        at=attempt.started_at,
        event=(delivery.event or "").rpartition("\\")[2],
        rule=delivery.rule or "",
        service=delivery.service,
        fate=_fate(settlement.decision.step, settlement.claimed.probe),
        status=attempt.status,
        latency_ms=attempt.latency_ms,
        number=settlement.claimed.attempts + 1,
        error=attempt.error,
    )


def _fate(step: Step, probe: bool) -> Fate:
    match step:
        case Step.DONE:
            return Fate.PROBE_OK if probe else Fate.DELIVERED
        case Step.BURY:
            return Fate.DEAD
        case Step.PARK:
            return Fate.PROBE_BAD
        case Step.RETRY:
            return Fate.RETRY
