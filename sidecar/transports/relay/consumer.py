"""Deliveries come from the broker: a thread keeps a stock for each service, and acknowledges what is over."""

import logging
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from sidecar.clock import Clock
from sidecar.errors import BrokerUnavailable, said
from sidecar.model import Delivery
from sidecar.transports.deadline import Deadline
from sidecar.transports.link import BROKEN, Link
from sidecar.transports.relay.door import Door
from sidecar.transports.relay.parcel import Unreadable, unpacked

_log = logging.getLogger("mih.relay")

_LOOK_S = 1.0
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 0.2, 15.0


@dataclass(slots=True, eq=False)
class Arrival:
    """A delivery that the broker has lent us, and by which number of which of our connections."""

    delivery: Delivery
    tag: int
    session: int


class Consumer:
    """What was taken stays ours over a lost connection: the broker sends it again, and it is known by its id.

    All methods may be called from any thread but `stop`, which ends what `start` began.
    """

    def __init__(self, door: Door, clock: Clock, arrived: Callable[[], None]) -> None:
        self._door, self._clock, self._arrived = door, clock, arrived
        self._deadline = Deadline(clock)
        self._lock = threading.Lock()
        self._wanted: dict[str, int] = {}
        self._stock: dict[str, deque[Arrival]] = {}
        self._taken: dict[str, Arrival] = {}  # by id
        self._over: list[tuple[Arrival, bool]] = []  # settled, or else to be given back
        self._session = 0
        self._open_tags: dict[int, None] = {}
        self._consuming: dict[str, int] = {}
        self._bell, self._ear = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._news = False
        self._stopping = False
        self._thread = threading.Thread(target=self._live, name="relay", daemon=True)
        self.problem: str | None = None

    def start(self) -> None:
        """Connect, and again whenever the connection is lost, until `stop`."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Acknowledge what is settled and give back all else."""
        self._stopping = True
        self._ring()
        if self._thread.ident is not None:
            self._thread.join(self._door.patience_s)
        self._bell.close()
        self._ear.close()

    def want(self, wanted: Mapping[str, int]) -> None:
        """Say how much of each service's may be here at once. What is wanted no more is given back."""
        if self._wanted != wanted:
            self._wanted = dict(wanted)
            self._ring()

    def stock(self) -> dict[str, int]:
        """Return how much is here to be taken, of the services of which there is something."""
        with self._lock:
            return {service: len(stock) for service, stock in self._stock.items() if stock}

    def take(self, service: str, limit: int) -> list[Arrival]:
        """Take up to `limit` deliveries of a service, those that came first. Each has to be ended once.

        What is in our hands already is not taken again. If it came again because the connection was lost, it
        is from now on known by its new number; else there are two of it, and the other one waits.
        """
        taken: list[Arrival] = []
        twins: list[Arrival] = []
        with self._lock:
            stock = self._stock.get(service) or deque()
            while stock and len(taken) < limit:
                arrival = stock.popleft()
                held = self._taken.setdefault(arrival.delivery.delivery_id, arrival)
                if held is arrival:
                    taken.append(arrival)
                elif held.session == self._session:
                    twins.append(arrival)
                else:
                    held.tag, held.session = arrival.tag, arrival.session
            stock.extendleft(reversed(twins))
        return taken

    def done(self, arrivals: Iterable[Arrival]) -> None:
        """Have the broker forget what was taken."""
        self._end(arrivals, settled=True)

    def give_back(self, arrivals: Iterable[Arrival]) -> None:
        """Let others have what was taken."""
        self._end(arrivals, settled=False)

    def _end(self, arrivals: Iterable[Arrival], *, settled: bool) -> None:
        with self._lock:
            for arrival in arrivals:
                if self._taken.get(arrival.delivery.delivery_id) is arrival:
                    del self._taken[arrival.delivery.delivery_id]
                self._over.append((arrival, settled))
        self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # it is full of rings, or closed
            self._bell.send(b"\0")

    def _live(self) -> None:
        wait_s = _SHORTEST_WAIT_S
        while not self._stopping:
            try:
                link = self._door.open(self._deadline, heartbeat_s=self._door.heartbeat_s)
                try:
                    self._well()
                    wait_s = _SHORTEST_WAIT_S
                    self._serve(link)
                finally:
                    self._lose(link)
            except BROKEN as error:
                self._ill(self._door.unavailable(error))
            except BrokerUnavailable as error:
                self._ill(error)
            except Exception:  # noqa: BLE001 - no thread may die unnoticed, whatever happens in it
                _log.exception("relay.failed: this should not happen; it is tried again")
            if not self._stopping:
                self._door = self._door.next()
                self._listen(None, wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _serve(self, link: Link) -> None:
        while not self._stopping:
            self._adjust(link)
            self._conclude(link)
            link.keep_up()
            if self._news:
                self._news = False
                self._arrived()
            self._listen(link, _LOOK_S)
        self._deadline.start(self._door.patience_s)
        self._consume(link, {})
        self._conclude(link)
        link.keep_up()

    def _listen(self, link: Link | None, seconds: float) -> None:
        """Wait until the broker or another thread of ours has something to say."""
        ears: list[socket.socket | Link] = [self._ear] if link is None else [self._ear, link]
        select.select(ears, [], [], seconds)
        with suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass

    def _adjust(self, link: Link) -> None:
        if self._wanted != self._consuming:
            self._deadline.start(self._door.patience_s)
            self._consume(link, self._wanted)
        # Whatever `keep_up` has to write, it has this long.
        self._deadline.start(self._door.patience_s)

    def _consume(self, link: Link, wanted: Mapping[str, int]) -> None:
        """Consume as much of each service as is wanted, and give back what is here of the others."""
        for service in [one for one, most in self._consuming.items() if wanted.get(one, 0) != most]:
            link.ask(said("to stop consuming %(name)s", name=service), "basic_cancel", service)
            del self._consuming[service]
            with self._lock:
                rest = self._stock.pop(service, deque())
            self._end(rest, settled=False)
        fresh = {one: most for one, most in wanted.items() if most and one not in self._consuming}
        if fresh:
            self._door.topology.declare_queues(link, fresh)
        for service, most in fresh.items():
            queue = self._door.topology.queue_of(service)
            link.ask(said("to limit %(name)s", name=queue), "basic_qos", prefetch_count=most)
            came = partial(self._came, link)
            link.ask(
                said("to consume %(name)s", name=queue),
                "basic_consume",
                queue,
                on_message_callback=came,
                consumer_tag=service,
            )
            self._consuming[service] = most

    def _came(self, link: Link, _channel: object, method: Any, properties: Any, body: bytes) -> None:
        """Put a message into the stock."""
        tag = int(method.delivery_tag)
        self._open_tags[tag] = None
        try:
            delivery = unpacked(properties, body)
        except Unreadable as problem:
            _log.error("relay.unreadable message=%s reason=%r: removed", properties.message_id, str(problem))
            self._acknowledge(link, [tag])
            return
        with self._lock:
            arrival = Arrival(delivery, tag, self._session)
            self._stock.setdefault(method.consumer_tag, deque()).append(arrival)
        self._news = True

    def _conclude(self, link: Link) -> None:
        """Tell the broker what is settled and what is given back, all in one write."""
        with self._lock:
            over, self._over = self._over, []
        ours = [(one.tag, settled) for one, settled in over if one.session == self._session]
        self._acknowledge(link, [tag for tag, settled in ours if settled])
        for tag in [tag for tag, settled in ours if not settled]:
            self._open_tags.pop(tag, None)
            link.say("basic_nack", tag, False, True)

    def _acknowledge(self, link: Link, tags: Iterable[int]) -> None:
        """Acknowledge what was settled: one word for all up to the first that is still open."""
        left = list(tags)
        settled = set(left)
        upto = 0
        for tag in list(self._open_tags):
            if tag not in settled:
                break
            upto = tag
            del self._open_tags[tag]
        if upto:
            link.say("basic_ack", upto, True)
        for tag in left:
            if tag in self._open_tags:
                del self._open_tags[tag]
                link.say("basic_ack", tag, False)

    def _lose(self, link: Link) -> None:
        """Forget the stock: the broker sends it again, to us or to others. What was taken is kept."""
        if self._stopping:
            self._deadline.start(1)
            link.close()
        else:
            link.drop()
        with self._lock:
            self._stock.clear()
            self._over.clear()
            self._consuming.clear()
            self._open_tags.clear()
            self._session += 1

    def _ill(self, error: BrokerUnavailable) -> None:
        if self.problem is None:
            _log.error("relay.waiting: %s. It goes on by itself.", error)
        self.problem = str(error)

    def _well(self) -> None:
        if self.problem is not None:
            _log.info("relay.well_again")
        self.problem = None
