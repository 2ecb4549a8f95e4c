"""What came of sending: the fate of the delivery, what it says about the service, one line in the log."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from random import Random

from sqlalchemy import Connection

from sidecar.bridge.lanes import Sent
from sidecar.errors import said
from sidecar.gateway import gone, retry
from sidecar.gateway.health import Sighting
from sidecar.model import DeadReason, Decision, Delivery, Settlement, Step
from sidecar.settings import RetrySettings

_log = logging.getLogger("mih.dispatch")

_NOT_SENT = Decision(Step.PARK)
_EXPIRED = Decision(Step.BURY, reason=DeadReason.EXPIRED)


def judge(sent: Sent, policy: RetrySettings, *, now: datetime, chance: Random) -> Settlement:
    """Return what becomes of a delivery after it was handed back."""
    claimed = sent.item.claimed
    if sent.attempt is None and has_expired(claimed.delivery, now):
        return Settlement(claimed, None, _EXPIRED)
    if sent.attempt is None or gone.is_gone(sent.attempt):
        return Settlement(claimed, sent.attempt, _NOT_SENT)
    chance = chance if sent.luck is None else _Drawn(sent.luck)
    decision = retry.decide(
        sent.attempt, retries=claimed.attempts, policy=policy, now=now, probe=claimed.probe, chance=chance
    )
    return Settlement(claimed, sent.attempt, decision)


def has_expired(delivery: Delivery, now: datetime) -> bool:
    """Whether it is too late to send it."""
    return delivery.expires_at is not None and delivery.expires_at <= now


class _Drawn(Random):
    """What chance has said already."""

    def __init__(self, drawn: float) -> None:
        super().__init__(0)
        self._drawn = drawn

    def random(self) -> float:
        """Return it once more."""
        return self._drawn


def pause_gone(conn: Connection, batch: Sequence[Sent], *, now: datetime) -> frozenset[str]:
    """Pause the services that are gone; return those that were not paused before."""
    names = {sent.item.lane.name for sent in batch if sent.attempt is not None and gone.is_gone(sent.attempt)}
    return gone.pause(conn, names, now=now)


def tell_paused(names: frozenset[str]) -> None:
    """Write the notice: only a person can move their deliveries on."""
    gone.tell(names)


def without_texts(sent: Sent) -> Sent:
    """Return it without what the service said, for a store that cannot hold that."""
    if sent.attempt is None:
        return sent
    attempt = replace(sent.attempt, error=said("its text cannot be stored"), response=None, request=None)
    return replace(sent, attempt=attempt)


def sightings(batch: Sequence[Sent], *, now: datetime) -> list[Sighting]:
    """Return what the attempts of a batch say about their services, and which probes were not sent."""
    return [
        Sighting(
            sent.item.lane.name, sent.item.lane.service.circuit_breaker, sent.attempt, sent.item.claimed.probe
        )
        for sent in batch
        if (sent.charged if sent.attempt is not None else _is_ours(sent, now))
    ]


def _is_ours(sent: Sent, now: datetime) -> bool:
    """Whether this is a probe that nobody else can have taken over: only then may we set it free."""
    until = sent.item.probe_until
    return until is not None and now < until


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
