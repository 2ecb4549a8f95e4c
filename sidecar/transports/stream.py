"""Sockets whose every wait ends at the deadline."""

import math
import select
import socket
import ssl
from typing import Any

import httpcore

from sidecar.transports.deadline import Deadline


class Stream(httpcore.NetworkStream):
    """Any stream of httpcore's, with TLS or without."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline
        self._wire: socket.socket = stream.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline.left()
        received = self._receive(max_bytes, left if timeout is None else min(timeout, left))
        self._deadline.heard = self._deadline.heard or bool(received)
        return received

    def take(self, max_bytes: int) -> bytes | None:
        """Read what has come, however late its turn comes; where nothing has, wait as `read` does.

        None: what came was of TLS alone, such as its session tickets.
        """
        return self.at_hand(max_bytes) if self.get_extra_info("is_readable") else self.read(max_bytes)

    def at_hand(self, max_bytes: int) -> bytes | None:
        """Read what is there now. None: nothing is; raises ReadTimeout where nothing will be in time."""
        try:
            received = self._received_now(max_bytes)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._deadline.left()
            return None
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        self._deadline.heard = self._deadline.heard or bool(received)
        return received

    def require_time(self) -> None:
        """Raise ReadTimeout where none is left."""
        self._deadline.left()

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all. httpcore's own loop gives each piece the whole time again when the reader is slow."""
        left = memoryview(buffer)
        try:
            while left:
                left = left[self._send(left) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> "Stream":
        left = self._deadline.left_to_connect()
        return Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _receive(self, max_bytes: int, seconds: float) -> bytes:
        return self._stream.read(max_bytes, seconds)

    def _received_now(self, max_bytes: int) -> bytes:
        """Read without waiting. Raises OSError."""
        self._wire.settimeout(0)
        return self._wire.recv(max_bytes)

    def _send(self, piece: memoryview) -> int:
        """Send what goes at once; return how many bytes. Raises OSError."""
        self._wire.settimeout(self._deadline.left())
        return self._wire.send(piece)


class Plain(Stream):
    """A socket without TLS that never waits: one with a timeout costs twice as many system calls."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        super().__init__(stream, deadline)
        self._wire.setblocking(False)
        self._answers = select.poll()
        self._answers.register(self._wire, select.POLLIN)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._wire.fileno() < 0 or bool(self._answers.poll(0))
        return super().get_extra_info(info)

    def take(self, max_bytes: int) -> bytes | None:
        received = self.at_hand(max_bytes)
        return self.read(max_bytes) if received is None else received

    def _received_now(self, max_bytes: int) -> bytes:
        return self._wire.recv(max_bytes)

    def _receive(self, max_bytes: int, seconds: float) -> bytes:
        if not self._answers.poll(math.ceil(seconds * 1000)):
            raise httpcore.ReadTimeout("timed out")
        try:
            return self._wire.recv(max_bytes)
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    def _send(self, piece: memoryview) -> int:
        try:
            return self._wire.send(piece)
        except BlockingIOError:
            room = select.poll()
            room.register(self._wire, select.POLLOUT)
            room.poll(math.ceil(self._deadline.left() * 1000))
            return 0
