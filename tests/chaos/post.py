"""A receiver that counts what it accepted, and goes on counting when it was away."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tests.receiver import Behaviour, Exchange, Received, Receiver, answer


class Arrivals:
    """What was accepted, by the mark that its row bears and by the id that it came with."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.ids: dict[int, Counter[str]] = {}
        self.first_at: dict[int, float] = {}

    def note(self, mark: int, delivery_id: str) -> None:
        """Count one accepted request."""
        with self._lock:
            self.ids.setdefault(mark, Counter())[delivery_id] += 1
            self.first_at.setdefault(mark, time.time())

    def since(self, number: int) -> list[tuple[int, float]]:
        """Return the mark and the moment of each first arrival after so many of them."""
        with self._lock:
            return list(self.first_at.items())[number:]

    @property
    def marks(self) -> set[int]:
        """The rows that have arrived."""
        with self._lock:
            return set(self.ids)

    @property
    def twice(self) -> int:
        """How many rows were accepted more than once."""
        with self._lock:
            return sum(1 for ids in self.ids.values() if ids.total() > 1)

    @property
    def mixed_up(self) -> int:
        """How many rows came with more than one id, and ids with more than one row: there must be none."""
        with self._lock:
            rows = Counter(delivery_id for ids in self.ids.values() for delivery_id in ids)
            return sum(1 for ids in self.ids.values() if len(ids) > 1) + sum(n > 1 for n in rows.values())


class Post:
    """A receiver on one port for all its lives: it can behave badly, and it can be away."""

    def __init__(self) -> None:
        self.arrivals = Arrivals()
        self._receiver = Receiver(otherwise=self._take)
        self.port = self._receiver.port

    def hang_up(self) -> None:
        """Close all connections."""
        self._receiver.hang_up()

    @contextmanager
    def behaving(self, behaviour: Behaviour) -> Iterator[None]:
        """Treat all requests so, and let go those that hang at the end."""
        self._receiver.released.clear()
        self._receiver.otherwise(behaviour)
        yield
        self._receiver.otherwise(self._take)
        self._receiver.released.set()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Listen nowhere meanwhile."""
        self._receiver.close()
        yield
        # What it does is said before it listens: a request that comes at once is counted, too.
        self._receiver = Receiver(port=self.port, otherwise=self._take)

    def close(self) -> None:
        """Close for good."""
        self._receiver.close()

    def take(self, request: Received) -> None:
        """Count a request as accepted."""
        self.arrivals.note(json.loads(request.body)["objectid"], request.header("webhook-id") or "")

    def _take(self, exchange: Exchange) -> bool:
        kept = answer(200, b"")(exchange)
        self.take(exchange.request)
        return kept
