"""What the broker holds for a site: an exchange, a queue for each service, and queues in which retries wait.

    mih.<site>              direct exchange: the routing key is the service
    mih.<site>.to.<service> quorum queue, bound with the name of its service
    mih.<site>.wait.<n>     fanout exchange and a quorum queue: what is in it returns to mih.<site> after n s

All quorum queues, which a cluster replicates and which confirm what a majority has on disk. Dead lettering is
`at-least-once`: the broker removes what has waited when the service's queue has confirmed it, not before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.errors import said
from sidecar.transports.link import Link
from sidecar.transports.words import binding, declaring

# A retry waits in the longest that is not too long, and then in the next one: never too long.
WAITS_S = tuple(1 << power for power in range(13))  # 1 s to 68 minutes

# A message comes back as often as a process or the broker dies. RabbitMQ 4 gives one up after 20 times.
_QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


@dataclass(frozen=True, slots=True)
class Topology:
    """The names for one site."""

    site: str

    @property
    def exchange(self) -> str:
        """Where what is due goes."""
        return f"mih.{self.site}"

    def queue_of(self, service: str) -> str:
        """Where the deliveries of a service lie."""
        return f"mih.{self.site}.to.{service}"

    def waiting(self, seconds: int) -> str:
        """The exchange, and its queue, of what has to wait that long."""
        return f"mih.{self.site}.wait.{seconds}"

    def declare_waits(self, link: Link) -> None:
        """Make the exchanges and the queues for retries, where they are not there already."""
        _exchange(link, self.exchange, "direct")
        for seconds in WAITS_S:
            name = self.waiting(seconds)
            _exchange(link, name, "fanout")
            _queue(link, name, self._expires(seconds))
            link.ask(binding(name), "queue_bind", name, name)

    def declare_queues(self, link: Link, services: Iterable[str]) -> None:
        """Make the exchange and the queues of these services, where they are not there already."""
        _exchange(link, self.exchange, "direct")
        for service in services:
            name = self.queue_of(service)
            _queue(link, name, _QUORUM)
            link.ask(binding(name), "queue_bind", name, self.exchange, service)

    def _expires(self, seconds: int) -> Mapping[str, Any]:
        return {
            "x-queue-type": "quorum",
            "x-message-ttl": seconds * 1000,
            "x-dead-letter-exchange": self.exchange,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


def longest_wait(wait_s: float) -> int:
    """Return the longest of the waits that is not too long; the shortest for less than that."""
    return max((one for one in WAITS_S if one <= wait_s), default=WAITS_S[0])


def _exchange(link: Link, name: str, kind: str) -> None:
    doing = said("to declare the exchange %(name)s", name=name)
    link.ask(doing, "exchange_declare", name, exchange_type=kind, durable=True)


def _queue(link: Link, name: str, arguments: Mapping[str, Any]) -> None:
    link.ask(declaring(name), "queue_declare", name, durable=True, arguments=dict(arguments))
