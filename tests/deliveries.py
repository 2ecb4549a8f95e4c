"""Deliveries for tests, with everything that a test does not name."""

from datetime import UTC, datetime
from typing import Any

from sidecar.model import Attempt, Claimed, Delivery, Outcome

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def delivery(number: int = 1, service: str = "crm", **changes: Any) -> Delivery:
    """Return the delivery of log row `number`; its id is made of service and number."""
    values: dict[str, Any] = {
        "delivery_id": f"{service}-{number}",
        "rule": "new-user",
        "rule_version": "v1",
        "service": service,
        "event": "\\core\\event\\user_created",
        "log_id": number,
        "method": "POST",
        "endpoint": f"/{service}",
        "body": f'{{"n": {number}}}',
        "content_type": "application/json",
        "created_at": NOW,
        **changes,
    }
    return Delivery(**values)


def attempt(outcome: Outcome = Outcome.DELIVERED, **changes: Any) -> Attempt:
    """Return an attempt of 12.34 ms that began at 08:00."""
    values: dict[str, Any] = {"started_at": NOW, "latency_ms": 12.34, **changes}
    return Attempt(outcome, **values)


def numbers(claimed: list[Claimed]) -> list[int | None]:
    """Return which log rows were claimed."""
    return [item.delivery.log_id for item in claimed]
