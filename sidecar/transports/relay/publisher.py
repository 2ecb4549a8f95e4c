"""Deliveries go to the broker, at once or after a wait, and are there when the call returns."""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from sidecar.clock import Clock
from sidecar.errors import BrokerUnavailable, said
from sidecar.model import Delivery
from sidecar.transports.deadline import Deadline
from sidecar.transports.link import BROKEN, Answer, Link, Message
from sidecar.transports.relay.door import Door, broker_says
from sidecar.transports.relay.parcel import packed
from sidecar.transports.relay.topology import longest_wait


class Publisher:
    """One connection, used by one thread at a time. Every failure drops it; the next call makes another."""

    def __init__(self, door: Door, clock: Clock) -> None:
        self._door, self._topology = door, door.topology
        self._deadline = Deadline(clock)
        self._clock = clock
        self._link: Link | None = None
        self._declared: set[str] = set()

    def ready(self) -> None:
        """Connect if need be, and see that the broker answers and takes messages. Raises BrokerUnavailable.

        Then nothing that has happened before is waited for in `publish`.
        """
        if self._link is not None:
            self._deadline.start(self._door.patience_s)
            try:
                self._link.catch_up()
                if self._link.blocked is None:
                    self._link.ask("to answer", "basic_qos")
            except BROKEN:
                self._drop()  # it was lost while nobody looked; the next one will do
        link = self._link or self._open()
        if link.blocked is not None:
            raise self._alarm(link.blocked)

    def publish(self, deliveries: Iterable[Delivery]) -> None:
        """Return when the broker has confirmed all of them, each in the queue of its service.

        After `ready` it takes no longer than the door's patience: a transaction may be open meanwhile.
        Raises BrokerUnavailable; some of them may be there then. Published again they are there twice.
        """
        self._send([packed(one, self._topology.exchange) for one in deliveries])

    def publish_later(self, waiting: Iterable[tuple[Delivery, float]]) -> None:
        """Let deliveries come to their queues in so many seconds or earlier. Otherwise like `publish`."""
        self.ready()
        self._send([packed(one, self._topology.waiting(longest_wait(wait_s))) for one, wait_s in waiting])

    def close(self) -> None:
        """Take leave of the broker."""
        link, self._link = self._link, None
        if link is not None:
            self._deadline.start(1)
            link.close()

    def _send(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        if self._link is None:
            self.ready()
        link = self._link
        assert link is not None
        self._deadline.start(self._door.patience_s)
        try:
            self._declare(link, {message.routing_key for message in messages})
        except BROKEN as error:
            raise self._failed(error) from error
        told = link.publish(messages)
        if told.broke is not None:
            raise self._failed(told.broke) from told.broke
        for message, answer in zip(messages, told.answers, strict=True):
            if answer is None or not answer.taken:
                raise self._refused(message, answer)

    def _declare(self, link: Link, services: set[str]) -> None:
        missing = sorted(services - self._declared)
        if missing:
            self._topology.declare_queues(link, missing)
            self._declared.update(missing)

    def _open(self) -> Link:
        self._declared = set()
        try:
            self._link = self._door.open(self._deadline)
        except BrokerUnavailable:
            self._drop()
            raise
        try:
            self._topology.declare_waits(self._link)
        except BROKEN as error:
            raise self._failed(error) from error
        return self._link

    def _failed(self, error: Exception) -> BrokerUnavailable:
        link, door = self._link, self._door
        if link is not None and link.whole and (blocked := _blocked(link)):
            # A new one would only hear of it when it has sent everything again.
            return self._alarm(blocked)
        self._drop()
        return door.unavailable(error)

    def _drop(self) -> None:
        """Give up this connection and this node: the next try is made with the next one."""
        link, self._link = self._link, None
        if link is not None:
            link.drop()
        self._door = self._door.next()

    def _alarm(self, blocked: str) -> BrokerUnavailable:
        text = said("takes no messages just now: %(alarm)s", alarm=blocked)
        return BrokerUnavailable(broker_says(self._door.broker, text))

    def _refused(self, message: Message, answer: Answer | None) -> BrokerUnavailable:
        self.close()  # a new link declares what somebody may have deleted
        to = f"{message.exchange} {message.routing_key}"
        text = (
            said("has no queue for it: %(to)s", to=to)
            if answer and answer.returned
            else said("did not take it (nack): %(to)s", to=to)
        )
        return BrokerUnavailable(broker_says(self._door.broker, text))


def _blocked(link: Link) -> str | None:
    """Return why the broker blocks us; while we were writing nobody read what it said."""
    with suppress(*BROKEN):
        link.catch_up()
    return link.blocked
