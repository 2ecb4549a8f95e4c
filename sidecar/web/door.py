"""The gateway as the API needs it: what a call sends is known before it is made."""

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
        """Return the delivery that `request` makes of the same arguments and this idempotency key.

        Raises Misfit for what the service's format cannot say.
        """
        number = self._number(service, key)
        return self._delivery(service, endpoint, payload, method=method, headers=headers, number=number)
