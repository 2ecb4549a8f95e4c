"""Under which terms a delivery is sent: its service's, with what its rule changes."""

from collections.abc import Iterable, Mapping

from sidecar.bridge.lanes import Manners
from sidecar.model import Delivery
from sidecar.settings import BatchSettings, RetrySettings, Rule, RuleRetry, Service


class Terms:
    """The services in force and what rules change of their policies. An instance never changes.

    A rule is asked for by its name when a delivery is settled, not when it is queued: so a corrected policy
    serves what waits, and a delivery whose rule is gone, or sends elsewhere today, has its service's.
    """

    def __init__(self, services: Mapping[str, Service], rules: Iterable[Rule] = ()) -> None:
        self.services = {name: service for name, service in services.items() if service.enabled}
        self._rules = {(rule.service, rule.name): rule for rule in rules}
        self._retries = {
            key: rule.retry.over(services[rule.service].retry)
            for key, rule in self._rules.items()
            if rule.service in services and rule.retry != RuleRetry()
        }

    def retry(self, delivery: Delivery, service: Service) -> RetrySettings:
        """Return the retry policy of a delivery to `service`."""
        return self._retries.get((delivery.service, delivery.rule or ""), service.retry)

    def manners(self, service: str) -> Manners:
        """Return what rules change of the way to their service."""
        mine = [rule for (name, _), rule in self._rules.items() if name == service]
        most = self.services[service].max_payload
        return Manners(
            timeouts={rule.name: rule.timeout for rule in mine if rule.timeout is not None},
            batches={rule.name: _within(rule.batch, most) for rule in mine if rule.batch is not None},
        )


def _within(batch: BatchSettings, most: int) -> BatchSettings:
    return batch.model_copy(update={"max_bytes": min(batch.max_bytes, most)})
