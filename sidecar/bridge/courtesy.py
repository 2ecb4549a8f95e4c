"""A tail that is behind gives way to a Moodle that is busy: one thing at a time, and a rest after each."""

from sidecar.clock import Clock

BUSY = 50.0  # rows a second that Moodle adds to its log
RESTS = 1.0  # seconds for each second of reading
_SAMPLE_S = 0.25


class Courtesy:
    """Kept by the loop that reads. What it knows of Moodle it sees by the end of the log: it asks nobody."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._head: int | None = None
        self._seen_at = 0.0
        self.gives_way = False

    def rest_s(self, took_s: float, head: int | None) -> float:
        """Return how long to rest after a round that took so long and saw the log end there."""
        now = self._clock.monotonic()
        if self._head is None or head is None:
            self._head, self._seen_at = head, now
        elif now - self._seen_at >= _SAMPLE_S:
            self.gives_way = head - self._head >= BUSY * (now - self._seen_at)
            self._head, self._seen_at = head, now
        return took_s * RESTS if self.gives_way else 0.0
