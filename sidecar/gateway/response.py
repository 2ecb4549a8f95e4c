"""What a direct call returns."""

import json
from dataclasses import dataclass
from typing import Any, Self

from sidecar.model import Attempt, Outcome


@dataclass(frozen=True, slots=True)
class Response:
    """The outcome of a call. `status` is None when no answer came; `attempts` is 0 when nothing was sent."""

    ok: bool
    status: int | None
    body: str | None
    error: str | None
    latency_ms: float
    attempts: int

    def json(self) -> Any:
        """Return the body, decoded; None if there is none. Raises ValueError if it is no JSON."""
        return json.loads(self.body) if self.body else None

    @classmethod
    def of(cls, attempt: Attempt, attempts: int) -> Self:
        """Return the response of the last attempt."""
        return cls(
            ok=attempt.outcome is Outcome.DELIVERED,
            status=attempt.status,
            body=attempt.response,
            error=attempt.error,
            latency_ms=attempt.latency_ms,
            attempts=attempts,
        )

    @classmethod
    def refused(cls, reason: str, attempts: int, last: Attempt | None) -> Self:
        """Return the response of a call that was not made (any more)."""
        return cls(
            False, last.status if last else None, None, reason, last.latency_ms if last else 0, attempts
        )
