"""Pages stand back while deliveries are under way: who hammers the dashboard slows himself, not the work."""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from sidecar.errors import said
from sidecar.web.fault import Fault

# While there is work, pages take this share of the time; what people click is far below.
_SHARE = 0.05
# What pages may take at once after a quiet time, in seconds.
_SAVED_S = 1.0
# A page is thought to take so long until it is known; one that waits for others takes no more than the most.
_USUAL_S = 0.02
_MOST_S = 0.2
_SHORTEST_S = 0.01
# Work comes in waves: between two of them nobody has nothing to do.
_LULL_S = 1.0
# So many are made at once while there is work, and while there is none: what is begun then ends in it.
_AT_ONCE, _AT_ONCE_IN_QUIET = 2, 4
# One that takes longer waits for something else, a service or a long look into Moodle's log.
_LONG_S = 1.0
_MOST_WAITING = 20
_COME_AGAIN_S = 5


class Governor:
    """Lets pages in as fast as their share of the time allows, while `busy` says that there is work."""

    def __init__(
        self,
        busy: Callable[[], bool],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._busy, self._monotonic, self._sleep = busy, monotonic, sleep
        self._saved_s, self._counted_at = _SAVED_S, monotonic()
        self._busy_at = -math.inf
        self._line = anyio.Lock()
        self._waiting = 0
        self._begun: dict[object, float] = {}

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn to make a page. Raises Fault (503) when too many wait for theirs already."""
        if self._must_wait():
            await self._wait()
        self._pay(_USUAL_S)
        this = object()
        began = self._begun[this] = self._monotonic()
        try:
            yield
        finally:
            del self._begun[this]
            self._pay(min(self._monotonic() - began, _MOST_S) - _USUAL_S)

    async def _wait(self) -> None:
        if self._waiting >= _MOST_WAITING and self._is_busy(self._monotonic()):
            # Not at once: whoever hammers would be back at once, and to refuse takes time, too.
            await self._sleep(_COME_AGAIN_S)
            raise _too_busy()
        self._waiting += 1
        try:
            async with self._line:  # the first of the line looks at the time, the others sleep
                while self._must_wait():
                    await self._sleep(min(max(-self._saved_s / _SHARE, _SHORTEST_S), 1))
        finally:
            self._waiting -= 1

    def _must_wait(self) -> bool:
        now = self._monotonic()
        self._saved_s = min(self._saved_s + (now - self._counted_at) * _SHARE, _SAVED_S)
        self._counted_at = now
        at_once = sum(now - began < _LONG_S for began in self._begun.values())
        if not self._is_busy(now):
            return at_once >= _AT_ONCE_IN_QUIET
        return self._saved_s < 0 or at_once >= _AT_ONCE

    def _pay(self, cost_s: float) -> None:
        self._saved_s -= cost_s
        if not self._is_busy(self._monotonic()):
            self._saved_s = max(self._saved_s, 0)  # what nobody was kept waiting by is no debt

    def _is_busy(self, now: float) -> bool:
        if self._busy():
            self._busy_at = now
        return now - self._busy_at <= _LULL_S


def _too_busy() -> Fault:
    return Fault(
        503,
        "busy",
        said("The sidecar is sending, and more pages are asked for than it makes meanwhile."),
        said("Try again in %(n)s seconds.", n=_COME_AGAIN_S),
        {"Retry-After": str(_COME_AGAIN_S)},
    )
