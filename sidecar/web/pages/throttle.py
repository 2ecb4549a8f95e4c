"""Failures to sign in are counted by name and by address, and each makes the next wait longer."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

_MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class Limit:
    """Failures that are forgiven, and the longest wait after more: it doubles with each, from one second."""

    forgiven: int
    longest_s: int


# A name can be locked by anybody, so never for long; an address is somebody's own.
BY_NAME = Limit(5, 60)
BY_ADDRESS = Limit(10, 900)


class Throttle:
    """Counts failures by name and by address, in this process's memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, datetime]] = OrderedDict()

    def admit(self, name: str, address: str, now: datetime) -> float:
        """Return after how many seconds this may be tried; 0: now, and then it counts as a failure.

        Counted before the password is compared: many at once shall not all be the first.
        """
        with self._lock:
            wait_s = self._longest_wait(name, address, now)
            if not wait_s:
                self._count(name, address, now)
            return wait_s

    def wait_s(self, name: str, address: str, now: datetime) -> float:
        """Return after how many seconds it may be tried again."""
        with self._lock:
            return self._longest_wait(name, address, now)

    def succeeded(self, name: str, address: str) -> None:
        """Forgive a name its failures; its address keeps them, or one account would open all others."""
        with self._lock:
            by_name, by_address = (key for key, _ in _keys(name, address))
            self._failures.pop(by_name, None)
            if by_address in self._failures:
                count, at = self._failures[by_address]
                self._failures[by_address] = (count - 1, at)

    def _count(self, name: str, address: str, now: datetime) -> None:
        for key, limit in _keys(name, address):
            count, _ = self._failures.pop(key, (0, now))
            self._failures[key] = (min(count + 1, limit.forgiven + 20), now)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def _longest_wait(self, name: str, address: str, now: datetime) -> float:
        return max(self._wait_s(key, limit, now) for key, limit in _keys(name, address))

    def _wait_s(self, key: str, limit: Limit, now: datetime) -> float:
        count, at = self._failures.get(key, (0, now))
        if count < limit.forgiven:
            return 0.0
        wait = timedelta(seconds=min(2 ** (count - limit.forgiven), limit.longest_s))
        if now >= at + 10 * timedelta(seconds=limit.longest_s):
            del self._failures[key]
            return 0.0
        return max((at + wait - now).total_seconds(), 0.0)


def _keys(name: str, address: str) -> tuple[tuple[str, Limit], tuple[str, Limit]]:
    return (f"name {name[:100]}", BY_NAME), (f"address {address}", BY_ADDRESS)
