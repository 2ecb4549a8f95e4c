"""How many senders a service has: as many as get more done than half of them would."""

import time
from collections.abc import Callable

FIRST = 4
_WINDOW_S = 0.1
_HOLDS_S = 10.0
_BETTER, _AS_GOOD = 1.1, 0.95  # times the rate before


class Staff:
    """Asked again and again by one thread, while work waits for senders.

    Threads of Python take turns: more of them get more done only where they wait for the service, not for
    each other. Which of the two it is cannot be seen, so it is tried: twice as many, half as many, and what
    was no use is undone and not tried again for a while. `passed` is a stopwatch, in seconds.
    """

    def __init__(self, first: int, most: int, passed: Callable[[], float] = time.monotonic) -> None:
        self.number = min(first, most)
        self._least, self._most, self._passed = self.number, most, passed
        self._before: tuple[int, float] | None = None  # senders and their rate, before the last change
        self._window: tuple[float, int] | None = None
        self._holds_until = 0.0

    def rest(self) -> None:
        """Forget what was measured: senders wait for work."""
        self._window = self._before = None

    def look(self, finished: int, *, may_grow: bool) -> None:
        """Judge the last change by what has been `finished` in all, then try another."""
        now = self._passed()
        if self._window is None:
            self._window = now, finished
        since, had = self._window
        if now - since < _WINDOW_S:
            return
        rate, self._window = (finished - had) / (now - since), (now, finished)
        if finished - had < self.number:
            self._wait_for_answers(may_grow=may_grow)
        elif self._is_good(rate, now) and now >= self._holds_until:
            self._try(rate, may_grow=may_grow)

    def _wait_for_answers(self, *, may_grow: bool) -> None:
        """Have more where an answer takes longer than we look: who waits for it is in nobody's way."""
        if may_grow:
            self.number = min(self.number * 2, self._most)

    def _is_good(self, rate: float, now: float) -> bool:
        """Undo the last change, unless it made more senders better, or fewer as good."""
        before, self._before = self._before, None
        if before is None:
            return True
        number, rate_then = before
        good = rate >= rate_then * (_BETTER if self.number > number else _AS_GOOD)
        if not good:
            self.number = number
        if not good or self.number == self._most:
            self._holds_until = now + _HOLDS_S
        return good

    def _try(self, rate: float, *, may_grow: bool) -> None:
        other = self.number * 2 if may_grow and self.number < self._most else self.number // 2
        other = max(min(other, self._most), self._least)
        if other != self.number:
            self._before, self.number = (self.number, rate), other
