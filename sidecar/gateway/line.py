"""Turn a delivery into one attempt at its service."""

import base64
import html
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from sidecar.clock import Clock
from sidecar.model import Attempt, Delivery, Outcome
from sidecar.settings import BasicAuth, Service
from sidecar.transports.base import Request, SendsInSteps, SendsMany, Transport, open_transport
from sidecar.transports.steps import Steps

_SHORTEST_SECRET = 4
_LONGEST_TEXT = 4_096
_STARS = "********"


class Line:
    """One thread's way to one service."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._transport: Transport | None = None
        self._many: SendsMany | None = None
        self._in_steps: SendsInSteps | None = None
        self._secrets = _secrets_of(service)

    def prepare(self) -> None:
        """Load and make what sending needs, so that the next request goes out at once. Raises nothing."""
        with suppress(Exception):
            self._open()

    @property
    def at_once(self) -> int:
        """How many deliveries `send_many` takes at best. Raises nothing."""
        if self._transport is None:
            self.prepare()
        return self._many.at_once if self._many else 1

    @property
    def in_steps(self) -> bool:
        """Whether a thread can have several requests in flight by `sending`. Known when it was made ready."""
        return self._in_steps is not None

    def send(self, delivery: Delivery) -> Attempt:
        """Send once. An Attempt comes back whatever happens, with no secret of the service in it."""
        return self.masked(self.call(delivery, keep_bytes=self.keep_bytes), delivery)

    def send_many(self, deliveries: Sequence[Delivery]) -> list[Attempt]:
        """Send each once and wait for all answers together. As many Attempts come back, in their order."""
        answered = self._call_many([_request(delivery, self.keep_bytes) for delivery in deliveries])
        return [
            self.masked(attempt, delivery) for attempt, delivery in zip(answered, deliveries, strict=True)
        ]

    def sending(self, delivery: Delivery) -> Steps[Attempt]:
        """Send once, in steps where the transport can: the thread need not wait for the answer."""
        try:
            transport, request = self._open(), _request(delivery, self.keep_bytes)
            if self._in_steps is None:
                attempt = transport.send(request)
            else:
                attempt = yield from self._in_steps.sending(request)
        except Exception as error:  # noqa: BLE001 - as for one
            attempt = self._broken(error)
        return self.masked(attempt, delivery)

    def call(self, delivery: Delivery, *, keep_bytes: int = 0) -> Attempt:
        """Send once and return the answer as it came, up to `keep_bytes` of a good one."""
        try:
            return self._open().send(_request(delivery, keep_bytes))
        except Exception as error:  # noqa: BLE001 - a transport's bug must cost one attempt, not the sender thread
            return self._broken(error)

    @property
    def keep_bytes(self) -> int:
        """How much of a good answer the request log keeps."""
        capture = self._service.capture
        return capture.max_bytes if capture.response else 0

    def masked(self, attempt: Attempt, delivery: Delivery) -> Attempt:
        """Return the attempt as it may be written down: of the bodies what the service's `capture` keeps."""
        capture = self._service.capture
        good = attempt.outcome is Outcome.DELIVERED
        kept = attempt.response if capture.response or not good else None
        if good and kept is None and not capture.request and attempt.response is None:
            return attempt
        return replace(
            attempt,
            error=self._masked(attempt.error),
            response=self._masked(kept, capture.max_bytes if capture.response else _LONGEST_TEXT),
            request=self._masked(delivery.body, capture.max_bytes) if capture.request else None,
        )

    def shown(self, attempt: Attempt, *, keep_bytes: int) -> Attempt:
        """Return the attempt as whoever made the call may see it, the answer as long as it came.

        Callers have no right to our secrets, and a service may repeat in its answer what it was sent.
        """
        good, answer = attempt.outcome is Outcome.DELIVERED, attempt.response
        if answer is not None:
            whole = good and len(answer.encode("utf-8", "replace")) < keep_bytes
            answer = self._starred(answer, whole=whole)
        error = self._starred(attempt.error, whole=True) if attempt.error else attempt.error
        return replace(attempt, error=error, response=answer)

    def close(self) -> None:
        """Close the connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _call_many(self, requests: Sequence[Request]) -> list[Attempt]:
        try:
            transport = self._open()
            if self._many is None:
                return [transport.send(request) for request in requests]
            attempts = self._many.send_many(requests)
            if len(attempts) != len(requests):
                raise ValueError(f"{len(requests)} requests have {len(attempts)} answers")
            return attempts
        except Exception as error:  # noqa: BLE001 - as for one
            return [self._broken(error)] * len(requests)

    def _broken(self, error: Exception) -> Attempt:
        self.close()
        return Attempt(Outcome.FAILED, self._clock.now(), 0, error=f"{type(error).__name__}: {error}")

    def _open(self) -> Transport:
        if self._transport is None:
            transport = self._transport = open_transport(self._service, self._clock)
            self._many = transport if isinstance(transport, SendsMany) else None
            self._in_steps = transport if isinstance(transport, SendsInSteps) and transport.in_steps else None
        return self._transport

    def without_secrets(self, text: str) -> str:
        """Return the text with stars for every secret of the service."""
        return self._masked(text) or ""

    def _masked(self, text: str | None, most_bytes: int = _LONGEST_TEXT) -> str | None:
        """Take out secrets, also one that the text's end cuts, and characters that a database refuses."""
        if text is None:
            return None
        text = self._starred(text, whole=False)
        return text.replace("\0", "\ufffd").encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")

    def _starred(self, text: str, *, whole: bool) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _STARS)
        cut = 0 if whole else max((_cut_at_end(text, secret) for secret in self._secrets), default=0)
        return text[: len(text) - cut] + _STARS if cut else text


def _request(delivery: Delivery, keep_bytes: int) -> Request:
    return Request(
        delivery_id=delivery.delivery_id,
        method=delivery.method,
        endpoint=delivery.endpoint,
        body=delivery.body.encode() if delivery.body is not None else None,
        content_type=delivery.content_type,
        headers=delivery.headers,
        keep_bytes=keep_bytes,
        event=delivery.event,
    )


def _cut_at_end(text: str, secret: str) -> int:
    """Return how many characters at the end of `text` are the beginning of `secret`."""
    longest = min(len(text), len(secret) - 1)
    lengths = range(longest, _SHORTEST_SECRET - 1, -1)
    return next((length for length in lengths if text.endswith(secret[:length])), 0)


def _secrets_of(service: Service) -> list[str]:
    """Return all texts that give a secret away, the longest first; very short ones mask common words."""
    plain = [text for text in _collected(service) if len(text) >= _SHORTEST_SECRET]
    if isinstance(service.auth, BasicAuth):
        pair = f"{service.auth.username}:{service.auth.password.get_secret_value()}"
        plain.append(base64.b64encode(pair.encode()).decode())
    written = {
        form
        for text in plain
        for form in (text, json.dumps(text)[1:-1], quote(text, safe=""), html.escape(text))
    }
    return sorted(written, key=len, reverse=True)


def _collected(value: Any) -> Iterator[str]:
    """Yield every secret below `value`, of a header such as `Token abc` also what follows the first word."""
    match value:
        case SecretStr():
            whole = value.get_secret_value()
            yield whole
            yield whole.partition(" ")[2]
        case BaseModel():
            for name in type(value).model_fields:
                yield from _collected(getattr(value, name))
        case dict():
            for item in value.values():
                yield from _collected(item)
        case _:
            pass
