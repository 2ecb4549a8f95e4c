"""What came of sending: the fate of the delivery, what it says about the service, one line in the log."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from random import Random

from sqlalchemy import Connection

from sidecar.bridge.lanes import Sent
from sidecar.gateway import retry
from sidecar.gateway.health import Sighting
from sidecar.model import Attempt, Decision, Outcome, Settlement, Step
from sidecar.settings import RetrySettings
from sidecar.store import services

_log = logging.getLogger("mih.dispatch")

_GONE = 410
_NOT_SENT = Decision(Step.PARK)


def judge(sent: Sent, policy: RetrySettings, *, now: datetime, chance: Random) -> Settlement:
    """Return what becomes of a delivery after it was handed back."""
    claimed = sent.item.claimed
    if sent.attempt is None or is_gone(sent.attempt):
        return Settlement(claimed, sent.attempt, _NOT_SENT)
    decision = retry.decide(
        sent.attempt, retries=claimed.attempts, policy=policy, now=now, probe=claimed.probe, chance=chance
    )
    return Settlement(claimed, sent.attempt, decision)


def is_gone(attempt: Attempt) -> bool:
    """Whether the service says that it is no longer there: what waits for it is parked, not buried."""
    return attempt.outcome is Outcome.REJECTED and attempt.status == _GONE


def pause_gone(conn: Connection, batch: Sequence[Sent], *, now: datetime) -> frozenset[str]:
    """Pause the services that are gone; return those that were not paused before."""
    gone = {sent.item.lane.name for sent in batch if sent.attempt is not None and is_gone(sent.attempt)}
    if not gone:
        return frozenset()
    new = gone - services.paused(conn)
    return frozenset(name for name in sorted(new) if services.pause(conn, name, pause=True, now=now))


def tell_paused(names: frozenset[str]) -> None:
    """Write the notice: only a person can move their deliveries on."""
    for name in sorted(names):
        _log.warning("service.paused service=%s: it answered 410 Gone; mih services resume %s", name, name)


def without_texts(sent: Sent) -> Sent:
    """Return it without what the service said, for a store that cannot hold that."""
    if sent.attempt is None:
        return sent
    attempt = replace(sent.attempt, error="its text cannot be stored", response=None, request=None)
    return replace(sent, attempt=attempt)


def sightings(batch: Sequence[Sent], *, now: datetime) -> list[Sighting]:
    """Return what the attempts of a batch say about their services, and which probes were not sent."""
    return [
        Sighting(
            sent.item.lane.name, sent.item.lane.service.circuit_breaker, sent.attempt, sent.item.claimed.probe
        )
        for sent in batch
        if sent.attempt is not None or _is_ours(sent, now)
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
