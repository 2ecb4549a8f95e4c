"""A bulkhead per service: its own threads and its own inbox, so that a slow service delays nobody else."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from queue import SimpleQueue

from sidecar.clock import Clock
from sidecar.gateway.line import Line
from sidecar.model import Attempt, Claimed, Delivery
from sidecar.settings import Service

_READ_AHEAD_S = 0.1
_MOST_AHEAD = 500
# A sleep is cut into pieces, so that it also ends by a clock that is turned by hand.
_PIECE_S = 0.05


@dataclass(slots=True)
class InHand:
    """A claimed delivery in this process; the lease's end moves when it is renewed.

    Its service's rate limit gives it the time from `not_before` to `not_after`, on the stopwatch as
    `lease_ends` is. A probe is ours alone until `probe_until`.
    """

    claimed: Claimed
    lane: "Lane"
    lease_ends: float
    not_before: float = -inf
    not_after: float = inf
    probe_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender hands back. No attempt: it was not sent, because it must not be any more."""

    item: InHand
    attempt: Attempt | None


class Lane:
    """The senders of one service. Threads start when there is work for them and live until `close`."""

    def __init__(
        self,
        name: str,
        service: Service,
        capacity: int,
        *,
        timeouts: Mapping[str, float],
        clock: Clock,
        hand_back: Callable[[Sent], None],
        may_send: Callable[[InHand], bool],
    ) -> None:
        self.name, self.service, self.capacity, self.timeouts = name, service, capacity, timeouts
        self.in_hand: dict[int, InHand] = {}
        self.hot = False  # the last claim took all it asked for: there is more
        self.resume_at: datetime | None = None  # the rate limit has nothing to give before
        self._rate = 0.0
        self._finished = 0
        self._counted_at = clock.monotonic()
        self._clock = clock
        self._hand_back = hand_back
        self._may_send = may_send
        self._closing = threading.Event()
        self._inbox: SimpleQueue[InHand | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def closing(self) -> bool:
        """Whether what still waits here is to be handed back unsent."""
        return self._closing.is_set()

    @property
    def longest_timeout_s(self) -> float:
        """The longest that a request may take."""
        return max(self.service.timeout, *self.timeouts.values(), 0)

    def timeout_s(self, delivery: Delivery) -> float:
        """Return how long the request of a delivery may take: as its rule says, or as its service does."""
        return self.timeouts.get(delivery.rule or "", self.service.timeout)

    @property
    def room(self) -> int:
        """How many more deliveries to claim: enough for all senders, and for what they finish in an instant.

        A service that answers slowly gets nothing in advance, since what waits here is lost time elsewhere.
        Nothing is claimed for a few free places while most are taken: claims are made in batches. With a rate
        limit there is a free sender for each, so that each goes out at its moment.
        """
        if self.service.rate_limit is not None:
            return max(self.capacity - len(self.in_hand), 0)
        target = self.capacity + min(int(self._rate * _READ_AHEAD_S), _MOST_AHEAD)
        room = target - len(self.in_hand)
        return room if room * 4 >= target else 0

    def put(self, item: InHand) -> None:
        """Give a claimed delivery to the senders. Called by one thread only."""
        self.in_hand[item.claimed.number] = item
        self._inbox.put(item)
        if len(self._threads) < min(self.capacity, len(self.in_hand)):
            name = f"sender-{self.name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def done(self, item: InHand) -> None:
        """Forget a delivery that is settled."""
        self.in_hand.pop(item.claimed.number, None)
        self._finished += 1
        passed = self._clock.monotonic() - self._counted_at
        if passed >= _READ_AHEAD_S:
            self._rate = self._finished / passed
            self._finished, self._counted_at = 0, self._clock.monotonic()

    def close(self) -> None:
        """Let the threads finish what they are sending, hand back the rest unsent, and end."""
        self._closing.set()
        for _ in self._threads:
            self._inbox.put(None)

    def _work(self) -> None:
        lines: dict[float, Line] = {}
        try:
            while (item := self._inbox.get()) is not None:
                line = self._line(lines, item)
                self._await(item, line)
                attempt = line.send(item.claimed.delivery) if self._may_send(item) else None
                self._hand_back(Sent(item, attempt))
        finally:
            for line in lines.values():
                line.close()

    def _line(self, lines: dict[float, Line], item: InHand) -> Line:
        """Return this thread's line with the delivery's timeout; there are as many as rules' own timeouts."""
        timeout = self.timeout_s(item.claimed.delivery)
        if timeout not in lines:
            service = self.service.model_copy(update={"timeout": timeout})
            lines[timeout] = Line(service, self._clock)
        return lines[timeout]

    def _await(self, item: InHand, line: Line) -> None:
        """Wait for the moment that the rate limit gives, the line made ready meanwhile: that takes time."""
        if item.not_before > -inf:
            line.prepare()
        while (left := item.not_before - self._clock.monotonic()) > 0:
            if self._closing.wait(min(left, _PIECE_S)):
                break
