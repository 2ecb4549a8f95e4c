"""The gateway as the API needs it: what a call sends is known before, and the store outlives it."""

from collections.abc import Mapping

from sidecar.gateway.gateway import Gateway
from sidecar.model import Delivery


class Door(Gateway):
    """One for all threads that call."""

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
        """Close the connections that no call uses; the store is the sidecar's and stays open."""
        with self._lock:
            for lines in self._idle.values():
                for line in lines:
                    line.close()
