"""Good answers to GET, kept for a service's `cache_ttl`: bounded in size, never an error."""

import threading

from cachetools import TTLCache

from sidecar.clock import Clock
from sidecar.gateway.response import Response
from sidecar.model import Delivery
from sidecar.settings import Service

_MOST_CHARACTERS = 8_388_608  # for each service

Key = tuple[str, str, tuple[tuple[str, str], ...]]


class AnswerCache:
    """One cache a service. Safe for threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._caches: dict[tuple[str, float], TTLCache[Key, Response]] = {}

    def find(self, service: Service, delivery: Delivery) -> Response | None:
        """Return the answer that is still good, or None."""
        if not service.cache_ttl or delivery.method != "GET":
            return None
        with self._lock:
            return self._of(service, delivery).get(_key(delivery))

    def keep(self, service: Service, delivery: Delivery, response: Response) -> None:
        """Remember a good answer; one that is larger than the whole cache is let go."""
        if service.cache_ttl and delivery.method == "GET" and response.ok:
            cache = self._of(service, delivery)
            if _size(response) <= cache.maxsize:
                with self._lock:
                    cache[_key(delivery)] = response

    def _of(self, service: Service, delivery: Delivery) -> "TTLCache[Key, Response]":
        ttl = service.cache_ttl or 0
        which = (delivery.service, ttl)
        if which not in self._caches:
            self._caches[which] = TTLCache(
                _MOST_CHARACTERS, ttl, timer=self._clock.monotonic, getsizeof=_size
            )
        return self._caches[which]


def _key(delivery: Delivery) -> Key:
    return (delivery.service, delivery.endpoint, tuple(sorted(delivery.headers.items())))


def _size(response: Response) -> int:
    return len(response.body or "") + 100
