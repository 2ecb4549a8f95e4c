"""Requests of one sender that are in flight together: it sends some, and waits for all answers at once."""

import math
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from sidecar.bridge.lanes import QUICK_MS, InHand, Sent, is_quick
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
        self._ends: dict[int, float] = {}
        self._free: list[Line] = []
        self._landed: list[Sent] = []
        self._inside = False
        self.were_quick = False  # whether all the last ones were answered at once

    def send(
        self,
        items: deque[InHand],
        line: Line,
        timeout_s: float,
        *,
        abreast: int,
        more: Callable[[], Iterable[InHand]] = tuple,
        back: Callable[[deque[InHand]], None] = lambda _: None,
    ) -> Iterator[list[Sent]]:
        """Take deliveries out of `items` and send them, so many at once; yield them as answers come.

        One goes over `line`, which is given back as all others are: as soon as nothing leaves over it. While
        nobody answers at once `more` can go beside, so that one slow answer holds up nobody else, and `back`
        may take out what finds no line: others have them. When a slow answer has come the rest stays there.
        """
        self._free, self.were_quick = [line], True
        try:
            self._inside = abreast > 1 and self._turnstile.enter()
            self._depart(items, timeout_s, abreast)
            while self._under_way:
                if self._landed:
                    yield self._taken()
                if not self._land(QUICK_MS if abreast > 1 else math.ceil(timeout_s * 1000)):
                    self._leave()
                    if items:
                        back(items)
                    else:
                        items.extend(more())
                self._depart(items, timeout_s, abreast)
            yield self._taken()
        finally:
            self._leave()
            self._free += [lent for _, lent, _ in self._under_way.values()]
            self._give_back(timeout_s)

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
            self._go_on(item, line, line.sending(item.delivery), time.monotonic() + timeout_s)
        self._give_back(timeout_s)

    def _land(self, wait_ms: float) -> bool:
        """Take in the answers that come within so long; False where none does."""
        ready = [socket for socket, _ in self._answers.poll(wait_ms)]
        # Where the time is over each will say so itself.
        late = () if ready else [socket for socket, ends in self._ends.items() if ends <= time.monotonic()]
        for socket in ready or late:
            self._answers.unregister(socket)
            self._go_on(*self._under_way.pop(socket), self._ends.pop(socket))
        return bool(ready)

    def _go_on(self, item: InHand, line: Line, steps: Steps[Attempt], ends: float) -> None:
        try:
            socket = next(steps)
        except StopIteration as end:
            attempt: Attempt = end.value
            self._free.append(line)
            self._landed.append(Sent(item, attempt))
            self.were_quick = self.were_quick and is_quick(attempt)
        else:
            self._answers.register(socket, select.POLLIN)
            self._under_way[socket], self._ends[socket] = (item, line, steps), ends

    def _give_back(self, timeout_s: float) -> None:
        """Let others have the lines that nothing leaves over while answers are waited for."""
        while self._free:
            self._lines.give_back(self._free.pop(), timeout_s)

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            self._turnstile.leave()

    def _taken(self) -> list[Sent]:
        taken, self._landed = self._landed, []
        return taken
