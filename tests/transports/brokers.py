"""What stands between a test and a broker: queues to look into, and a wire that can be cut."""

import contextlib
import itertools
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from tests.broker import RabbitMQ

_numbers = itertools.count(1)


class Inbox:
    """A durable queue that only one test uses."""

    def __init__(self, broker: RabbitMQ, **arguments: Any) -> None:
        self._broker = broker
        self.name = f"mih-test-{os.getpid()}-{next(_numbers)}"
        with closing(broker.connect()) as connection:
            connection.channel().queue_declare(self.name, durable=True, arguments=arguments)

    def bind(self, exchange: str, routing_key: str) -> None:
        """Let an exchange that is there lead to it."""
        with closing(self._broker.connect()) as connection:
            connection.channel().queue_bind(self.name, exchange, routing_key)

    def take(self) -> list[tuple[Any, Any, bytes]]:
        """Return all messages as (method, properties, body) and leave none."""
        return list(messages(self._broker, self.name))

    def ids(self) -> list[str]:
        """Return the message ids in order, and leave none."""
        return [properties.message_id for _, properties, _ in self.take()]

    def remove(self) -> None:
        """Delete the queue."""
        self._broker.start()
        with closing(self._broker.connect()) as connection:
            connection.channel().queue_delete(self.name)


def messages(broker: RabbitMQ, queue: str) -> Iterator[tuple[Any, Any, bytes]]:
    """Yield what is in a queue, taking it out."""
    with closing(broker.connect()) as connection:
        channel = connection.channel()
        while True:
            method, properties, body = channel.basic_get(queue, auto_ack=True)
            if method is None:
                return
            yield method, properties, body


class Cable:
    """A TCP proxy to the broker. `cut` resets all connections; `mute` lets nothing through any more.

    `hold` is a network that is partitioned: what either side says waits until `heal`, on new wires, too.
    Nobody is told, and what was held of a connection that was cut meanwhile never comes.

    It breaks by itself once `breaks_after` bytes have gone to the broker, and calls `on_connection` with the
    number of each connection before it carries anything.
    """

    def __init__(self, port: int) -> None:
        self.breaks_after: int | None = None
        self.on_connection: Callable[[int], object] = lambda _: None
        self._carried = 0
        self._target = port
        self._deaf = threading.Event()
        self._forth, self._back = threading.Event(), threading.Event()
        self.heal()
        self._wires: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._start(self._accept)

    def cut(self) -> None:
        """Reset what is connected now; new connections are let through."""
        wires, self._wires = self._wires, []
        for wire in wires:
            with contextlib.suppress(OSError):
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # A thread waits in recv: only shutdown wakes it, and close then resets.
                wire.shutdown(socket.SHUT_RD)
        self._join()

    def mute(self) -> None:
        """Swallow what either side says from now on."""
        self._deaf.set()

    def hold(self, *, forth: bool = True, back: bool = True) -> None:
        """Keep what goes to the broker, what comes from it, or both."""
        for way, held in ((self._forth, forth), (self._back, back)):
            if held:
                way.clear()

    def heal(self) -> None:
        """Let everything through again, what was held first."""
        self._forth.set()
        self._back.set()

    def close(self) -> None:
        """Take it away."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(20)

    def _join(self) -> None:
        for thread in self._threads[1:]:
            thread.join(20)
        del self._threads[1:]

    def _start(self, work: Any, *values: Any) -> None:
        thread = threading.Thread(target=work, args=values, name="cable", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                self.on_connection(self.connections)
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()  # nobody is there just now
                    continue
                self._wires += [near, far]
                self._start(self._carry, near, far, self._forth, self._wears)
                self._start(self._carry, far, near, self._back)

    def _flows(self, flows: threading.Event, source: socket.socket) -> bool:
        """Wait until the way is free; False: the connection was cut before."""
        while not flows.wait(0.02):
            if source not in self._wires:
                return False
        return True

    def _wears(self, size: int) -> bool:
        self._carried += size
        return self.breaks_after is not None and self._carried > self.breaks_after

    def _carry(
        self,
        source: socket.socket,
        target: socket.socket,
        flows: threading.Event,
        breaks: Callable[[int], bool] = lambda _: False,
    ) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if breaks(len(data)) or not self._flows(flows, source):
                    break
                if not self._deaf.is_set():
                    target.sendall(data)
            else:
                # The end of a connection gets through as all else does.
                if self._flows(flows, source) and source in self._wires:
                    target.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                target.shutdown(socket.SHUT_RD)


@contextmanager
def listener(says: bytes = b"", *, every_s: float = 0, then_closes: bool = False) -> Iterator[int]:
    """Listen on a port, say something (byte by byte) to whoever connects, and then nothing, or close."""
    done = threading.Event()
    served: list[threading.Thread] = []

    def serve(wire: socket.socket) -> None:
        with wire, contextlib.suppress(OSError):
            wire.recv(10_000)
            for piece in [bytes([byte]) for byte in says] if every_s else [says]:
                wire.sendall(piece)
                done.wait(every_s)
            if not then_closes:
                done.wait(20)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                wire, _ = server.accept()
                served.append(threading.Thread(target=serve, args=(wire,), daemon=True))
                served[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield server.getsockname()[1]
        done.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        accepting.join(20)
        for thread in served:
            thread.join(20)
