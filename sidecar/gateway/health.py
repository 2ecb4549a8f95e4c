"""What attempts say about their services' health, written down for all replicas."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sidecar.gateway import circuit as breaker
from sidecar.model import Attempt, Circuit, CircuitState, Outcome
from sidecar.settings import CircuitBreakerSettings
from sidecar.store import circuits

_log = logging.getLogger("mih.circuit")


@dataclass(frozen=True, slots=True)
class Sighting:
    """One attempt at a service, with the policy that judges it. No attempt: the probe was not sent."""

    service: str
    policy: CircuitBreakerSettings
    attempt: Attempt | None
    probe: bool


def record(
    conn: Connection, sightings: Sequence[Sighting], known: Mapping[str, Circuit], *, now: datetime
) -> dict[str, Circuit]:
    """Write what the attempts say; return the circuits that were looked at.

    Locks only circuits that may change: while all is well, no query is spent on them.
    """
    names = {seen.service for seen in sightings if _matters(seen, known.get(seen.service))}
    if not names:
        return {}
    before = circuits.lock(conn, names, now=now)
    after = dict(before)
    for seen in sorted(sightings, key=lambda seen: seen.attempt.started_at if seen.attempt else now):
        if seen.service in after:
            after[seen.service] = _after(after[seen.service], seen, now)
    for name, circuit in after.items():
        if circuit != before[name]:
            circuits.save(conn, circuit, now=now)
            _tell(before[name], circuit)
    return after


def _after(circuit: Circuit, seen: Sighting, now: datetime) -> Circuit:
    if seen.attempt is None:
        return breaker.unprobed(circuit, now) if seen.probe else circuit
    return breaker.observe(circuit, seen.attempt, seen.policy, now=now, probe=seen.probe)


def _matters(seen: Sighting, circuit: Circuit | None) -> bool:
    """Whether this attempt can change its service's circuit; for a share of failures successes count."""
    if seen.attempt is None:
        return seen.probe
    at_rest = circuit is not None and circuit.state is CircuitState.CLOSED and circuit.failures == 0
    counted = seen.policy.failure_share is not None
    return seen.attempt.outcome is Outcome.FAILED or seen.probe or counted or not at_rest


def _tell(before: Circuit, after: Circuit) -> None:
    if before.state is not after.state:
        level = logging.INFO if after.state is CircuitState.CLOSED else logging.WARNING
        error = f" error={after.last_error!r}" if after.state is CircuitState.OPEN else ""
        _log.log(level, "circuit.%s service=%s was=%s%s", after.state, after.service, before.state, error)
