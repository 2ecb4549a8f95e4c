"""The circuit breaker as pure functions: one circuit and one observation in, the next circuit out."""

from dataclasses import replace
from datetime import datetime, timedelta

from sidecar.model import Attempt, Circuit, CircuitState, Outcome
from sidecar.settings import CircuitBreakerSettings


def observe(
    circuit: Circuit, attempt: Attempt, policy: CircuitBreakerSettings, *, now: datetime, probe: bool
) -> Circuit:
    """Return the circuit after one attempt.

    Closed: failures in a row add up and open it; any sign of life clears them. Half-open: only the probe
    decides. Open: answers to what was in flight change nothing but the last error. `failures` counts on
    with each failed probe. Where nothing was sent, nothing was learnt: the probe is free again.
    """
    if attempt.outcome.alive:
        return _alive(circuit, probe)
    if attempt.outcome is not Outcome.FAILED:
        return unprobed(circuit, now) if probe else circuit
    failed = replace(circuit, last_error=attempt.error, last_error_at=now)
    if circuit.state is CircuitState.CLOSED:
        failed = replace(failed, failures=circuit.failures + 1)
        if failed.failures < policy.failure_threshold:
            return failed
        return replace(_opened(failed, policy, now), opened_at=now)
    if circuit.state is CircuitState.HALF_OPEN and probe:
        return _opened(replace(failed, failures=circuit.failures + 1), policy, now)
    return failed


def unprobed(circuit: Circuit, now: datetime) -> Circuit:
    """Return the circuit whose probe was taken but not sent: another may go out at once."""
    if circuit.state is not CircuitState.HALF_OPEN:
        return circuit
    return replace(circuit, state=CircuitState.OPEN, probe_at=now)


def admits(circuit: Circuit) -> bool:
    """Whether ordinary traffic may pass; an open or half-open circuit lets only its probe through."""
    return circuit.state is CircuitState.CLOSED


def probe_due(circuit: Circuit, now: datetime) -> bool:
    """Whether the cooldown is over, or the last probe's answer is overdue because its holder died."""
    return not admits(circuit) and circuit.probe_at is not None and circuit.probe_at <= now


def _alive(circuit: Circuit, probe: bool) -> Circuit:
    if circuit.state is CircuitState.CLOSED:
        return replace(circuit, failures=0) if circuit.failures else circuit
    if circuit.state is CircuitState.HALF_OPEN and probe:
        return replace(circuit, state=CircuitState.CLOSED, failures=0, opened_at=None, probe_at=None)
    return circuit


def _opened(circuit: Circuit, policy: CircuitBreakerSettings, now: datetime) -> Circuit:
    return replace(circuit, state=CircuitState.OPEN, probe_at=now + timedelta(seconds=policy.cooldown))
