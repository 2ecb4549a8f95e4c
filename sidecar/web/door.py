"""The gateway as the API needs it: what a call would send is known before, and all threads hang up at once."""

import threading
from collections.abc import Callable, Mapping

from sidecar.clock import Clock
from sidecar.gateway.gateway import Gateway
from sidecar.gateway.line import Line
from sidecar.model import Delivery
from sidecar.settings import Service, Settings
from sidecar.store.engine import Database


class Door(Gateway):
    """One for all threads that call; each has connections of its own."""

    def __init__(
        self, settings: Settings, store: Database, *, clock: Clock, wait: Callable[[float], None]
    ) -> None:
        super().__init__(settings, store, clock=clock, wait=wait)
        self._lock = threading.Lock()
        self._open: set[Line] = set()

    def plan(
        self,
        service: str,
        endpoint: str,
        payload: object,
        *,
        method: str,
        headers: Mapping[str, str],
        key: str,
    ) -> Delivery:
        """Return the delivery that `request` makes of the same arguments and this idempotency key."""
        return self._delivery(service, endpoint, payload, method=method, headers=headers, key=key)

    def hang_up(self) -> None:
        """Close the connections of all threads; the store stays open."""
        with self._lock:
            opened, self._open = self._open, set()
        for line in opened:
            line.close()

    def _line(self, name: str, service: Service) -> Line:
        line = super()._line(name, service)
        with self._lock:
            self._open.add(line)
        return line
