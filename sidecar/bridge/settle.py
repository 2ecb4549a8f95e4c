"""What came of sending: the circuit of the service, the fate of the delivery, one line in the log."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from sidecar.bridge.lanes import Sent
from sidecar.gateway import circuit as breaker
from sidecar.gateway import retry
from sidecar.model import Circuit, CircuitState, Decision, Outcome, Settlement, Step
from sidecar.store import circuits

_log = logging.getLogger("mih.dispatch")

_NOT_SENT = Decision(Step.PARK)


def judge(sent: Sent, *, now: datetime) -> Settlement:
    """Return what becomes of a delivery after it was handed back."""
    claimed, policy = sent.item.claimed, sent.item.lane.service.retry
    if sent.attempt is None:
        return Settlement(claimed, None, _NOT_SENT)
    decision = retry.decide(
        sent.attempt, retries=claimed.attempts, policy=policy, now=now, probe=claimed.probe
    )
    return Settlement(claimed, sent.attempt, decision)


def observe(
    conn: Connection, batch: Sequence[Sent], known: Mapping[str, Circuit], *, now: datetime
) -> dict[str, Circuit]:
    """Write what the attempts say about the services' health; return the circuits that were looked at.

    Locks only circuits that may change: while all is well, no query is spent on them.
    """
    tried = sorted((sent for sent in batch if sent.attempt), key=_started)
    names = {sent.item.lane.name for sent in tried if _matters(sent, known)}
    if not names:
        return {}
    before = circuits.lock(conn, names, now=now)
    after = dict(before)
    for sent in tried:
        name = sent.item.lane.name
        if name in after and sent.attempt:
            policy = sent.item.lane.service.circuit_breaker
            after[name] = breaker.observe(
                after[name], sent.attempt, policy, now=now, probe=sent.item.claimed.probe
            )
    for name, circuit in after.items():
        if circuit != before[name]:
            circuits.save(conn, circuit, now=now)
            _tell(before[name], circuit)
    return after


def tell(settlement: Settlement, most_tries: int) -> None:
    """Write the one line of an attempt."""
    claimed, attempt, decision = settlement.claimed, settlement.attempt, settlement.decision
    if attempt is None or not _log.isEnabledFor(logging.INFO):
        return
    _log.info(
        "delivery.attempted delivery=%d service=%s rule=%s attempt=%d/%d outcome=%s status=%s "
        "latency_ms=%.0f%s",
        claimed.number,
        claimed.delivery.service,
        claimed.delivery.rule,
        claimed.attempts + 1,
        most_tries,
        decision.step,
        attempt.status or "-",
        attempt.latency_ms,
        f" error={attempt.error!r}" if attempt.error else "",
    )


def _matters(sent: Sent, known: Mapping[str, Circuit]) -> bool:
    """Whether this attempt can change its service's circuit."""
    circuit = known.get(sent.item.lane.name)
    at_rest = circuit is not None and circuit.state is CircuitState.CLOSED and circuit.failures == 0
    failed = sent.attempt is not None and sent.attempt.outcome is Outcome.FAILED
    return failed or sent.item.claimed.probe or not at_rest


def _started(sent: Sent) -> datetime:
    assert sent.attempt is not None
    return sent.attempt.started_at


def _tell(before: Circuit, after: Circuit) -> None:
    if before.state is not after.state:
        level = logging.INFO if after.state is CircuitState.CLOSED else logging.WARNING
        error = f" error={after.last_error!r}" if after.state is CircuitState.OPEN else ""
        _log.log(level, "circuit.%s service=%s was=%s%s", after.state, after.service, before.state, error)
