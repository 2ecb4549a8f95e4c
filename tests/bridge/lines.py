"""A receiver that keeps a protocol by order key: what came, what it took, and whether two came at once."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.bridge.dispatching import Post
from tests.receiver import Exchange, answer


class Protocol:
    """Answers deliveries as `script` says, one status after the other, the last for ever; 200 by default."""

    def __init__(self, script: Mapping[int, Sequence[int]] | None = None) -> None:
        self._script = {number: list(statuses) for number, statuses in (script or {}).items()}
        self._lock = threading.Lock()
        self._present: set[str] = set()
        self.overlapped: list[str] = []
        self.came: dict[str, list[int]] = defaultdict(list)
        self.taken: dict[str, list[int]] = defaultdict(list)

    def __call__(self, exchange: Exchange) -> bool:
        """Behave on a path."""
        key, number = exchange.request.header("x-key") or "", self._enter(exchange)
        status = self._status(number)
        with self._lock:
            self._present.discard(key)
            if status == 200:
                self.taken[key].append(number)
        return answer(status)(exchange)

    def _enter(self, exchange: Exchange) -> int:
        key = exchange.request.header("x-key") or ""
        number = int((exchange.request.header("webhook-id") or "").rpartition("-")[2])
        with self._lock:
            if key in self._present:
                self.overlapped.append(key)
            self._present.add(key)
            self.came[key].append(number)
        return number

    def _status(self, number: int) -> int:
        with self._lock:
            left = self._script.get(number, [200])
            return left.pop(0) if len(left) > 1 else left[0]


def line_up(post: Post, key: str, log_ids: Iterable[int], service: str = "crm") -> None:
    """Queue deliveries of one key, each on its own."""
    for number in log_ids:
        post.queue(1, service, first=number, order_key=key, headers={"X-Key": key})
