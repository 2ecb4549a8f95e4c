"""How many senders a service has: as many as get the most done."""

import time
from collections.abc import Callable

_WINDOW_S = 0.2
_HOLDS_S = 10.0
_BETTER, _AS_GOOD = 1.1, 0.95  # times the rate before
# Shares of one core that this process uses: who uses little waits for services; threads of Python take turns.
_IDLE, _BUSY = 0.3, 0.6


class Staff:
    """Asked again and again by one thread, while work waits for senders.

    More of them get more done where they wait for the service, and less where they wait for each other. While
    the process is idle it is the former. Else it is tried out: twice as many, or half as many in a busy
    process; what was no use is undone and not tried again for a while. `passed` is a stopwatch, in seconds.
    """

    def __init__(self, first: int, most: int, passed: Callable[[], float] = time.monotonic) -> None:
        self.number = min(first, most)
        self._least, self._most, self._passed = self.number, most, passed
        self._before: tuple[int, float] | None = None  # senders and their rate, before the last change
        self._window: tuple[float, int] | None = None
        self._settling = False  # what went out before the last change is still coming back
        self._holds_until = 0.0
        self.is_eager = True  # whether it is worth while to look again soon

    def rest(self) -> None:
        """Forget what was measured: senders wait for work."""
        self._window = self._before = None
        self.is_eager = True

    def look(self, finished: int, share: float, *, may_grow: bool = True) -> None:
        """Judge the last change by what has been `finished` in all, then try another.

        `share`: what the process has used of a core lately.
        """
        now = self._passed()
        self.is_eager = may_grow and now >= self._holds_until
        if self._window is None:
            self._window, self._settling = (now, finished), True
        elif share < _IDLE:
            self._window = self._before = None
            self.number = min(self.number * 2, self._most) if may_grow else self.number
        elif now - self._window[0] >= _WINDOW_S:
            since, had = self._window
            self._window = now, finished
            if self._settling:
                self._settling = False
                return
            rate = (finished - had) / (now - since)
            if self._is_good(rate, now) and now >= self._holds_until:
                self._try(rate, more=share < _BUSY, may_grow=may_grow)

    def _is_good(self, rate: float, now: float) -> bool:
        """Undo the last change, unless it made more senders better, or fewer as good."""
        before, self._before = self._before, None
        if before is None:
            return True
        number, rate_then = before
        good = rate >= rate_then * (_BETTER if self.number > number else _AS_GOOD)
        if not good:
            self.number, self._holds_until = number, now + _HOLDS_S
        return good

    def _try(self, rate: float, *, more: bool, may_grow: bool) -> None:
        if more and not may_grow:
            return
        other = min(self.number * 2, self._most) if more else max(self.number // 2, self._least)
        if other != self.number:
            self._before, self.number, self._settling = (self.number, rate), other, True
