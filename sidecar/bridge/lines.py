"""The lines to one service: as many as requests may be in flight, each lent to one sender at a time."""

from collections import defaultdict, deque
from queue import Empty, SimpleQueue

from sidecar.clock import Clock
from sidecar.gateway.line import Line
from sidecar.settings import Service


class Permits:
    """One for each request that may be in flight to one service.

    They outlive their lane: the one that replaces it while requests are still out gets what those leave, and
    more as they come back. When there are to be fewer some are void: they end with whoever would take them.
    """

    def __init__(self, number: int) -> None:
        self.number = 0
        self._free: SimpleQueue[None] = SimpleQueue()
        self._void: SimpleQueue[None] = SimpleQueue()
        self.limit(number)

    def limit(self, number: int) -> None:
        """Let so many be in flight from now on. Called by one thread only."""
        for _ in range(number - self.number):
            self._free.put(None)
        for _ in range(self.number - number):
            self._void.put(None)
        self.number = number

    def take(self, *, wait: bool) -> bool:
        """Take one as soon as there is one; False: there is none now, and it is not to wait."""
        try:
            self._free.get(block=wait)
            while self._is_void():
                self._free.get(block=wait)
        except Empty:
            return False
        return True

    def put(self) -> None:
        """Give one back."""
        self._free.put(None)

    @property
    def taken(self) -> int:
        """How many are in use."""
        return self.number + self._void.qsize() - self._free.qsize()

    def _is_void(self) -> bool:
        if self._void.empty():
            return False
        try:
            self._void.get_nowait()
        except Empty:
            return False
        return True


class Lines:
    """Lends what was given back last, so that there are no more connections than are needed at once.

    A line belongs to a timeout: there are as many kinds of them as rules have timeouts of their own.
    """

    def __init__(self, service: Service, permits: Permits, clock: Clock) -> None:
        self.permits = permits
        self._service, self._clock = service, clock
        self._idle: dict[float, deque[Line]] = defaultdict(deque)

    def borrow(self, timeout_s: float) -> Line:
        """Return a line as soon as one may be used."""
        self.permits.take(wait=True)
        return self._line(timeout_s)

    def borrow_at_once(self, timeout_s: float) -> Line | None:
        """Return a line; None while as many requests are in flight as may be."""
        return self._line(timeout_s) if self.permits.take(wait=False) else None

    def give_back(self, line: Line, timeout_s: float) -> None:
        """Let somebody else use it."""
        self._idle[timeout_s].append(line)
        self.permits.put()

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
        return self.permits.taken + sum(map(len, tuple(self._idle.values())))

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
