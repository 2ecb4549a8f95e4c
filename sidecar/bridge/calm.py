"""When nothing has happened for a while a loop looks less often: a Moodle that sleeps is left in peace."""

from sidecar.clock import Clock

AFTER_S = 30.0
FACTOR = 5


class Calm:
    """Kept by one loop, which says when there was something to do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stirred_at = self._looked_at = clock.monotonic()

    def stirred(self) -> None:
        """Say that there was something to do."""
        self._stirred_at = self._clock.monotonic()

    def every_s(self, every_s: float) -> float:
        """Return how long to wait between looks that are `every_s` seconds apart otherwise."""
        calm = self._clock.monotonic() - self._stirred_at >= AFTER_S
        return every_s * FACTOR if calm else every_s

    def may_skip(self, every_s: float) -> bool:
        """Whether a look that would be made every so many seconds can be left out; if not it is made."""
        now = self._clock.monotonic()
        # Half of it later, as no clock ticks to the point: this look or the next.
        if now - self._looked_at < self.every_s(every_s) - every_s / 2:
            return True
        self._looked_at = now
        return False
