"""The retry policy as a pure function: one attempt in, what becomes of the delivery out."""

from datetime import datetime, timedelta
from random import Random

from sidecar.model import Attempt, DeadReason, Decision, Outcome, Step
from sidecar.settings import RetrySettings

_SETTLED = {
    Outcome.DELIVERED: Decision(Step.DONE),
    Outcome.REJECTED: Decision(Step.BURY, reason=DeadReason.REJECTED),
    Outcome.INVALID: Decision(Step.BURY, reason=DeadReason.INVALID),
}
_UNSENT_WAIT = timedelta(seconds=10)


def decide(
    attempt: Attempt,
    *,
    retries: int,
    policy: RetrySettings,
    now: datetime,
    probe: bool,
    chance: Random | None = None,
) -> Decision:
    """Return what to do after an attempt that was preceded by `retries` others.

    The failed probe of an ill service spends no attempt: it was sent to learn about the service. Its delivery
    goes to the end of the line, so that one that always fails cannot keep the circuit open. What could not
    be sent because of a proxy or a token server waits for these without spending attempts either.
    """
    if attempt.outcome in _SETTLED:
        return _SETTLED[attempt.outcome]
    if attempt.outcome is Outcome.UNSENT:
        return Decision(Step.PARK, at=now + _UNSENT_WAIT)
    if probe and attempt.outcome is Outcome.FAILED:
        return Decision(Step.PARK, at=now)
    if retries >= policy.most_retries:
        return Decision(Step.BURY, reason=DeadReason.EXHAUSTED)
    wait = wait_s(attempt, retries=retries, policy=policy, chance=chance)
    return Decision(Step.RETRY, at=now + timedelta(seconds=wait))


def wait_s(attempt: Attempt, *, retries: int, policy: RetrySettings, chance: Random | None = None) -> float:
    """Return the seconds until the next try: of the backoff or schedule, or a longer Retry-After.

    `chance` makes the planned wait longer by up to the policy's jitter; the caps hold all the same.
    """
    longer = 1 + policy.jitter * chance.random() if chance is not None else 1.0
    asked = min(attempt.retry_after_s or 0, policy.max_retry_after)
    return max(_planned_s(retries, policy, longer), asked)


def _planned_s(retries: int, policy: RetrySettings, longer: float) -> float:
    """Return the wait of the schedule, or backoff x 1, x 2, x 4 ..., capped."""
    if policy.schedule:
        return policy.schedule[min(retries, len(policy.schedule) - 1)] * longer
    return min(policy.backoff * 2.0 ** min(retries, 60) * longer, policy.max_backoff)
