"""The protocol of a message broker over one socket with one deadline: pika speaks, the socket is ours.

pika's own connections wait without a limit for what a broker owes them: an open channel, a confirm. Here
every wait ends with the deadline of the attempt, and the network is the one that HTTP uses.
"""

import logging
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore
import pika
import pika.connection
import pika.exceptions

from sidecar.errors import said
from sidecar.settings.broker import Broker
from sidecar.transports.connection import Network, Way, tls_context, trust_of
from sidecar.transports.deadline import Deadline

# pika logs a page for each lost connection; what happened is in the attempt.
logging.getLogger("pika").setLevel(logging.CRITICAL + 1)

_PIECE = 65_536
# A broker sends heartbeats twice as often as was agreed, and waits for ours twice as long, or longer.
_PATIENT = 1.25
_LONGEST_FRAME = 1_048_576  # a broker proposes 131,072
# An idle connection of a sender sends no heartbeats, as no thread is there to send them: the kernel asks
# instead, so that firewalls keep it and a vanished broker is noticed before the next message.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]


# What a broker may say no to.
THE_CONNECTION, THE_MESSAGE = said("the connection"), said("the message")


class Refused(Exception):
    """The broker said no to what we were `doing`, with a code of AMQP 0-9-1."""

    def __init__(self, code: int, text: str, doing: str = THE_CONNECTION) -> None:
        super().__init__(text)
        self.code, self.text, self.doing = code, text, doing


class Dropped(Exception):
    """The broker closed the connection without a word."""


class Silent(Dropped):
    """Nothing has come for longer than heartbeats are apart."""


class Garbage(Exception):
    """What came was not AMQP 0-9-1."""


@dataclass(frozen=True, slots=True, eq=False)
class _Timer:
    at: float
    callback: Callable[[], object]


class Wire(pika.connection.Connection):  # type: ignore[misc]  # pika ships no types
    """pika's protocol on a stream of ours. The `_adapter` methods are what pika asks of its adapters."""

    def __init__(
        self,
        broker: Broker,
        credentials: tuple[str, str],
        deadline: Deadline,
        way: Way,
        *,
        heartbeat_s: int = 0,
    ) -> None:
        """Connect; the login happens in `talk`. Raises an error of httpcore's.

        With heartbeats somebody has to call `beat` all the time.
        """
        self._stream = _dial(broker, deadline, way)
        self._timers: list[_Timer] = []
        self._outgoing = bytearray()
        self._heard = False
        self._heard_at = time.monotonic()
        self._longest_silence_s = heartbeat_s * _PATIENT
        self._ended = False
        self._cause: Exception | None = None
        # False: half a message was sent, and whatever follows would be taken for its end.
        self.whole = True
        # Why the broker takes no messages just now (memory, disk); None while it does.
        self.blocked: str | None = None
        super().__init__(_parameters(broker, credentials, heartbeat_s))
        self.add_on_connection_blocked_callback(self._on_blocked)
        self.add_on_connection_unblocked_callback(self._on_unblocked)

    def talk(self, until: Callable[[], bool]) -> None:
        """Send what is to be sent and read until something is so.

        Raises Refused, Dropped, Garbage, or an error of httpcore's.
        """
        self._flush()
        while not until():
            self._raise_if_ended()
            self._hear(self._stream.read(_PIECE))
            self._flush()

    def catch_up(self) -> None:
        """Read what is there, without waiting. It does not count as an answer to anything."""
        plain: socket.socket = self._stream.get_extra_info("socket")
        plain.settimeout(0)
        with suppress(BlockingIOError, ssl.SSLWantReadError):
            while True:
                self._hear(plain.recv(_PIECE))
                self._raise_if_ended()

    def beat(self) -> None:
        """Do what is due by the stopwatch, heartbeats, and send what is to be sent.

        Raises Silent when there should have been two heartbeats of the broker's. pika looks, too, but so
        seldom that the broker may have given what we hold to others before.
        """
        now = time.monotonic()
        if self._longest_silence_s and now - self._heard_at > self._longest_silence_s:
            raise Silent(
                said("has said nothing for %(n)s s; is the network well?", n=f"{self._longest_silence_s:g}")
            )
        due = [timer for timer in self._timers if timer.at <= now]
        self._timers = [timer for timer in self._timers if timer.at > now]
        for timer in due:
            timer.callback()
        self._raise_if_ended()
        self._flush()

    def fileno(self) -> int:
        """Return the socket's number, to wait for with others."""
        plain: socket.socket = self._stream.get_extra_info("socket")
        return plain.fileno()

    def take_leave(self) -> None:
        """Close the channels, then the connection, as the protocol wants it."""
        if self.is_open:
            self.close()
            self.talk(lambda: self._ended)

    def hang_up(self) -> None:
        """Close the socket."""
        self._stream.close()

    def _hear(self, data: bytes) -> None:
        if not data:
            raise Dropped
        # The first frame is a method, of type 1; a broker that wants another version answers AMQP and that.
        if not self._heard and not data.startswith((b"\x01", b"AMQP")):
            raise Garbage(_recognised(data))
        self._heard, self._heard_at = True, time.monotonic()
        try:
            self._on_data_available(data)
        except Exception as error:  # pika raises whatever happens to it on bytes that make no sense
            raise Garbage(f"{type(error).__name__}: {error}") from error
        if len(self._frame_buffer) > _LONGEST_FRAME:
            raise Garbage("a frame is too long")

    def _flush(self) -> None:
        data, self._outgoing = bytes(self._outgoing), bytearray()
        if data:
            self.whole = False
            self._stream.write(data)
            self.whole = True

    def _raise_if_ended(self) -> None:
        if not self._ended:
            return
        cause = self._cause
        if isinstance(cause, pika.exceptions.ConnectionClosedByBroker):
            raise Refused(cause.reply_code, cause.reply_text)
        if isinstance(cause, pika.exceptions.AMQPHeartbeatTimeout):
            raise Silent(said("has said nothing for too long; is the network well?"))
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
        timer = _Timer(time.monotonic() + delay, callback)
        self._timers.append(timer)
        return timer

    def _adapter_remove_timeout(self, timeout_id: object) -> None:
        self._timers = [timer for timer in self._timers if timer is not timeout_id]

    def _adapter_add_callback_threadsafe(self, callback: Callable[..., object]) -> None:
        raise NotImplementedError("a connection belongs to one thread")


def _dial(broker: Broker, deadline: Deadline, way: Way) -> httpcore.NetworkStream:
    tls = tls_context(trust_of(way)) if broker.tls else None
    # A proxy speaks HTTP: through it there is only a tunnel.
    network = Network(deadline, way, tunnel=True)
    stream = network.connect_tcp(broker.host, broker.port, socket_options=_KEEPALIVE)
    return stream.start_tls(tls, server_hostname=broker.host) if tls else stream


def _parameters(broker: Broker, credentials: tuple[str, str], heartbeat_s: int) -> Any:
    return pika.ConnectionParameters(
        host=broker.host,
        port=broker.port,
        virtual_host=broker.vhost,
        credentials=pika.PlainCredentials(*credentials),
        heartbeat=heartbeat_s,
        client_properties={"connection_name": f"moodle-integration-hub on {socket.gethostname()}"},
    )


def _recognised(data: bytes) -> str:
    if data.startswith(b"HTTP/"):
        return said("it speaks HTTP; is it the port of the management pages?")
    if data.startswith(b"\x15\x03"):
        return said("it wants TLS; write amqps://")
    return repr(data[:40])
