"""AMQP: one persistent message to RabbitMQ, delivered when the broker has confirmed it.

What an answer says, by the reply codes of AMQP 0-9-1:

- confirmed: delivered. The broker has it on disk, in every queue that its routing key leads to.
- came back unroutable (312): busy. The broker is well, and once the queue is there the same message fits.
- 311 or 406 on the message (too large): rejected. It will never be taken.
- refused (nack), blocked by an alarm (memory, disk), no such exchange (404), no permission (403), no login,
  and all that breaks: failed. It lies with the broker or with how the service is configured, and concerns
  all messages; so the circuit opens and they wait.
- a proxy on the way that is ill: unsent. The broker is not to blame. An address that the network rules
  refuse: invalid.

A message that was sent and not confirmed in time may have been taken: it is sent again with the same
`message_id`. While an alarm lasts a link that waits for its confirm sends nothing more.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore
import pika
import pika.exceptions

from sidecar.clock import Clock
from sidecar.errors import ConfigError
from sidecar.model import Attempt, Outcome
from sidecar.settings import BasicAuth, Service
from sidecar.settings.broker import read_broker
from sidecar.transports.base import Request
from sidecar.transports.connection import Deadline, way_of
from sidecar.transports.link import Answer, Link, Message
from sidecar.transports.network import AddressRefused
from sidecar.transports.proxy import Unsent
from sidecar.transports.wire import Dropped, Garbage, Refused

_LONGEST_NAME = 255
_PERSISTENT = 2
_NO_ROUTE = 312
_NEVER_TAKEN = frozenset({311, 406})
# What RabbitMQ lets in when nobody has configured a user, from its own machine only.
_DEFAULT_CREDENTIALS = ("guest", "guest")
_LEAVE_TAKING_S = 1.0


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: Outcome
    error: str | None = None
    status: int | None = None


class AmqpTransport:
    """Publishes to a RabbitMQ exchange; the endpoint is the routing key."""

    def __init__(self, service: Service, clock: Clock) -> None:
        """Connect to nothing yet. Raises ConfigError when base_url cannot be read."""
        try:
            self._broker = read_broker(service.base_url)
        except ValueError as error:
            raise ConfigError([f"base_url: {error}"]) from None
        self._service = service
        self._clock = clock
        self._deadline = Deadline(clock)
        self._way = way_of(service)
        self._link: Link | None = None
        self._headers = {name: value.get_secret_value() for name, value in service.headers.items()}

    def send(self, request: Request) -> Attempt:
        started_at, start = self._clock.now(), self._clock.monotonic()
        self._deadline.start(self._service.timeout, self._service.connect_timeout_s)
        verdict = self._deliver(request)
        latency_ms = (self._clock.monotonic() - start) * 1000
        return Attempt(verdict.outcome, started_at, latency_ms, verdict.status, verdict.error)

    def close(self) -> None:
        self._deadline.start(_LEAVE_TAKING_S)
        self._take_leave()

    def _deliver(self, request: Request) -> _Verdict:
        try:
            message = self._message(request)
        except ValueError as error:
            return _Verdict(Outcome.INVALID, f"it cannot be sent: {error}")
        try:
            return self._answered(self._publish(message), message)
        except httpcore.ConnectTimeout:
            return _Verdict(Outcome.FAILED, self._unconnected())
        except httpcore.TimeoutException:
            return self._too_late()
        except (Refused, Dropped, Garbage, httpcore.NetworkError, OSError) as error:
            return self._blamed(error)

    def _publish(self, message: Message) -> Answer:
        """Publish on the kept link; on a new one if the broker had closed that meanwhile."""
        if self._link is not None:
            try:
                self._link.catch_up()
                return self._link.publish(message)
            except (Refused, Dropped, httpcore.NetworkError, OSError):
                if self._deadline.heard:
                    raise
                self._drop()
        self._link = Link(self._broker, self._credentials(), self._deadline, self._way)
        return self._link.publish(message)

    def _answered(self, answer: Answer, message: Message) -> _Verdict:
        if answer.taken:
            return _Verdict(Outcome.DELIVERED)
        if not answer.returned:
            text = f"{self._broker.address} did not take the message (nack); is its queue full?"
            return _Verdict(Outcome.FAILED, text)
        if self._broker.queue:
            # Somebody may have deleted our queue: a new link declares it again.
            self._take_leave()
        exchange = f"the exchange {message.exchange}" if message.exchange else "the default exchange"
        text = f'unroutable: {exchange} leads "{message.routing_key}" to no queue; declare or bind one'
        return _Verdict(Outcome.BUSY, text, _NO_ROUTE)

    def _unconnected(self) -> str:
        limit = self._service.connect_timeout_s
        awaited = "connection to" if limit < self._service.timeout else "answer from"
        return f"no {awaited} {self._broker.address} within {limit:g} s"

    def _too_late(self) -> _Verdict:
        within, link = f"within {self._service.timeout:g} s", self._link
        alarm = _alarm(link) if link else None
        # A message that was sent whole may still be confirmed, and meanwhile a new link would send it again.
        if alarm is None or not (link and link.whole):
            self._drop()
        if alarm is not None:
            text = f"{self._broker.address} takes no messages just now: {alarm}"
        elif link is not None:
            text = f"{self._broker.address} did not confirm the message {within}"
        else:
            text = f"no answer from {self._broker.address} {within}"
        return _Verdict(Outcome.FAILED, text)

    def _blamed(self, error: Exception) -> _Verdict:
        """Say whose fault it is that the message was not taken, and give the link up."""
        match error:
            case Refused():
                self._take_leave()
                outcome = classify(error.code, of_message=error.doing == "the message")
                text = f"{self._broker.address} refused {error.doing}: {error.text} ({error.code})"
                return _Verdict(outcome, text, error.code)
            case AddressRefused():
                return _Verdict(Outcome.INVALID, f"the network rules refuse {error}")
            case Unsent():
                return _Verdict(Outcome.UNSENT, str(error))
            case _:
                self._drop()
                return _Verdict(Outcome.FAILED, self._broken(error))

    def _broken(self, error: Exception) -> str:
        address, said = self._broker.address, str(error) or type(error).__name__
        match error:
            case httpcore.ConnectError():
                return f"could not connect to {address}: {said}"
            case Dropped():
                how = "in the middle of its answer" if self._deadline.heard else "without an answer"
                return f"{address} closed the connection {how}"
            case Garbage():
                return f"{address} did not answer in AMQP: {said}"
            case _:
                return f"the connection to {address} broke: {said}"

    def _take_leave(self) -> None:
        """Close the link in good order, within what is left of the deadline."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.drop()

    def _credentials(self) -> tuple[str, str]:
        auth = self._service.auth
        if isinstance(auth, BasicAuth):
            return auth.username, auth.password.get_secret_value()
        return _DEFAULT_CREDENTIALS

    def _message(self, request: Request) -> Message:
        """Return the message as it goes out. Raises ValueError when none can be like that."""
        routing_key = request.endpoint or self._broker.fallback_key
        if len(routing_key.encode()) > _LONGEST_NAME:
            raise ValueError(f"the routing key is longer than {_LONGEST_NAME} bytes")
        properties = pika.BasicProperties(
            content_type=request.content_type if request.body is not None else None,
            headers=_headers(self._headers, request.headers),
            delivery_mode=_PERSISTENT,
            message_id=request.delivery_id,
            timestamp=int(self._clock.now().timestamp()),
            app_id="moodle-integration-hub",
        )
        _require_sendable(properties)
        return Message(self._broker.exchange, routing_key, request.body or b"", properties)


def classify(code: int, *, of_message: bool) -> Outcome:
    """Return what a reply code says with which the broker closed the channel or the connection."""
    return Outcome.REJECTED if of_message and code in _NEVER_TAKEN else Outcome.FAILED


def _alarm(link: Link) -> str | None:
    """Return why the broker blocks us; while we were writing nobody read what it said."""
    with suppress(Refused, Dropped, Garbage, OSError):
        link.catch_up()
    return link.blocked


def _headers(standing: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Put the rule's headers over the service's, whatever their case; the content type is a property."""
    merged = {name.lower(): (name, value) for name, value in (*standing.items(), *more.items())}
    merged.pop("content-type", None)
    return dict(merged.values())


def _require_sendable(properties: Any) -> None:
    try:
        properties.encode()
    except pika.exceptions.AMQPError as error:
        raise ValueError(f"a name is longer than {_LONGEST_NAME} bytes") from error
