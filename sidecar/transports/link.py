"""One link to a message broker with one deadline: pika speaks the protocol, the socket is ours.

pika's own connections wait without a limit for what a broker owes them: an open channel, a confirm. Here
every wait ends with the deadline of the attempt, and the network is the one that HTTP uses.
"""

import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore
import pika
import pika.connection
import pika.exceptions
import pika.spec

from sidecar.settings.broker import Broker
from sidecar.transports.connection import Deadline, _Backend, _tls

# pika logs a page for each lost connection; what happened is in the attempt.
logging.getLogger("pika").setLevel(logging.CRITICAL + 1)

_PIECE = 65_536
_LONGEST_FRAME = 1_048_576  # a broker proposes 131,072
# An idle connection sends no heartbeats, as no thread is there to send them: the kernel asks instead, so that
# firewalls keep it and a vanished broker is noticed before the next message.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]
_NO_ROUTE = 312


class Refused(Exception):
    """The broker said no, with a code of AMQP 0-9-1."""

    def __init__(self, code: int, text: str, doing: str) -> None:
        super().__init__(text)
        self.code, self.text, self.doing = code, text, doing


class Dropped(Exception):
    """The broker closed the connection without a word."""


class Garbage(Exception):
    """What came was not AMQP 0-9-1."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it goes out. `properties` are pika's BasicProperties."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Any


class Link:
    """An open channel in confirm mode, used by one thread, one message at a time."""

    def __init__(self, broker: Broker, credentials: tuple[str, str], deadline: Deadline) -> None:
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
        self._wire = _Wire(_parameters(broker, credentials), _dial(broker, deadline))
        try:
            self._talk(lambda: self._wire.is_open)
            self._channel = self._open_channel()
            self.declare()
        except BaseException:
            self.drop()
            raise

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no messages just now (memory, disk); None while it does."""
        return self._wire.blocked

    def declare(self) -> None:
        """Declare the queues that the address asks for; what is there already stays as it is."""
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

    def catch_up(self) -> None:
        """Take in what came since the last message, without waiting: raises what has become of the link."""
        self._doing = "the connection"
        self._wire.catch_up()
        if self._closed:
            raise self._closed

    def publish(self, message: Message) -> "Answer":
        """Send one message and wait for the broker's word on it; before that, until it takes messages."""
        self._talk(lambda: self._wire.blocked is None)
        self._doing = "the message"
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
            return Answer(taken=False, code=_NO_ROUTE)
        return Answer(taken=number not in self._refused)

    def close(self) -> None:
        """Take leave as the protocol wants it, so that the broker has nothing to complain of in its log."""
        # It may be gone, or say anything: we are leaving.
        with suppress(Refused, Dropped, Garbage, OSError, httpcore.NetworkError, httpcore.TimeoutException):
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

    def _call(self, method: Callable[..., object], *names: str, **options: Any) -> None:
        done: list[object] = []
        method(*names, callback=done.append, **options)
        self._talk(lambda: bool(done))

    def _talk(self, until: Callable[[], bool]) -> None:
        """Exchange frames until something is so; a channel that the broker closes ends it."""
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
        tag = frame.method.delivery_tag
        answered = {one for one in self._unanswered if one == tag or (frame.method.multiple and one < tag)}
        self._unanswered -= answered
        if isinstance(frame.method, pika.spec.Basic.Nack):
            self._refused |= answered


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's word on one message; `code` is there when it came back."""

    taken: bool
    code: int | None = None


class _Wire(pika.connection.Connection):  # type: ignore[misc]  # pika ships no types
    """pika's protocol on a stream of ours. The `_adapter` methods are what pika asks of an adapter."""

    def __init__(self, parameters: Any, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._outgoing = bytearray()
        self._heard = False
        self._ended = False
        self._cause: Exception | None = None
        self.blocked: str | None = None
        super().__init__(parameters)
        self.add_on_connection_blocked_callback(self._on_blocked)
        self.add_on_connection_unblocked_callback(self._on_unblocked)

    def talk(self, until: Callable[[], bool]) -> None:
        """Send what is to be sent and read until something is so."""
        self._flush()
        while not until():
            self._raise_if_ended()
            self._hear(self._stream.read(_PIECE))
            self._flush()

    def catch_up(self) -> None:
        """Read what is there. It does not count as an answer to anything."""
        plain: socket.socket = self._stream.get_extra_info("socket")
        plain.settimeout(0)
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            while True:
                self._hear(plain.recv(_PIECE))
                self._raise_if_ended()

    def take_leave(self) -> None:
        """Close the channel, then the connection."""
        if self.is_open:
            self.close()
            self.talk(lambda: self._ended)

    def hang_up(self) -> None:
        self._stream.close()

    def _hear(self, data: bytes) -> None:
        if not data:
            raise Dropped
        # A frame begins with its type, and the first one is a method; AMQP is how a broker says "not this version".
        if not self._heard and not data.startswith((b"\x01", b"A")):
            raise Garbage(_recognised(data))
        self._heard = True
        try:
            self._on_data_available(data)
        except Exception as error:  # noqa: BLE001 - pika raises whatever happens to it on bytes that make no sense
            raise Garbage(f"{type(error).__name__}: {error}") from error
        if len(self._frame_buffer) > _LONGEST_FRAME:
            raise Garbage("a frame is too long")

    def _flush(self) -> None:
        data, self._outgoing = bytes(self._outgoing), bytearray()
        if data:
            self._stream.write(data)

    def _raise_if_ended(self) -> None:
        if not self._ended:
            return
        cause = self._cause
        if isinstance(cause, pika.exceptions.ConnectionClosedByBroker):
            raise Refused(cause.reply_code, cause.reply_text, "the connection")
        raise Garbage(repr(cause))

    def _on_blocked(self, _connection: object, frame: Any) -> None:
        self.blocked = str(frame.method.reason)

    def _on_unblocked(self, _connection: object, _frame: object) -> None:
        self.blocked = None

    def _adapter_connect_stream(self) -> None:
        self._on_stream_connected()

    def _adapter_disconnect_stream(self) -> None:
        self._ended, self._cause = True, self._error

    def _adapter_emit_data(self, data: bytes) -> None:
        self._outgoing += data

    def _adapter_call_later(self, delay: float, callback: Callable[[], object]) -> object:
        raise NotImplementedError("without heartbeats nothing is to be done later")

    def _adapter_remove_timeout(self, timeout_id: object) -> None:
        raise NotImplementedError("without heartbeats nothing is to be done later")

    def _adapter_add_callback_threadsafe(self, callback: Callable[..., object]) -> None:
        raise NotImplementedError("a link belongs to one thread")


def _dial(broker: Broker, deadline: Deadline) -> httpcore.NetworkStream:
    stream = _Backend(deadline).connect_tcp(broker.host, broker.port, socket_options=_KEEPALIVE)
    return stream.start_tls(_tls(), server_hostname=broker.host) if broker.tls else stream


def _parameters(broker: Broker, credentials: tuple[str, str]) -> Any:
    return pika.ConnectionParameters(
        host=broker.host,
        port=broker.port,
        virtual_host=broker.vhost,
        credentials=pika.PlainCredentials(*credentials),
        heartbeat=0,
        client_properties={"connection_name": f"moodle-integration-hub on {socket.gethostname()}"},
    )


def _recognised(data: bytes) -> str:
    if data.startswith(b"HTTP/"):
        return "it speaks HTTP: is it the port of the management page?"
    if data.startswith(b"\x15\x03"):
        return "it wants TLS: write amqps://"
    return repr(data[:40])
