"""The retry policy as a pure function: one attempt in, what becomes of the delivery out."""

from datetime import datetime, timedelta

from sidecar.model import Attempt, DeadReason, Decision, Outcome, Step
from sidecar.settings import RetrySettings


def decide(attempt: Attempt, *, retries: int, policy: RetrySettings, now: datetime, probe: bool) -> Decision:
    """Return what to do after an attempt that was preceded by `retries` others.

    The failed probe of an ill service spends no attempt: it was sent to learn about the service. Its delivery
    goes to the end of the line, so that one that always fails cannot keep the circuit open.
    """
    match attempt.outcome:
        case Outcome.DELIVERED:
            return Decision(Step.DONE)
        case Outcome.REJECTED:
            return Decision(Step.BURY, reason=DeadReason.REJECTED)
        case Outcome.INVALID:
            return Decision(Step.BURY, reason=DeadReason.INVALID)
    if probe and attempt.outcome is not Outcome.BUSY:
        return Decision(Step.PARK, at=now)
    if retries >= policy.max_retries:
        return Decision(Step.BURY, reason=DeadReason.EXHAUSTED)
    return Decision(Step.RETRY, at=now + timedelta(seconds=wait_s(attempt, retries=retries, policy=policy)))


def wait_s(attempt: Attempt, *, retries: int, policy: RetrySettings) -> float:
    """Return the seconds until the next try: backoff x 1, x 2, x 4 ..., or a longer Retry-After."""
    backoff = min(policy.backoff * 2.0 ** min(retries, 60), policy.max_backoff)
    asked = min(attempt.retry_after_s or 0, policy.max_retry_after)
    return max(backoff, asked)
