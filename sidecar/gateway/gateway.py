"""Turn a delivery into one attempt at its service."""

from dataclasses import replace
from typing import Any

from pydantic import BaseModel, SecretStr

from sidecar.clock import Clock
from sidecar.model import Attempt, Delivery, Outcome
from sidecar.settings import Service
from sidecar.transports.base import Request, Transport, open_transport

_SHORTEST_SECRET = 4


class Line:
    """One thread's way to one service."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._clock = clock
        self._transport: Transport = open_transport(service, clock)
        self._secrets = _secrets_of(service)

    def send(self, delivery: Delivery) -> Attempt:
        """Send once. An Attempt comes back whatever happens, with no secret of the service in it."""
        try:
            attempt = self._transport.send(_request(delivery))
        except Exception as error:  # noqa: BLE001 - a transport's bug must cost one attempt, not the sender thread
            self.close()
            attempt = Attempt(Outcome.FAILED, self._clock.now(), 0, error=f"{type(error).__name__}: {error}")
        return replace(attempt, error=self._masked(attempt.error), response=self._masked(attempt.response))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _masked(self, text: str | None) -> str | None:
        """Take out secrets, and characters that a database refuses."""
        if text is None:
            return None
        for secret in self._secrets:
            text = text.replace(secret, "********")
        return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _request(delivery: Delivery) -> Request:
    return Request(
        delivery_id=delivery.delivery_id,
        method=delivery.method,
        endpoint=delivery.endpoint,
        body=delivery.body.encode() if delivery.body is not None else None,
        content_type=delivery.content_type,
        headers=delivery.headers,
    )


def _secrets_of(service: Service) -> list[str]:
    """Return all secret texts of a service, the longest first; very short ones would mask ordinary words."""
    found: list[str] = []
    _collect(service, found)
    return sorted({text for text in found if len(text) >= _SHORTEST_SECRET}, key=len, reverse=True)


def _collect(value: Any, found: list[str]) -> None:
    match value:
        case SecretStr():
            found.append(value.get_secret_value())
        case BaseModel():
            for name in type(value).model_fields:
                _collect(getattr(value, name), found)
        case dict():
            for item in value.values():
                _collect(item, found)
        case _:
            pass
