"""One deadline for everything about a request: a server that sends one byte a second is given up in time."""

import httpcore

from sidecar.clock import Clock


class Deadline:
    """The moment at which everything about the current request has to be over.

    `heard` tells whether anything has come from the other side since it was asked last.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends = 0.0
        self._connect_s = 0.0
        self._connect_ends = 0.0
        self.heard = False

    def start(self, seconds: float, connect_s: float | None = None) -> None:
        """Give the next request `seconds` from now, and each connection of it `connect_s` of these."""
        self._ends = self._clock.monotonic() + seconds
        self._connect_s = seconds if connect_s is None else connect_s
        self.heard = False

    def start_connecting(self) -> None:
        """Let the time for a connection run: for the name, the proxy and the TLS handshake, too."""
        self._connect_ends = self._clock.monotonic() + self._connect_s

    def left(self) -> float:
        """Return the seconds left. Raises httpcore.ReadTimeout when there are none."""
        left = self._ends - self._clock.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the deadline has passed")
        return left

    def left_to_connect(self) -> float:
        """Return the seconds left for the connection. Raises httpcore.ConnectTimeout when there are none."""
        left = min(self._ends, self._connect_ends) - self._clock.monotonic()
        if left <= 0:
            raise httpcore.ConnectTimeout("the time for the connection has passed")
        return left
