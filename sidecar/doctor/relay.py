"""Can RabbitMQ carry the deliveries? It is asked for all that we need of it; nothing stays there."""

from sqlalchemy.exc import SQLAlchemyError

from sidecar.clock import Clock
from sidecar.doctor.case import missing_file
from sidecar.doctor.findings import Findings, note, ok, problem, warning
from sidecar.errors import BrokerUnavailable
from sidecar.settings import Settings
from sidecar.store import relayed
from sidecar.store.engine import Database

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
    from sidecar.transports.relay.door import depths, door_of, rehearse  # noqa: PLC0415

    door = door_of(broker, settings.site)
    try:
        version = rehearse(door, clock)
        left = depths(door, settings.services, clock)
    except BrokerUnavailable as error:
        text, _, remedy = str(error).removeprefix(f"{_BROKER}: ").partition("; ")
        yield problem(_BROKER, text, remedy or "check dispatch.broker.url, and that RabbitMQ runs")
        return
    yield ok(_BROKER, f"RabbitMQ {version} at {door.broker.address} lets us make, write and read our queues")
    if not door.broker.tls and not door.broker.host.startswith(("127.", "::1", "localhost")):
        text = "payloads and the password go to RabbitMQ unencrypted"
        yield warning(_BROKER, text, "use amqps:// in dispatch.broker.url")
    if settings.dispatch.engine == "database":
        yield note(_ENGINE, "a broker is named and not used: engine is database")
    else:
        waiting = left.pop("")
        yield ok(
            _BROKER, f"it has {carried} deliveries: {sum(left.values())} due, {waiting} wait for a retry"
        )


def _carried(settings: Settings, store: Database) -> int:
    if missing_file(settings.store_url.get_secret_value()) is not None:
        return 0
    try:
        with store.read() as conn:
            return sum(relayed.count(conn, settings.services).values())
    except SQLAlchemyError:
        return 0  # what is wrong with the store is said elsewhere
