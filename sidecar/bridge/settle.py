"""What came of sending: the fate of the delivery, what it says about the service, one line in the log."""

import logging
from collections.abc import Sequence
from datetime import datetime

from sidecar.bridge.lanes import Sent
from sidecar.gateway import retry
from sidecar.gateway.health import Sighting
from sidecar.model import Decision, Settlement, Step

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


def sightings(batch: Sequence[Sent]) -> list[Sighting]:
    """Return what the attempts of a batch say about their services."""
    return [
        Sighting(
            sent.item.lane.name, sent.item.lane.service.circuit_breaker, sent.attempt, sent.item.claimed.probe
        )
        for sent in batch
        if sent.attempt is not None
    ]


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
