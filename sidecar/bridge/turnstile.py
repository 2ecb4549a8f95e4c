"""Senders pass here a few at a time: more of them would only change places with each other."""

from queue import Empty, SimpleQueue

_PLACES = 2
_PATIENCE_S = 1.0


class Turnstile:
    """For senders of services that answer at once: what takes time then is Python, one thread at a time.

    Whoever is inside has to leave before it waits for anybody who does not answer at once.
    """

    def __init__(self, places: int = _PLACES) -> None:
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(places):
            self._places.put(None)

    def enter(self) -> bool:
        """Wait for a place; False where it takes too long: then it is better to go without one."""
        try:
            self._places.get(timeout=_PATIENCE_S)
        except Empty:
            return False
        return True

    def leave(self) -> None:
        """Give a place to the next."""
        self._places.put(None)
