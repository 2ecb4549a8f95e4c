"""What a direct call returns."""

import json
from dataclasses import dataclass
from typing import Any, Self

from sidecar.model import Attempt, Outcome


@dataclass(frozen=True, slots=True)
class Response:
    """The outcome of a call. `status` is None when no answer came; `attempts` is 0 when nothing was sent.

    `delivery_id` is what the service got as webhook-id and Idempotency-Key; of an answer from the cache it is
    that of the call which fetched it. `retry_after_s` says when a call that was not made may be: None where
    that is not a matter of time.
    """

    ok: bool
    status: int | None
    body: str | None
    error: str | None
    latency_ms: float
    attempts: int
    delivery_id: str
    retry_after_s: float | None = None

    def json(self) -> Any:
        """Return the body, decoded; None if there is none. Raises ValueError if it is no JSON."""
        return json.loads(self.body) if self.body else None

    @classmethod
    def of(cls, attempt: Attempt, attempts: int, delivery_id: str) -> Self:
        """Return the response of the last attempt."""
        return cls(
            ok=attempt.outcome is Outcome.DELIVERED,
            status=attempt.status,
            body=attempt.response,
            error=attempt.error,
            latency_ms=attempt.latency_ms,
            attempts=attempts,
            delivery_id=delivery_id,
        )

    @classmethod
    def refused(
        cls,
        reason: str,
        delivery_id: str,
        *,
        attempts: int = 0,
        last: Attempt | None = None,
        retry_after_s: float | None = None,
    ) -> Self:
        """Return the response of a call that was not made (any more)."""
        return cls(
            ok=False,
            status=last.status if last else None,
            body=None,
            error=reason,
            latency_ms=last.latency_ms if last else 0,
            attempts=attempts,
            delivery_id=delivery_id,
            retry_after_s=retry_after_s,
        )
