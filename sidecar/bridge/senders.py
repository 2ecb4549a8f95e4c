"""What a sender does with what it takes out of its lane: one request, or many messages at once."""

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from math import inf

from sidecar.bridge import batches
from sidecar.bridge.flights import Flights
from sidecar.bridge.inbox import Reader
from sidecar.bridge.lanes import Group, InHand, Lane, Sent
from sidecar.gateway.line import Line
from sidecar.model import Attempt

_log = logging.getLogger("mih.dispatch")

_MOST_TAKEN = 32  # out of the inbox at a time, for requests that are in flight together


def work(lane: Lane, inbox: Reader[Group], number: int) -> None:
    """Send until the lane is closed or has senders enough: the whole life of a sender's thread."""
    sender = _Sender(lane, inbox)
    try:
        while (items := inbox.get()) is not None:
            for sent in sender.send(items):
                lane.desk.hand_back(sent)
            if lane.is_spare(number) and not inbox.keeps:
                break
        lane.lines.keep(lane.senders * lane.abreast)
    finally:
        if lane.closing:
            for items in inbox.rest():  # put back by somebody after the end had been announced
                lane.desk.hand_back([Sent(item, None) for item in items])
            lane.lines.close()


class _Sender:
    """What one thread does for one service."""

    def __init__(self, lane: Lane, inbox: Reader[Group]) -> None:
        self._lane, self._inbox = lane, inbox
        self._flights = Flights(lane.lines, lane.desk.turnstile, lane.desk.may_send)

    def send(self, items: Group) -> Iterator[Sequence[Sent]]:
        """Send what shares a request, or what goes out together with it; hand back as fates become known."""
        lane, first, timeout_s = self._lane, items[0], self._lane.timeout_s(items[0].delivery)
        line = lane.lines.borrow(timeout_s)
        with ExitStack() as ours:
            ours.callback(lane.lines.give_back, line, timeout_s)
            self._await(first.not_before, line)
            if lane.joins(first.delivery):
                yield from self._send_joined(line, items)
            elif line.at_once > 1:
                most = line.at_once - 1 if _has_time(first) else 0
                yield self._send_many(line, [first, *self._more_like(first, most)])
            else:
                abreast = lane.abreast if self._may_go_abreast(line, first) else 1
                more = partial(self._more_like, first, (_MOST_TAKEN if abreast > 1 else 1) - 1)
                going = deque([first, *more()])
                ours.pop_all()  # it is given back as soon as nothing leaves over it
                yield from self._flights.send(
                    going, line, timeout_s, abreast=abreast, more=more, back=self._put_back
                )
                self._put_back(going)

    def _may_go_abreast(self, line: Line, first: InHand) -> bool:
        return line.in_steps and self._flights.were_quick and _has_time(first)

    def _put_back(self, items: deque[InHand]) -> None:
        """Let others have what cannot leave from here."""
        self._inbox.put_back([item] for item in items)
        items.clear()

    def _await(self, moment: float, line: Line) -> None:
        """Wait for the moment that the rate limit gives, the line made ready meanwhile: that takes time."""
        if moment > -inf:
            line.prepare()
            self._lane.rest(until=moment)

    def _more_like(self, first: InHand, most: int) -> list[InHand]:
        """Take out of the inbox what can go out together with this one."""
        lane, timeout = self._lane, self._lane.timeout_s(first.delivery)

        def fits(items: Group) -> bool:
            one = items[0]
            same = lane.timeout_s(one.delivery) == timeout
            return same and _has_time(one) and not lane.joins(one.delivery)

        return [item for items in self._inbox.more(fits, most) for item in items]

    def _send_many(self, line: Line, items: Group) -> Sequence[Sent]:
        """Send each as a message of its own, and wait for all answers together."""
        asked = [(item, self._lane.desk.may_send(item)) for item in items]
        going = [item for item, may in asked if may]
        attempts = line.send_many([item.delivery for item in going]) if going else []
        sent = [Sent(item, attempt) for item, attempt in zip(going, attempts, strict=True)]
        return sent + [Sent(item, None) for item, may in asked if not may]

    def _send_joined(self, line: Line, items: Group) -> Iterator[Sequence[Sent]]:
        """Send all in one request, or in smaller ones where that is refused."""
        luck, decisive = self._lane.desk.draw(), None

        def send(part: Group) -> Attempt | None:
            attempt = self._request(line, part, again=len(part) < len(items))
            if attempt is not None and len(part) == len(items) > 1 and batches.concerns_content(attempt):
                self._tell_refused(items, attempt)
            return attempt

        for part, attempt in batches.deliver(items, send):
            fresh = attempt is not decisive
            decisive = attempt
            yield [
                Sent(
                    item,
                    attempt and line.masked(attempt, item.delivery),
                    charged=fresh and number == 0,
                    luck=luck,
                )
                for number, item in enumerate(part)
            ]

    def _request(self, line: Line, part: Group, *, again: bool) -> Attempt | None:
        """Send one request; None if any of it must not be sent any more."""
        lane = self._lane
        if again and lane.service.rate_limit is not None:
            times = lane.desk.next_times(lane)
            if times is None:
                return None
            for item in part:
                item.not_before, item.not_after = times
            self._await(times[0], line)
        if not all(lane.desk.may_send(item) for item in part):
            return None
        joined = batches.join([item.delivery for item in part])
        return line.call(joined, keep_bytes=line.keep_bytes)

    def _tell_refused(self, items: Group, attempt: Attempt) -> None:
        _log.warning(
            "batch.refused service=%s rule=%s deliveries=%d status=%s: sent again in halves, to find which",
            self._lane.name,
            items[0].delivery.rule,
            len(items),
            attempt.status,
        )


def _has_time(item: InHand) -> bool:
    """Whether it may go out together with others: not a probe, not at its own moment."""
    return item.not_before == -inf and not item.claimed.probe
