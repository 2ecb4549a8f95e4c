"""The lines to one service: as many as requests may be in flight, each lent to one sender at a time."""

from collections import defaultdict, deque
from queue import Empty, SimpleQueue

from sidecar.clock import Clock
from sidecar.gateway.line import Line
from sidecar.settings import Service


class Lines:
    """Lends what was given back last, so that there are no more connections than are needed at once.

    A line belongs to a timeout: there are as many kinds of them as rules have timeouts of their own.
    """

    def __init__(self, service: Service, capacity: int, clock: Clock) -> None:
        self._service, self._capacity, self._clock = service, capacity, clock
        self._idle: dict[float, deque[Line]] = defaultdict(deque)
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(capacity):
            self._permits.put(None)

    def borrow(self, timeout_s: float) -> Line:
        """Return a line as soon as one may be used."""
        self._permits.get()
        return self._line(timeout_s)

    def borrow_at_once(self, timeout_s: float) -> Line | None:
        """Return a line; None while as many requests are in flight as may be."""
        try:
            self._permits.get_nowait()
        except Empty:
            return None
        return self._line(timeout_s)

    def give_back(self, line: Line, timeout_s: float) -> None:
        """Let somebody else use it."""
        self._idle[timeout_s].append(line)
        self._permits.put(None)

    def keep(self, most: int) -> None:
        """Close connections that nobody uses until there are no more than so many: fewer are wanted now."""
        while self._number > most and any(_closed(idle) for idle in tuple(self._idle.values())):
            pass

    def close(self) -> None:
        """Close all that nobody uses. Asked by each sender when it ends; the last one leaves none."""
        for idle in tuple(self._idle.values()):
            while _closed(idle):
                pass

    @property
    def _number(self) -> int:
        """How many there are, lent and idle."""
        return self._capacity - self._permits.qsize() + sum(map(len, tuple(self._idle.values())))

    def _line(self, timeout_s: float) -> Line:
        try:
            return self._idle[timeout_s].pop()
        except IndexError:
            return Line(self._service.model_copy(update={"timeout": timeout_s}), self._clock)


def _closed(idle: deque[Line]) -> bool:
    """Close the line that was used longest ago; False where there is none."""
    try:
        line = idle.popleft()
    except IndexError:
        return False
    line.close()
    return True
