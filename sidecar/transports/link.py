"""One channel of a message broker in confirm mode: messages go out, the broker's word on each comes back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore
import pika.exceptions
import pika.spec

from sidecar.errors import said
from sidecar.settings.broker import Broker
from sidecar.transports.connection import Way
from sidecar.transports.deadline import Deadline
from sidecar.transports.wire import THE_CONNECTION, THE_MESSAGE, Dropped, Garbage, Refused, Wire
from sidecar.transports.words import binding, declaring

# Whatever can happen to a link.
BROKEN = (Refused, Dropped, Garbage, httpcore.NetworkError, httpcore.TimeoutException, OSError)
# So much goes out before the broker's word is waited for: what it hands back needs room on its way, too.
_MOST_AT_ONCE = 1_048_576
_NOT_FOUND = 404


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


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a group: an answer for each message, None where none came; and what broke, if it did."""

    answers: tuple[Answer | None, ...]
    broke: Exception | None = None


class Link:
    """Used by one thread, for one group of messages at a time."""

    def __init__(
        self,
        broker: Broker,
        credentials: tuple[str, str],
        deadline: Deadline,
        way: Way,
        *,
        declares: bool = True,
        heartbeat_s: int = 0,
    ) -> None:
        """Connect, log in and declare what is to be declared.

        Raises Refused, Dropped, Garbage, or an error of httpcore's; nothing stays open then.
        """
        self._broker = broker
        self._doing: str = THE_CONNECTION
        self._closed: Refused | None = None
        self._published = 0
        # By number; of each the names by which the broker hands it back.
        self._unanswered: dict[int, tuple[str, str]] = {}
        self._refused: set[int] = set()
        self._returned: set[int] = set()
        self._wire = Wire(broker, credentials, deadline, way, heartbeat_s=heartbeat_s)
        try:
            self._talk(lambda: self._wire.is_open)
            self._channel = self._open_channel()
            if declares:
                self._declare()
        except BaseException:
            self.drop()
            raise

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages just now (memory, disk); None while it does."""
        return self._wire.blocked

    @property
    def server(self) -> Mapping[str, Any]:
        """What the broker says of itself."""
        return dict(self._wire.server_properties or {})

    @property
    def whole(self) -> bool:
        """Whether everything that was begun was sent to its end."""
        return self._wire.whole

    def catch_up(self) -> None:
        """Take in what came since the last message, without waiting; raises what has become of the link."""
        self._doing = THE_CONNECTION
        self._wire.catch_up()
        if self._closed:
            raise self._closed

    def publish(self, messages: Sequence[Message]) -> Told:
        """Send messages as soon as the broker takes any, and wait for its word on each. Raises nothing.

        What broke is Refused, `doing` "the message", where the broker closes the channel over one of them.
        """
        first = self._published + 1
        broke: Exception | None = None
        try:
            self.catch_up()
            for part in _parts(messages):
                self._publish_part(part)
        except BROKEN as error:
            broke = error
        answers = tuple(self._answer(first + place) for place in range(len(messages)))
        # What is still unanswered may have come back already: its confirm is yet to come.
        self._refused.clear()
        self._returned.intersection_update(self._unanswered)
        return Told(answers, broke)

    def ask(self, doing: str, verb: str, *names: str, **options: Any) -> Any:
        """Have the broker do something, by the name of a method of pika's channels; return its answer.

        `doing` says what, for the error. Raises like the constructor.
        """
        self._doing = doing
        return self._call(getattr(self._channel, verb), *names, **options)

    def say(self, verb: str, *values: Any) -> None:
        """Tell the broker something that it does not answer; it leaves with `keep_up`."""
        getattr(self._channel, verb)(*values)

    def keep_up(self) -> None:
        """Take in what came and send what was said, heartbeats too. Raises like `catch_up`."""
        self.catch_up()
        self._wire.beat()

    def fileno(self) -> int:
        """Return the socket's number, to wait for with others."""
        return self._wire.fileno()

    def is_there(self, *, exchange: str = "", queue: str = "") -> bool:
        """Tell whether the broker knows an exchange or a queue; makes none. Raises like the constructor."""
        if exchange:
            return (
                self._look("exchange_declare", exchange, said("the exchange %(name)s", name=exchange))
                is not None
            )
        return self.depth(queue) is not None

    def depth(self, queue: str) -> int | None:
        """Return how many messages of a queue nobody has taken; None: there is none. Raises as above."""
        answer = self._look("queue_declare", queue, said("the queue %(name)s", name=queue))
        return None if answer is None else int(answer.method.message_count)

    def _look(self, verb: str, name: str, shown: str) -> Any:
        try:
            return self.ask(said("to look for %(what)s", what=shown), verb, name, passive=True)
        except Refused as error:
            if error.code != _NOT_FOUND:
                raise
            # It has closed the channel over the question.
            self._closed = None
            self._channel = self._open_channel()
            return None

    def close(self) -> None:
        """Take leave, so that the broker has nothing to complain of in its log."""
        # It may be gone, or say anything: we are leaving.
        with suppress(*BROKEN):
            if self.whole and not self.blocked:
                self._wire.take_leave()
        self.drop()

    def drop(self) -> None:
        """Close without a word."""
        self._wire.hang_up()

    def _publish_part(self, messages: Sequence[Message]) -> None:
        self._doing = THE_MESSAGE
        self._talk(lambda: self._wire.blocked is None)
        numbers = [self._hand_over(message) for message in messages]
        self._talk(lambda: self._unanswered.keys().isdisjoint(numbers))

    def _hand_over(self, message: Message) -> int:
        self._published += 1
        self._unanswered[self._published] = (message.properties.message_id, message.routing_key)
        self._channel.basic_publish(
            message.exchange, message.routing_key, message.body, message.properties, mandatory=True
        )
        return self._published

    def _answer(self, number: int) -> Answer | None:
        if number > self._published or number in self._unanswered:
            return None
        returned = number in self._returned
        return Answer(taken=not returned and number not in self._refused, returned=returned)

    def _open_channel(self) -> Any:
        channel = self._wire.channel()
        channel.add_on_close_callback(self._on_close)
        channel.add_on_return_callback(self._on_return)
        channel.add_on_cancel_callback(self._on_cancel)
        self._talk(lambda: channel.is_open)
        confirming: list[object] = []
        channel.confirm_delivery(self._on_answer, callback=confirming.append)
        self._talk(lambda: bool(confirming))
        return channel

    def _declare(self) -> None:
        """Declare the queues that the address asks for; one that is there already has to be alike."""
        broker, arguments = self._broker, {}
        if dead := broker.dead_letter_queue:
            arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
            self.ask(declaring(dead), "queue_declare", dead, durable=True)
        if name := broker.queue:
            self.ask(declaring(name), "queue_declare", name, durable=True, arguments=arguments)
        if broker.queue and broker.exchange:
            names = (broker.queue, broker.exchange, broker.routing_key)
            self.ask(binding(broker.queue), "queue_bind", *names)

    def _call(self, method: Callable[..., object], *names: str, **options: Any) -> Any:
        done: list[object] = []
        method(*names, callback=done.append, **options)
        self._talk(lambda: bool(done))
        return done[0]

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

    def _on_cancel(self, _frame: object) -> None:
        """Take it for a broken link that our queue was deleted: a new link declares it again."""
        self._closed = Refused(_NOT_FOUND, said("the queue was deleted"), said("to consume"))

    def _on_return(self, _channel: object, method: Any, properties: Any, _body: bytes) -> None:
        """Note which message came back: the broker does so before it confirms it, and in order."""
        names = (properties.message_id, method.routing_key)
        waiting = (number for number, known in self._unanswered.items() if known == names)
        number = next((number for number in waiting if number not in self._returned), None)
        if number is not None:
            self._returned.add(number)

    def _on_answer(self, frame: Any) -> None:
        tag, also_before = frame.method.delivery_tag, frame.method.multiple
        answered = [one for one in self._unanswered if one <= tag] if also_before else [tag]
        for number in answered:
            self._unanswered.pop(number, None)
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._refused.update(answered)


def _parts(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """Yield the messages in order, in parts of a limited size or of one message."""
    part: list[Message] = []
    size = 0
    for message in messages:
        if part and size + len(message.body) > _MOST_AT_ONCE:
            yield part
            part, size = [], 0
        part.append(message)
        size += len(message.body)
    if part:
        yield part
