"""The way to the broker that carries deliveries: its address, a connection, and what is wrong in words."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import httpcore
import pika

from sidecar.clock import Clock
from sidecar.errors import BrokerUnavailable, said, text_of
from sidecar.settings import BrokerSettings, TlsSettings
from sidecar.settings.broker import GUEST, Broker, node_beside, part, read_broker
from sidecar.transports.connection import Way
from sidecar.transports.deadline import Deadline
from sidecar.transports.link import BROKEN, Link, Message
from sidecar.transports.relay.topology import WAITS_S, Topology
from sidecar.transports.wire import THE_CONNECTION, Dropped, Garbage, Refused, Silent
from sidecar.transports.words import binding, declaring

_DENIED, _UNLIKE = 403, 406
_OLDEST = (3, 10)  # the first with expiring messages and safe dead letters in quorum queues


@dataclass(frozen=True, slots=True)
class Door:
    """Where the broker is, and who we are there. `others` are further nodes of its cluster."""

    broker: Broker
    credentials: tuple[str, str]
    way: Way
    topology: Topology
    others: tuple[Broker, ...] = ()
    patience_s: float = 10  # how long the broker may take for one thing
    # Also the broker's, which then sets free what we held: a machine that lost its power sends no farewell.
    heartbeat_s: int = 20

    def next(self) -> "Door":
        """Return the door to the next node: for whoever has failed at this one."""
        first, *rest = *self.others, self.broker
        return replace(self, broker=first, others=tuple(rest))

    def each(self) -> list["Door"]:
        """Return the doors to each node alone."""
        return [replace(self, broker=one, others=()) for one in (self.broker, *self.others)]

    def open(self, deadline: Deadline, *, heartbeat_s: int = 0) -> Link:
        """Connect, declaring nothing. Raises BrokerUnavailable."""
        deadline.start(self.patience_s)
        try:
            bare = replace(self.broker, exchange="", queue="", dead_letter_queue="")
            link = Link(bare, self.credentials, deadline, self.way, declares=False, heartbeat_s=heartbeat_s)
        except Dropped as error:
            shut = said("closed the connection; are user name, password and virtual host right?")
            raise BrokerUnavailable(broker_says(self.broker, shut)) from error
        except BROKEN as error:
            raise self.unavailable(error) from error
        if _version(link) < _OLDEST:
            link.close()
            runs = said(
                "runs RabbitMQ %(version)s: 3.10 or newer is needed to have retries wait safely",
                version=link.server.get("version"),
            )
            raise BrokerUnavailable(broker_says(self.broker, runs))
        return link

    def unavailable(self, error: Exception) -> BrokerUnavailable:
        """Say in a sentence what is wrong and what can be done."""
        return BrokerUnavailable(broker_says(self.broker, _reason(error, self.patience_s)))


def broker_says(broker: Broker, what: str) -> str:
    """Return what is the matter with the broker that carries deliveries."""
    return said("dispatch.broker: %(where)s %(what)s", where=broker.address, what=what)


def door_of(settings: BrokerSettings, site: str) -> Door:
    """Return the door that the settings name."""
    parted = part(settings.url.get_secret_value())
    account = (parted.user, parted.password) if parted.user is not None else GUEST
    broker = read_broker(parted.url)
    others = tuple(node_beside(broker, node) for node in settings.nodes)
    return Door(broker, account, Way(tls=TlsSettings(ca=settings.ca)), Topology(site), others)


def depths(door: Door, services: Iterable[str], clock: Clock) -> dict[str, int]:
    """Return how many messages lie in the queue of each service, and of those that wait under "".

    What a process has taken is not among them. Makes nothing. Raises BrokerUnavailable.
    """
    with _visit(door, clock) as link:
        found = {service: link.depth(door.topology.queue_of(service)) or 0 for service in services}
        return {**found, "": sum(link.depth(door.topology.waiting(seconds)) or 0 for seconds in WAITS_S)}


def rehearse(door: Door, clock: Clock) -> str:
    """Do once all that the account needs rights for, and leave nothing behind; return the broker's version.

    Raises BrokerUnavailable.
    """
    name = f"{door.topology.exchange}.check"
    with _visit(door, clock) as link:
        link.ask(
            said("to declare the exchange %(name)s", name=name), "exchange_declare", name, auto_delete=True
        )
        link.ask(declaring(name), "queue_declare", name, exclusive=True)
        link.ask(binding(name), "queue_bind", name, name, name)
        told = link.publish([Message(name, name, b"", pika.BasicProperties(message_id=name))])
        if told.broke:
            raise told.broke
        link.ask(said("to consume %(name)s", name=name), "basic_consume", name, on_message_callback=_ignore)
        link.ask(said("to delete the exchange %(name)s", name=name), "exchange_delete", name)
        return ".".join(map(str, _version(link)))


@contextmanager
def _visit(door: Door, clock: Clock) -> Iterator[Link]:
    deadline = Deadline(clock)
    door, link = _reached(door, deadline)
    deadline.start(door.patience_s)
    try:
        yield link
    except BROKEN as error:
        link.drop()
        raise door.unavailable(error) from error
    link.close()


def _reached(door: Door, deadline: Deadline) -> tuple[Door, Link]:
    """Connect to the first node that lets us in. Raises BrokerUnavailable, of the last one."""
    for _ in door.others:
        with suppress(BrokerUnavailable):
            return door, door.open(deadline)
        door = door.next()
    return door, door.open(deadline)


def _ignore(*_: object) -> None:
    """Take a message and do nothing with it."""


def _version(link: Link) -> tuple[int, ...]:
    said = link.server.get("version", "")
    said = said.decode() if isinstance(said, bytes) else str(said)
    return tuple(int(part) for part in re.findall(r"\d+", said)[:2])


def _reason(error: Exception, patience_s: float) -> str:
    match error:
        case Refused():
            return said(
                "refused %(doing)s: %(text)s (%(code)s)%(hint)s",
                doing=error.doing,
                text=error.text,
                code=error.code,
                hint=_hint(error),
            )
        case Silent():
            return text_of(error)
        case Dropped():
            return said("closed the connection")
        case Garbage():
            return said("did not answer in AMQP: %(why)s", why=text_of(error))
        case httpcore.TimeoutException():
            return said(
                "did not answer within %(n)s s; has it lost the majority of its cluster?", n=f"{patience_s:g}"
            )
        case _:
            return said("cannot be reached: %(why)s", why=text_of(error) or type(error).__name__)


def _hint(error: Refused) -> str:
    if error.code == _DENIED and error.doing == THE_CONNECTION:
        return said("; check user name, password and virtual host of dispatch.broker.url")
    if error.code == _DENIED:
        return said("; let the account configure, write and read what is named mih.<site>")
    if error.code == _UNLIKE:
        return "; it was made with other arguments: once it is empty, delete it, and it is made anew"
    return ""
