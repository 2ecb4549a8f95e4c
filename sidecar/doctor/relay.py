"""Can RabbitMQ carry the deliveries? It is asked for all that we need of it; nothing stays there."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from sidecar.clock import Clock
from sidecar.doctor.case import missing_file
from sidecar.doctor.findings import Finding, Findings, note, ok, problem, warning
from sidecar.errors import BrokerUnavailable
from sidecar.settings import Settings
from sidecar.store import relayed
from sidecar.store.engine import Database

if TYPE_CHECKING:
    from sidecar.transports.relay.door import Door

_BROKER, _ENGINE = "dispatch.broker", "dispatch.engine"


def relay(settings: Settings, store: Database, clock: Clock) -> Findings:
    """Yield what keeps the broker from carrying deliveries, and how much it carries; nothing without one."""
    carried = _carried(settings, store)
    broker = settings.dispatch.broker
    if settings.dispatch.engine == "database" and carried:
        text = f"RabbitMQ was carrying {carried} deliveries: the store sends them from the next start on"
        yield warning(_ENGINE, text, "have no process run with engine: rabbitmq any more when you start")
    if broker is None:
        return
    # What speaks AMQP is only loaded where it is needed.
    from sidecar.transports.relay.door import depths, door_of  # noqa: PLC0415

    door = door_of(broker, settings.site)
    well, ill = _tried(door, clock)
    for text in ill:
        # While one node does nothing stands still.
        yield _wrong(text, warning if well else problem)
    for text in well:
        yield ok(_BROKER, text)
    if not well:
        return
    if not door.broker.tls and not door.broker.host.startswith(("127.", "::1", "localhost")):
        text = "payloads and the password go to RabbitMQ unencrypted"
        yield warning(_BROKER, text, "use amqps:// in dispatch.broker.url")
    if settings.dispatch.engine == "database":
        yield note(_ENGINE, "a broker is named and not used: engine is database")
        return
    try:
        left = depths(door, settings.services, clock)
    except BrokerUnavailable as error:
        yield _wrong(str(error), problem)
        return
    waiting = left.pop("")
    yield ok(_BROKER, f"it has {carried} deliveries: {sum(left.values())} due, {waiting} wait for a retry")


def _tried(door: "Door", clock: Clock) -> tuple[list[str], list[str]]:
    """Return what is to be said of the nodes that do, and of those that do not."""
    from sidecar.transports.relay.door import rehearse  # noqa: PLC0415

    well, ill = [], []
    for node in door.each():
        try:
            version, address = rehearse(node, clock), node.broker.address
            well.append(f"RabbitMQ {version} at {address} lets us make, write and read our queues")
        except BrokerUnavailable as error:
            ill.append(str(error))
    return well, ill


def _wrong(said: str, level: Callable[[str, str, str], Finding]) -> Finding:
    text, _, remedy = said.removeprefix(f"{_BROKER}: ").partition("; ")
    return level(_BROKER, text, remedy or "check dispatch.broker, and that RabbitMQ runs there")


def _carried(settings: Settings, store: Database) -> int:
    if missing_file(settings.store_url.get_secret_value()) is not None:
        return 0
    try:
        with store.read() as conn:
            return sum(relayed.count(conn, settings.services).values())
    except SQLAlchemyError:
        return 0  # what is wrong with the store is said elsewhere
