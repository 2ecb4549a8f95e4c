"""A bulkhead per service: its own threads and its own inbox, so that a slow service delays nobody else."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from math import inf

from sidecar.bridge import batches
from sidecar.bridge.inbox import Inbox, Reader
from sidecar.bridge.lines import Lines, Permits
from sidecar.bridge.staff import Staff
from sidecar.bridge.turnstile import Turnstile
from sidecar.clock import Clock
from sidecar.model import Attempt, Claimed, Delivery, Outcome
from sidecar.settings import BatchSettings, Service

_READ_AHEAD_S = 1.5  # a round takes up to 0.2 s; of many services each claim costs as much as for many rows
_LEAST_AHEAD, _MOST_AHEAD = 50, 1_000
# A service that lets us wait for longer gets a thread for each request: no answer then waits for another.
QUICK_MS = 15.0
_COUNTED_S = 0.1
_FIRST = 4  # senders
_MOST_ABREAST = 16  # twice as many get no more done, and wait for each other longer
# A sleep is cut into pieces, so that it also ends by a clock that is turned by hand.
_PIECE_S = 0.05

Group = Sequence["InHand"]


@dataclass(slots=True)
class InHand:
    """A claimed delivery in this process; the lease's end moves when it is renewed.

    Its service's rate limit gives it the time from `not_before` to `not_after`, on the stopwatch as
    `lease_ends` is. A probe is ours alone until `probe_until`. Of those that share a request the `last` one
    counts: when it is settled, the sender is free.
    """

    claimed: Claimed
    lane: "Lane"
    lease_ends: float
    not_before: float = -inf
    not_after: float = inf
    probe_until: datetime | None = None
    last: bool = True

    @property
    def delivery(self) -> Delivery:
        """What is to be sent."""
        return self.claimed.delivery


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender hands back. No attempt: it was not sent, because it must not be any more.

    Of those that had one fate together one is `charged`: the circuit counts requests. Their retries have the
    same `luck`, so that they come back together; None: its own.
    """

    item: InHand
    attempt: Attempt | None
    charged: bool = True
    luck: float | None = None


def is_quick(attempt: Attempt) -> bool:
    """Whether a service answers at once; who fails does not, however quickly."""
    return attempt.outcome is not Outcome.FAILED and attempt.latency_ms < QUICK_MS


@dataclass(frozen=True, slots=True)
class Desk:
    """What senders do, and whom they ask and tell. All of it is called by their threads."""

    work: Callable[["Lane", Reader[Group], int], None]
    hand_back: Callable[[Sequence[Sent]], None]
    may_send: Callable[[InHand], bool]
    next_times: Callable[["Lane"], tuple[float, float] | None]  # of the rate limit; None: none to be had
    draw: Callable[[], float]
    turnstile: Turnstile = field(default_factory=Turnstile)


@dataclass(frozen=True, slots=True)
class Manners:
    """What rules change of the way to their service."""

    timeouts: Mapping[str, float]
    batches: Mapping[str, BatchSettings]


class Lane:
    """The senders of one service. Threads start when there is work for them and live until `close`."""

    def __init__(
        self,
        name: str,
        service: Service,
        permits: Permits,
        *,
        at_first: int,
        manners: Manners,
        clock: Clock,
        desk: Desk,
    ) -> None:
        self.name, self.service, self.capacity, self.manners = name, service, permits.number, manners
        self.in_hand: dict[int, InHand] = {}
        self.hot = False  # the last claim took all it asked for: there is more
        self.resume_at: datetime | None = None  # the rate limit has nothing to give before
        self.drain_before: datetime | None = None  # what was due by then leaves at the drain rate
        self.drained_until: datetime | None = None  # of that nothing is left
        self.drain_at: datetime | None = None  # more of it may leave then
        self._turns = count()
        self._requests = 0
        self._rate = 0.0
        self._was_quick = False
        self._over = self._finished = 0
        self._counted_at = clock.monotonic()
        self.clock = clock
        self.desk = desk
        self._closing = threading.Event()
        self.lines = Lines(service, permits, clock)
        self._inbox: Inbox[Group] = Inbox()
        self._threads: dict[int, threading.Thread] = {}
        # With a rate limit there is a free sender for each, so that each goes out at its moment.
        first = self.capacity if service.rate_limit is not None else min(at_first, _FIRST)
        self._staff = Staff(first, self.capacity)

    @property
    def closing(self) -> bool:
        """Whether what still waits here is to be handed back unsent."""
        return self._closing.is_set()

    @property
    def longest_timeout_s(self) -> float:
        """The longest that a request may take."""
        return max(self.service.timeout, *self.manners.timeouts.values(), 0)

    def timeout_s(self, delivery: Delivery) -> float:
        """Return how long the request of a delivery may take: as its rule says, or as its service does."""
        return self.manners.timeouts.get(delivery.rule or "", self.service.timeout)

    def joins(self, delivery: Delivery) -> bool:
        """Whether a delivery goes out in an array, be it the only one there."""
        return (delivery.rule or "") in self.manners.batches and batches.joins(delivery.route)

    @property
    def room(self) -> int:
        """How many more requests to claim: enough for all senders, and for what they finish in an instant.

        A service that answers slowly gets little in advance, since what waits here is lost time elsewhere.
        Nothing is claimed for a few free places while most are taken: each claim has its cost. With a rate
        limit, too, each has a free sender of its own. Where rules send batches nothing is claimed in advance
        either: they may be large.
        """
        if self.service.rate_limit is not None:
            return max(self.capacity - self._requests, 0)
        ahead = 0 if self.manners.batches else min(int(self._rate * _READ_AHEAD_S), _MOST_AHEAD)
        if self._was_quick and self.service.max_concurrency is None and not self.manners.batches:
            ahead = max(ahead, _LEAST_AHEAD)
        target = self.capacity + ahead
        room = target - self._requests
        return room if room * 4 >= target else 0

    def paced(self, now: datetime) -> bool:
        """Whether the rate limit has nothing to give yet."""
        return self.resume_at is not None and now < self.resume_at

    @property
    def backlog_until(self) -> datetime | None:
        """What was due by then has to leave at the drain rate; None: nothing has."""
        drains = self.service.drain_rate is not None and self.drain_before != self.drained_until
        return self.drain_before if drains else None

    def half_of(self, room: int) -> int:
        """Return how much of the room a backlog may have; what is new gets the other half, or every other."""
        return room // 2 if room > 1 else next(self._turns) % 2 * room

    def put(self, groups: Sequence[Group]) -> None:
        """Give claimed deliveries to the senders, grouped by request. Called by one thread only."""
        self.in_hand.update((item.claimed.number, item) for items in groups for item in items)
        self._requests += len(groups)
        for items in groups:
            self._inbox.put(items)
        self._start_senders()

    @property
    def senders(self) -> int:
        """How many senders there are: a quarter where answers come at once, as each then sends many abreast.

        With a rate limit each request waits for its moment in a thread of its own.
        """
        number = self._staff.number
        some = self._was_quick and self.service.rate_limit is None
        return max(number // _FIRST, 1) if some else number

    @property
    def pressed(self) -> bool:
        """Whether work waits for senders."""
        return self._requests > self.senders

    @property
    def starved(self) -> bool:
        """Whether work waits, and there may soon be more senders."""
        return self.pressed and self._staff.number < self.capacity and self._staff.is_eager

    @property
    def busy(self) -> int:
        """How many of its senders have something to send."""
        return min(self.senders, self._requests)

    @property
    def abreast(self) -> int:
        """How many requests each sender may have in flight: several where answers come at once. They ask."""
        return max(min(self.capacity // self.senders, _MOST_ABREAST), 1) if self._was_quick else 1

    def is_spare(self, number: int) -> bool:
        """Whether this sender is one too many. Asked by the senders."""
        return number >= self.senders

    def look(self, share: float, *, may_grow: bool) -> None:
        """See whether it has as many senders as get the most done. Called at each round."""
        if not self.pressed:
            self._staff.rest()
            return
        self._staff.look(self._over, share, may_grow=may_grow)
        self._start_senders()

    def _start_senders(self) -> None:
        for number in range(min(self.senders, self._requests)):
            thread = self._threads.get(number)
            if thread is None or not thread.is_alive():
                work = (self, self._inbox.reader(), number)
                name = f"sender-{self.name}-{number}"
                thread = threading.Thread(target=self.desk.work, args=work, name=name, daemon=True)
                self._threads[number] = thread
                thread.start()

    def done(self, sent: Sent) -> None:
        """Forget a delivery that is settled."""
        item, attempt = sent.item, sent.attempt
        self._was_quick = attempt is not None and is_quick(attempt)
        self.in_hand.pop(item.claimed.number, None)
        if not item.last:
            return
        self._requests -= 1
        self._over += 1
        self._finished += 1
        passed = self.clock.monotonic() - self._counted_at
        if passed >= _COUNTED_S:
            self._rate = self._finished / passed
            self._finished, self._counted_at = 0, self.clock.monotonic()

    def close(self) -> None:
        """Let the threads finish what they are sending, hand back the rest unsent, and end."""
        self._closing.set()
        for _ in self._threads:
            self._inbox.put(None)

    def rest(self, until: float) -> None:
        """Let a sender wait for a moment on the stopwatch, or for the end."""
        while (left := until - self.clock.monotonic()) > 0:
            if self._closing.wait(min(left, _PIECE_S)):
                break
