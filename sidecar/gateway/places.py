"""How many direct calls of each service are under way: never more than its `max_concurrency`."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from sidecar.settings import Service


class Places:
    """One for all threads that call. `otherwise` is how many there are of a service that sets no limit.

    Who finds none free waits for one, as long as the service's timeout at most; not at all unless `patient`.
    """

    def __init__(self, *, otherwise: int | None = None, patient: bool = True) -> None:
        self._otherwise, self._patient = otherwise, patient
        self._taken: Counter[str] = Counter()
        self._freed = threading.Condition()

    @contextmanager
    def one(self, name: str, service: Service) -> Iterator[bool]:
        """Take a place while the block runs; False if there was none."""
        most = service.max_concurrency or self._otherwise
        with self._freed:
            patience_s = service.timeout if self._patient else 0
            found = most is None or self._freed.wait_for(lambda: self._taken[name] < most, patience_s)
            self._taken[name] += found
        try:
            yield found
        finally:
            with self._freed:
                self._taken[name] -= found
                self._freed.notify_all()
