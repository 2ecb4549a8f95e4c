"""A site's deliveries at the broker of the tests: the way there, how many there are, nothing left behind."""

from collections.abc import Iterable

from sidecar.clock import SystemClock
from sidecar.settings import BrokerSettings
from sidecar.transports.relay.door import Door, depths, door_of
from sidecar.transports.relay.topology import WAITS_S
from tests.broker import RabbitMQ


def door_to(broker: RabbitMQ, site: str) -> Door:
    """Return the way to the broker for a site."""
    return door_of(BrokerSettings.model_validate({"url": broker.url()}), site)


def lying_at(door: Door, services: Iterable[str] = ("crm",)) -> int:
    """Return how many messages nobody has taken."""
    return sum(depths(door, services, SystemClock()).values())


def remove(broker: RabbitMQ, door: Door, services: Iterable[str] = ("crm",)) -> None:
    """Take all away that is there for a site."""
    broker.start()
    waits = [door.topology.waiting(seconds) for seconds in WAITS_S]
    connection = broker.connect()
    for queue in [*map(door.topology.queue_of, services), *waits]:
        connection.channel().queue_delete(queue)
    for exchange in [*waits, door.topology.exchange]:
        connection.channel().exchange_delete(exchange)
    connection.close()
