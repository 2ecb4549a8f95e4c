"""One channel of a message broker in confirm mode: a message goes out, the broker's word on it comes back."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore
import pika.exceptions
import pika.spec

from sidecar.settings.broker import Broker
from sidecar.transports.connection import Deadline, Way
from sidecar.transports.wire import Dropped, Garbage, Refused, Wire


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it goes out. `properties` are pika's BasicProperties."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's word on one message: taken or not; `returned` when no queue was there for it."""

    taken: bool
    returned: bool = False


class Link:
    """Used by one thread, for one message at a time."""

    def __init__(self, broker: Broker, credentials: tuple[str, str], deadline: Deadline, way: Way) -> None:
        """Connect, log in and declare what is to be declared.

        Raises Refused, Dropped, Garbage, or an error of httpcore's; nothing stays open then.
        """
        self._broker = broker
        self._doing = "the connection"
        self._closed: Refused | None = None
        self._published = 0
        self._unanswered: set[int] = set()
        self._refused: set[int] = set()
        self._returned: set[str] = set()
        self._wire = Wire(broker, credentials, deadline, way)
        try:
            self._talk(lambda: self._wire.is_open)
            self._channel = self._open_channel()
            self._declare()
        except BaseException:
            self.drop()
            raise

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages just now (memory, disk); None while it does."""
        return self._wire.blocked

    @property
    def whole(self) -> bool:
        """Whether everything that was begun was sent to its end."""
        return self._wire.whole

    def catch_up(self) -> None:
        """Take in what came since the last message, without waiting; raises what has become of the link."""
        self._doing = "the connection"
        self._wire.catch_up()
        if self._closed:
            raise self._closed

    def publish(self, message: Message) -> Answer:
        """Send one message as soon as the broker takes any, and wait for its word.

        Raises like the constructor, and Refused where the broker closes the channel over the message.
        """
        self._doing = "the message"
        self._talk(lambda: self._wire.blocked is None)
        self._channel.basic_publish(
            message.exchange, message.routing_key, message.body, message.properties, mandatory=True
        )
        self._published += 1
        number = self._published
        self._unanswered.add(number)
        self._talk(lambda: number not in self._unanswered)
        # The broker hands an unroutable message back first, and confirms it nevertheless.
        if message.properties.message_id in self._returned:
            self._returned.clear()
            return Answer(taken=False, returned=True)
        return Answer(taken=number not in self._refused)

    def close(self) -> None:
        """Take leave, so that the broker has nothing to complain of in its log."""
        # It may be gone, or say anything: we are leaving.
        with suppress(Refused, Dropped, Garbage, OSError, httpcore.NetworkError, httpcore.TimeoutException):
            if self.whole and not self.blocked:
                self._wire.take_leave()
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        self._wire.hang_up()

    def _open_channel(self) -> Any:
        channel = self._wire.channel()
        channel.add_on_close_callback(self._on_close)
        channel.add_on_return_callback(self._on_return)
        self._talk(lambda: channel.is_open)
        confirming: list[object] = []
        channel.confirm_delivery(self._on_answer, callback=confirming.append)
        self._talk(lambda: bool(confirming))
        return channel

    def _declare(self) -> None:
        """Declare the queues that the address asks for; one that is there already has to be alike."""
        broker, arguments = self._broker, {}
        if broker.dead_letter_queue:
            arguments = {
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": broker.dead_letter_queue,
            }
            self._doing = f"to declare the queue {broker.dead_letter_queue}"
            self._call(self._channel.queue_declare, broker.dead_letter_queue, durable=True)
        if broker.queue:
            self._doing = f"to declare the queue {broker.queue}"
            self._call(self._channel.queue_declare, broker.queue, durable=True, arguments=arguments)
        if broker.queue and broker.exchange:
            self._doing = f"to bind the queue {broker.queue}"
            self._call(self._channel.queue_bind, broker.queue, broker.exchange, broker.routing_key)

    def _call(self, method: Callable[..., object], *names: str, **options: Any) -> None:
        done: list[object] = []
        method(*names, callback=done.append, **options)
        self._talk(lambda: bool(done))

    def _talk(self, until: Callable[[], bool]) -> None:
        """Exchange frames until something is so, or the broker closes the channel."""
        try:
            self._wire.talk(lambda: self._closed is not None or until())
        except Refused as error:
            raise Refused(error.code, error.text, self._doing) from None
        if self._closed is not None:
            raise self._closed

    def _on_close(self, _channel: object, reason: Any) -> None:
        if isinstance(reason, pika.exceptions.ChannelClosedByBroker):
            self._closed = Refused(reason.reply_code, reason.reply_text, self._doing)

    def _on_return(self, _channel: object, _method: object, properties: Any, _body: bytes) -> None:
        self._returned.add(properties.message_id)

    def _on_answer(self, frame: Any) -> None:
        tag, also_before = frame.method.delivery_tag, frame.method.multiple
        answered = {one for one in self._unanswered if one == tag or (also_before and one < tag)}
        self._unanswered -= answered
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._refused |= answered
