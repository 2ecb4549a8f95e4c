"""Requests of one sender that are in flight together: it sends some, and waits for all answers at once."""

import math
import select
from collections import deque
from collections.abc import Callable, Iterator

from sidecar.bridge.lanes import QUICK_MS, InHand, Sent
from sidecar.bridge.lines import Lines
from sidecar.bridge.turnstile import Turnstile
from sidecar.gateway.line import Line
from sidecar.model import Attempt
from sidecar.transports.steps import Steps


class Flights:
    """Used by one thread, which so changes places with others once for many answers, not twice for each."""

    def __init__(self, lines: Lines, turnstile: Turnstile, may_send: Callable[[InHand], bool]) -> None:
        self._lines, self._turnstile, self._may_send = lines, turnstile, may_send
        self._answers = select.poll()
        self._under_way: dict[int, tuple[InHand, Line, Steps[Attempt]]] = {}
        self._free: list[Line] = []
        self._landed: list[Sent] = []
        self._inside = False
        self.were_quick = False  # whether all the last ones were answered at once

    def send(
        self, items: deque[InHand], line: Line, timeout_s: float, *, abreast: int
    ) -> Iterator[list[Sent]]:
        """Take deliveries out of `items` and send them, so many at once; yield them as answers come.

        One goes over `line`, which stays the caller's. As soon as one is not answered at once, the rest stays
        in `items`.
        """
        self._inside = abreast > 1 and self._turnstile.enter()
        self.were_quick = True
        try:
            yield from self._send(items, line, timeout_s, abreast)
        finally:
            self._leave()

    def _send(self, items: deque[InHand], line: Line, timeout_s: float, abreast: int) -> Iterator[list[Sent]]:
        self._free = [line]
        self._depart(items, timeout_s, abreast)
        while self._under_way:
            if self._landed:
                yield self._taken()
            self._land(timeout_s)
            self._depart(items, timeout_s, abreast)
        for one in self._free:
            if one is not line:
                self._lines.give_back(one, timeout_s)
        yield self._taken()

    def _depart(self, items: deque[InHand], timeout_s: float, abreast: int) -> None:
        while items and self.were_quick:
            if not self._may_send(items[0]):
                self._landed.append(Sent(items.popleft(), None))
                continue
            if not self._free and len(self._under_way) < abreast:
                self._free += filter(None, [self._lines.borrow_at_once(timeout_s)])
            if not self._free:
                break
            item, line = items.popleft(), self._free.pop()
            self._go_on(item, line, line.sending(item.delivery))

    def _land(self, timeout_s: float) -> None:
        """Wait for answers. Where they take their time let others pass meanwhile."""
        ready = self._answers.poll(QUICK_MS) if self._inside else []
        if not ready:
            self._leave()
            ready = self._answers.poll(math.ceil(timeout_s * 1000))
        # Where the time is over each will say so itself.
        for socket in [socket for socket, _ in ready] or list(self._under_way):
            self._answers.unregister(socket)
            self._go_on(*self._under_way.pop(socket))

    def _go_on(self, item: InHand, line: Line, steps: Steps[Attempt]) -> None:
        try:
            socket = next(steps)
        except StopIteration as end:
            attempt: Attempt = end.value
            self._free.append(line)
            self._landed.append(Sent(item, attempt))
            self.were_quick = self.were_quick and attempt.latency_ms < QUICK_MS
        else:
            self._answers.register(socket, select.POLLIN)
            self._under_way[socket] = item, line, steps

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            self._turnstile.leave()

    def _taken(self) -> list[Sent]:
        taken, self._landed = self._landed, []
        return taken
