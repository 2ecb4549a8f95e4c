"""How a service is treated: retries, circuit breaker, what is kept of the bodies."""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from sidecar.errors import said
from sidecar.settings.section import Section
from sidecar.settings.values import (
    Limit,
    Seconds,
    Share,
    Wait,
)


def _not_empty(schedule: tuple[float, ...]) -> tuple[float, ...]:
    if not schedule:
        raise ValueError(said("an empty list is no schedule: name the waits, such as [5s, 30s, 5m]"))
    return schedule


Schedule = Annotated[
    tuple[Annotated[Seconds, Field(le=30 * 86400)], ...], Field(max_length=100), AfterValidator(_not_empty)
]
# What a schedule stands in place of.
_REPLACED = ("max_retries", "backoff", "max_backoff")


def _refuse_beside_schedule(named: Iterable[str]) -> None:
    beside = sorted(set(named) & set(_REPLACED))
    if beside:
        raise ValueError(
            said("schedule has one wait for each retry: leave %(names)s away", names=" and ".join(beside))
        )


class RetrySettings(Section):
    """Waits `backoff` x 1, x 2, x 4 ... seconds, capped at `max_backoff`; or as `schedule` says."""

    max_retries: int = Field(default=3, ge=0, le=100, description="Tries after the first")
    schedule: Schedule | None = Field(
        default=None, description="The waits one by one, such as [5s, 30s, 5m, 2h], instead of a backoff"
    )
    jitter: Share = Field(
        default=0.2,
        description="Each wait is longer by up to this share, by chance, so that not all come back at once",
    )
    backoff: Wait = Field(
        default=1, le=3600, description="Seconds before the first retry; it doubles with each"
    )
    max_backoff: Seconds = Field(default=60, le=86400, description="Seconds that a wait is capped at")
    max_retry_after: Seconds = Field(
        default=3600, le=86400, description="Seconds that a Retry-After answer is capped at"
    )

    @model_validator(mode="after")
    def _one_plan(self) -> Self:
        """Refuse a schedule beside the options that it replaces."""
        if self.schedule is not None:
            _refuse_beside_schedule(self.model_fields_set)
        return self

    @property
    def most_retries(self) -> int:
        """Tries after the first."""
        return self.max_retries if self.schedule is None else len(self.schedule)


class RuleRetry(Section):
    """What a rule changes of its service's `retry`; what is not named here stays the service's."""

    max_retries: Annotated[int | None, Limit] = Field(
        default=None, ge=0, le=100, description="Tries after the first"
    )
    schedule: Schedule | None = Field(default=None, description="The waits one by one, instead of a backoff")
    jitter: Annotated[Share | None, Limit] = Field(
        default=None, description="Each wait is longer by up to this share, by chance"
    )
    backoff: Annotated[Wait | None, Limit] = Field(
        default=None, le=3600, description="Seconds before the first retry; it doubles with each"
    )
    max_backoff: Annotated[Seconds | None, Limit] = Field(
        default=None, le=86400, description="Seconds that a wait is capped at"
    )
    max_retry_after: Annotated[Seconds | None, Limit] = Field(
        default=None, le=86400, description="Seconds that a Retry-After answer is capped at"
    )

    @model_validator(mode="after")
    def _one_plan(self) -> Self:
        """Refuse a schedule beside the options that it replaces."""
        if self.schedule is not None:
            _refuse_beside_schedule(name for name in _REPLACED if getattr(self, name) is not None)
        return self

    def over(self, retry: RetrySettings) -> RetrySettings:
        """Return the service's policy with this rule's changes."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        changes = {name: value for name, value in named.items() if value is not None}
        if set(changes) & set(_REPLACED):
            changes["schedule"] = None
        return retry.model_copy(update=changes)


class CircuitBreakerSettings(Section):
    """Stops sending to a service that is ill."""

    failure_threshold: int = Field(default=5, ge=1, description="Failures in a row that open the circuit")
    failure_share: Annotated[Share | None, Limit] = Field(
        default=None,
        gt=0,
        description="Share of failures within the window that opens the circuit, too; null: only a row does",
    )
    window: Seconds = Field(
        default=60, le=86400, description="Seconds that requests are counted for failure_share"
    )
    min_requests: int = Field(
        default=20, ge=1, description="Requests in a window below which failure_share opens nothing"
    )
    cooldown: Seconds = Field(default=30, description="Seconds until one probe is sent")
    cooldown_factor: float = Field(
        default=1, ge=1, le=100, description="The cooldown is multiplied by this with each failed probe"
    )
    max_cooldown: Seconds = Field(default=900, description="Seconds that the cooldown grows to at most")


class CaptureSettings(Section):
    """What the request log keeps of the bodies, with the service's secrets masked."""

    request: bool = Field(default=False, description="Whether the payload of each try is kept")
    response: bool = Field(
        default=False, description="Whether answers of successes are kept, too; those of failures always are"
    )
    max_bytes: int = Field(default=16_384, ge=0, le=16_384, description="Bytes of each that are kept at most")
