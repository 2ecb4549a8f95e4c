"""How hard this process works: what its threads have used of one core lately."""

import time
from collections.abc import Callable

_WINDOW_S = 0.02


class Effort:
    """Asked by one thread, again and again. `used` and `passed` are two stopwatches, in seconds."""

    def __init__(
        self,
        used: Callable[[], float] = time.process_time,
        passed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._used, self._passed = used, passed
        self._last = used(), passed()

    def share(self) -> float | None:
        """Return what was used of a core since it was last told; None if that is too short a while ago."""
        used, passed = self._used(), self._passed()
        over_s = passed - self._last[1]
        if over_s < _WINDOW_S:
            return None
        share = (used - self._last[0]) / over_s
        self._last = used, passed
        return share
