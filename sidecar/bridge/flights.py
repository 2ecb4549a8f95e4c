"""Requests of one sender that are in flight together: it sends them all, then waits for all answers."""

import math
import select
from collections import deque
from collections.abc import Callable, Iterator

from sidecar.bridge.lanes import QUICK_MS, InHand, Sent
from sidecar.bridge.lines import Lines
from sidecar.gateway.line import Line
from sidecar.model import Attempt
from sidecar.transports.steps import Steps


class Flights:
    """Used by one thread, which so changes places with others once for many answers, not twice for each."""

    def __init__(self, lines: Lines, may_send: Callable[[InHand], bool]) -> None:
        self._lines, self._may_send = lines, may_send
        self._answers = select.poll()
        self._under_way: dict[int, tuple[InHand, Steps[Attempt]]] = {}
        self._landed: list[Sent] = []
        self.were_quick = False  # whether all the last ones were answered at once

    def send(self, line: Line, items: deque[InHand], timeout_s: float) -> Iterator[list[Sent]]:
        """Take out of `items` as many as there are lines for; send them, and yield them as answers come.

        The first one goes over `line`, which stays the caller's.
        """
        self.were_quick = True
        borrowed = self._depart(line, items, timeout_s)
        while self._under_way:
            if self._landed:
                yield self._taken()
            ready = [socket for socket, _ in self._answers.poll(math.ceil(timeout_s * 1000))]
            for socket in ready or list(self._under_way):  # where the time is over, each will say so
                self._answers.unregister(socket)
                self._go_on(*self._under_way.pop(socket))
        for one in borrowed:
            self._lines.give_back(one, timeout_s)
        yield self._taken()

    def _depart(self, line: Line, items: deque[InHand], timeout_s: float) -> list[Line]:
        """Send; return the lines that were borrowed for it."""
        borrowed: list[Line] = []
        free: Line | None = line
        while items:
            if not self._may_send(items[0]):
                self._landed.append(Sent(items.popleft(), None))
                continue
            if free is None:
                free = self._lines.borrow_at_once(timeout_s)
                if free is None:
                    break
                borrowed.append(free)
            self._go_on(items[0], free.sending(items.popleft().delivery))
            free = None
        return borrowed

    def _go_on(self, item: InHand, steps: Steps[Attempt]) -> None:
        try:
            socket = next(steps)
        except StopIteration as end:
            attempt: Attempt = end.value
            self._landed.append(Sent(item, attempt))
            self.were_quick = self.were_quick and attempt.latency_ms < QUICK_MS
        else:
            self._answers.register(socket, select.POLLIN)
            self._under_way[socket] = item, steps

    def _taken(self) -> list[Sent]:
        taken, self._landed = self._landed, []
        return taken
