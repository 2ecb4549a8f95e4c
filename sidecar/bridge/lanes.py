"""A bulkhead per service: its own threads and its own inbox, so that a slow service delays nobody else."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from sidecar.clock import Clock
from sidecar.gateway.line import Line
from sidecar.model import Attempt, Claimed
from sidecar.settings import Service

_READ_AHEAD_S = 0.1
_MOST_AHEAD = 500


@dataclass(slots=True)
class InHand:
    """A claimed delivery in this process; the lease's end moves when it is renewed."""

    claimed: Claimed
    lane: "Lane"
    lease_ends: float


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
        clock: Clock,
        hand_back: Callable[[Sent], None],
        may_send: Callable[[InHand], bool],
    ) -> None:
        self.name, self.service, self.capacity = name, service, capacity
        self.in_hand: dict[int, InHand] = {}
        self.hot = False  # the last claim took all it asked for: there is more
        self.closing = False  # what still waits here is handed back unsent
        self._rate = 0.0
        self._finished = 0
        self._counted_at = clock.monotonic()
        self._clock = clock
        self._hand_back = hand_back
        self._may_send = may_send
        self._inbox: SimpleQueue[InHand | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    @property
    def room(self) -> int:
        """How many more deliveries to claim: enough for all senders, and for what they finish in an instant.

        A service that answers slowly gets nothing in advance, since what waits here is lost time elsewhere.
        Nothing is claimed for a few free places while most are taken: claims are made in batches.
        """
        target = self.capacity + min(int(self._rate * _READ_AHEAD_S), _MOST_AHEAD)
        room = target - len(self.in_hand)
        return room if room * 4 >= target else 0

    def put(self, claimed: Claimed, lease_ends: float) -> None:
        """Give a claimed delivery to the senders. Called by one thread only."""
        item = InHand(claimed, self, lease_ends)
        self.in_hand[claimed.number] = item
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
        self.closing = True
        for _ in self._threads:
            self._inbox.put(None)

    def _work(self) -> None:
        line = Line(self.service, self._clock)
        try:
            while (item := self._inbox.get()) is not None:
                attempt = line.send(item.claimed.delivery) if self._may_send(item) else None
                self._hand_back(Sent(item, attempt))
        finally:
            line.close()
