"""The circuit breaker as pure functions: one circuit and one observation in, the next circuit out."""

from dataclasses import replace
from datetime import datetime, timedelta

from sidecar.model import Attempt, Circuit, CircuitState, Outcome
from sidecar.settings import CircuitBreakerSettings


def observe(
    circuit: Circuit, attempt: Attempt, policy: CircuitBreakerSettings, *, now: datetime, probe: bool
) -> Circuit:
    """Return the circuit after one attempt.

    Closed: failures in a row add up and open it, any sign of life clears them; a large share of failures
    within a window opens it, too. Half-open: only the probe decides. Open: answers to what was in flight
    change nothing but the last error. `failures` counts on with each failed probe. Where nothing was sent,
    nothing was learnt: the probe is free again.
    """
    if attempt.outcome.alive:
        return _alive(circuit, policy, now, probe)
    if attempt.outcome is not Outcome.FAILED:
        return unprobed(circuit, now) if probe else circuit
    failed = replace(circuit, last_error=attempt.error, last_error_at=now)
    if circuit.state is CircuitState.CLOSED:
        failed = _counted(replace(failed, failures=circuit.failures + 1), policy, now, failed=1)
        return _opened(failed, policy, now) if _is_ill(failed, policy) else failed
    if circuit.state is CircuitState.HALF_OPEN and probe:
        failed = replace(failed, failures=circuit.failures + 1, failed_probes=circuit.failed_probes + 1)
        return _shut(failed, policy, now)
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


def cooldown_s(failed_probes: int, policy: CircuitBreakerSettings) -> float:
    """Return the seconds until the next probe: longer with each that failed, up to a maximum."""
    longest = max(policy.max_cooldown, policy.cooldown)
    # The exponent is bounded, so that no float overflows; at 60 every factor but 1 has reached any maximum.
    return float(min(policy.cooldown * policy.cooldown_factor ** min(failed_probes, 60), longest))


def _alive(circuit: Circuit, policy: CircuitBreakerSettings, now: datetime, probe: bool) -> Circuit:
    if circuit.state is CircuitState.CLOSED:
        return _counted(replace(circuit, failures=0) if circuit.failures else circuit, policy, now, failed=0)
    if circuit.state is CircuitState.HALF_OPEN and probe:
        return replace(
            _forgotten(circuit),
            state=CircuitState.CLOSED,
            failures=0,
            failed_probes=0,
            opened_at=None,
            probe_at=None,
            drain_before=now,
        )
    return circuit


def _is_ill(circuit: Circuit, policy: CircuitBreakerSettings) -> bool:
    if circuit.failures >= policy.failure_threshold:
        return True
    enough = circuit.window_requests >= policy.min_requests
    return (
        policy.failure_share is not None
        and enough
        and circuit.window_failures >= policy.failure_share * circuit.window_requests
    )


def _counted(circuit: Circuit, policy: CircuitBreakerSettings, now: datetime, *, failed: int) -> Circuit:
    """Count one request in the window, which begins with its first one and is forgotten when it is over."""
    if policy.failure_share is None:
        return circuit
    if circuit.window_at is None or now >= circuit.window_at + timedelta(seconds=policy.window):
        return replace(circuit, window_at=now, window_requests=1, window_failures=failed)
    return replace(
        circuit,
        window_requests=circuit.window_requests + 1,
        window_failures=circuit.window_failures + failed,
    )


def _forgotten(circuit: Circuit) -> Circuit:
    return replace(circuit, window_at=None, window_requests=0, window_failures=0)


def _opened(circuit: Circuit, policy: CircuitBreakerSettings, now: datetime) -> Circuit:
    return replace(_shut(_forgotten(circuit), policy, now), opened_at=now)


def _shut(circuit: Circuit, policy: CircuitBreakerSettings, now: datetime) -> Circuit:
    wait = timedelta(seconds=cooldown_s(circuit.failed_probes, policy))
    return replace(circuit, state=CircuitState.OPEN, probe_at=now + wait)
