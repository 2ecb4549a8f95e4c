"""What really arrived: the receiver, counting what it has accepted by delivery id."""

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.receiver import Exchange, Received, Receiver, answer


class Sink(Receiver):
    """Accepts whatever comes until `status_of` says otherwise, and counts what it accepted."""

    def __init__(self) -> None:
        self.status_of: Callable[[Received], int] = lambda _: 200
        self.accepted: Counter[str] = Counter()
        self._lock = threading.Lock()
        super().__init__()
        self.otherwise(self._take)

    @property
    def bodies(self) -> list[Any]:
        """All that arrived, decoded."""
        return [json.loads(request.body) for request in self.requests]

    @property
    def repeated(self) -> int:
        """How many deliveries were accepted more than once."""
        return sum(1 for times in self.accepted.values() if times > 1)

    def fail_each_once(self) -> None:
        """Refuse each delivery when it comes for the first time."""
        failed: set[str] = set()

        def status_of(request: Received) -> int:
            delivery_id = request.header("webhook-id") or ""
            if delivery_id in failed:
                return 200
            failed.add(delivery_id)
            return 503

        self.status_of = status_of

    def _take(self, exchange: Exchange) -> bool:
        status = self.status_of(exchange.request)
        if status == 200:
            with self._lock:
                self.accepted[exchange.request.header("webhook-id") or ""] += 1
        return answer(status, b"")(exchange)
