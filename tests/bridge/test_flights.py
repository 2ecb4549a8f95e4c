"""Several requests of one thread in flight: who waits for whom, and how many there may be."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Event, Thread
from typing import Any, cast

import pytest

from sidecar.bridge.flights import Flights
from sidecar.bridge.lanes import InHand
from sidecar.bridge.lines import Lines, Permits
from sidecar.bridge.turnstile import Turnstile
from sidecar.clock import FakeClock
from sidecar.gateway import line
from sidecar.model import Attempt, Claimed, Outcome
from sidecar.settings import Service
from sidecar.transports.base import Request
from tests.deliveries import attempt, delivery
from tests.receiver import Behaviour, Exchange, Receiver, answer, drip, hang, surplus

_NO_LANE = cast("Any", None)


class Flying:
    """One sender's flights to a receiver that has a path for each delivery: `/1`, `/2` and so on."""

    def __init__(
        self,
        receiver: Receiver,
        clock: FakeClock,
        *,
        lines: int,
        timeout_s: float = 30,
        turnstile: Turnstile | None = None,
    ) -> None:
        self.receiver, self.clock, self._timeout_s = receiver, clock, timeout_s
        self.forbidden: set[int] = set()
        self.lines = Lines(Service(base_url=receiver.url), Permits(lines), clock)
        self.flights = Flights(
            self.lines, turnstile or Turnstile(), lambda item: item.claimed.number not in self.forbidden
        )

    def send(
        self,
        items: deque[InHand],
        more: Callable[[], Iterable[InHand]] = tuple,
        back: Callable[[deque[InHand]], None] = lambda _: None,
    ) -> Iterator[dict[int, Outcome | None]]:
        """Yield what became of which numbers, as it becomes known."""
        line = self.lines.borrow(self._timeout_s)
        for group in self.flights.send(items, line, self._timeout_s, abreast=4, more=more, back=back):
            yield {sent.item.claimed.number: sent.attempt.outcome if sent.attempt else None for sent in group}

    def close(self) -> None:
        self.lines.close()


def waiting(count: int) -> deque[InHand]:
    made = (delivery(number, endpoint=f"/{number}") for number in range(1, count + 1))
    return deque(InHand(Claimed(one.log_id or 0, one, 0, "t", False), _NO_LANE, 0.0) for one in made)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def flying(receiver: Receiver, clock: FakeClock) -> Iterator[Flying]:
    """Flights over up to four lines."""
    made = Flying(receiver, clock, lines=4)
    yield made
    made.close()


def test_answers_come_back_without_waiting_for_a_slow_one(flying: Flying) -> None:
    flying.receiver.on("/1", hang(answer()))
    came = flying.send(waiting(3))

    early: dict[int, Outcome | None] = {}
    while len(early) < 2:
        early |= next(came)
    assert early == {2: Outcome.DELIVERED, 3: Outcome.DELIVERED}

    flying.receiver.released.set()
    assert [one for one in came if one] == [{1: Outcome.DELIVERED}]


def test_no_more_are_in_flight_than_there_are_lines(flying: Flying) -> None:
    elsewhere = flying.lines.borrow(30)
    items = waiting(5)
    for number in (1, 2, 3, 4, 5):
        flying.receiver.on(f"/{number}", hang(answer()))

    came: list[dict[int, Outcome | None]] = []
    sender = Thread(target=lambda: came.extend(flying.send(items)))
    sender.start()
    flying.receiver.wait_for(3)

    assert [item.claimed.number for item in items] == [4, 5]
    flying.receiver.released.set()
    sender.join()
    assert sorted(number for group in came for number in group) == [1, 2, 3, 4, 5]
    assert len({one.connection for one in flying.receiver.requests}) == 3
    flying.lines.give_back(elsewhere, 30)


def test_what_comes_later_goes_beside_an_answer_that_takes_its_time(flying: Flying) -> None:
    flying.receiver.on("/1", hang(answer()))
    later = waiting(6)
    came = flying.send(deque([later.popleft()]), more=lambda: [later.popleft()] if later else [])

    early: dict[int, Outcome | None] = {}
    while len(early) < 5:
        early |= next(came)
    assert early == dict.fromkeys(range(2, 7), Outcome.DELIVERED)

    flying.receiver.released.set()
    assert [one for one in came if one] == [{1: Outcome.DELIVERED}]


def test_who_fails_is_not_quick(flying: Flying) -> None:
    flying.receiver.on("/2", answer(503))

    assert sum(len(group) for group in flying.send(waiting(2))) == 2

    assert not flying.flights.were_quick


def test_what_has_not_left_stays_for_others_when_answers_take_their_time(flying: Flying) -> None:
    for number in range(1, 13):
        flying.receiver.on(f"/{number}", _turning(flying.clock, 0.1))
    items = waiting(12)

    gone = [number for group in flying.send(items) for number in group]

    assert sorted(gone) == [1, 2, 3, 4]
    assert [item.claimed.number for item in items] == list(range(5, 13))


def test_what_keeps_the_sender_before_anything_left_keeps_only_itself(
    flying: Flying, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        """A transport that knows no steps."""

        def send(self, _request: Request) -> Attempt:
            return attempt(Outcome.FAILED, latency_ms=100)

        def close(self) -> None:
            pass

    monkeypatch.setattr(line, "open_transport", lambda *_: Slow())
    items = waiting(12)

    fates = [fate for group in flying.send(items) for fate in group.values()]

    assert fates == [Outcome.FAILED]
    assert len(items) == 11


def test_who_waits_for_a_slow_answer_keeps_nobody_from_sending(receiver: Receiver, clock: FakeClock) -> None:
    turnstile = Turnstile(1)
    slow, other = (Flying(receiver, clock, lines=4, turnstile=turnstile) for _ in range(2))
    assert all(sum(map(len, one.send(waiting(4)))) == 4 for one in (slow, other))
    receiver.on("/1", hang(answer()))

    waits = Thread(target=lambda: list(slow.send(waiting(1))))
    waits.start()
    receiver.wait_for(9)
    assert turnstile.enter()
    turnstile.leave()

    receiver.released.set()
    waits.join()
    slow.close()
    other.close()


def test_lines_are_free_again_and_their_connections_used_again(flying: Flying) -> None:
    for _ in range(3):
        items = waiting(4)
        assert sum(len(group) for group in flying.send(items)) == 4

    assert len(flying.receiver.requests) == 12
    assert len({one.connection for one in flying.receiver.requests}) == 4


def test_connections_that_are_not_wanted_any_more_are_closed(flying: Flying) -> None:
    assert sum(len(group) for group in flying.send(waiting(4))) == 4

    flying.lines.keep(2)
    assert sum(len(group) for group in flying.send(waiting(4))) == 4

    assert len({one.connection for one in flying.receiver.requests}) == 6


def test_what_must_not_be_sent_any_more_is_handed_back_unsent(flying: Flying) -> None:
    flying.forbidden = {1, 3}

    fates = {number: fate for group in flying.send(waiting(3)) for number, fate in group.items()}

    assert fates == {1: None, 2: Outcome.DELIVERED, 3: None}
    assert [one.target for one in flying.receiver.requests] == ["/2"]


def test_each_that_gets_no_answer_fails_by_itself(receiver: Receiver, clock: FakeClock) -> None:
    flying = Flying(receiver, clock, lines=4, timeout_s=0.2)
    receiver.on("/1", hang())
    receiver.on("/3", hang())
    receiver.on("/2", _turning(clock, 0.3))

    fates = {number: fate for group in flying.send(waiting(3)) for number, fate in group.items()}

    assert fates == {1: Outcome.FAILED, 2: Outcome.DELIVERED, 3: Outcome.FAILED}
    receiver.released.set()
    flying.close()


def test_only_answers_that_come_at_once_are_quick(flying: Flying, clock: FakeClock) -> None:
    flying.receiver.on("/2", _turning(clock, 0.1))
    quick = []

    for count in (1, 2, 1):
        assert sum(len(group) for group in flying.send(waiting(count))) == count
        quick.append(flying.flights.were_quick)

    assert quick == [True, False, True]


_TINY = b"1;" + b"x" * 1_000 + b"\r\na\r\n"  # a byte of body
_IN_TINY_PIECES = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _TINY * 12_000
_END = b"0\r\n\r\n"


def test_long_answer_in_tiny_pieces_keeps_no_other(flying: Flying) -> None:
    waited_for = Event()

    def in_tiny_pieces(exchange: Exchange) -> bool:
        exchange.wire.sendall(_IN_TINY_PIECES)
        waited_for.set()  # it is more than sockets hold, so most of it has been read
        return hang(surplus(_END))(exchange)

    def after_it(exchange: Exchange) -> bool:
        return waited_for.wait(20) and answer()(exchange)

    flying.receiver.on("/1", in_tiny_pieces)
    flying.receiver.on("/2", after_it)
    came = (group for group in flying.send(waiting(2)) if group)

    assert next(came) == {2: Outcome.DELIVERED}
    flying.receiver.released.set()
    assert list(came) == [{1: Outcome.DELIVERED}]


def test_answer_in_tiny_pieces_as_fast_as_it_goes_ends_at_the_deadline(
    flying: Flying, clock: FakeClock
) -> None:
    def gush(exchange: Exchange) -> bool:
        clock.advance(31)
        return surplus(_IN_TINY_PIECES + _END)(exchange)

    flying.receiver.on("/1", gush)

    assert [group for group in flying.send(waiting(1)) if group] == [{1: Outcome.FAILED}]


def test_answer_that_trickles_in_ends_at_the_deadline(flying: Flying, clock: FakeClock) -> None:
    def trickle(exchange: Exchange) -> bool:
        exchange.wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n")
        clock.advance(31)
        return drip(b"x" * 2000, every_s=0.001)(exchange)

    flying.receiver.on("/1", trickle)

    assert [group for group in flying.send(waiting(1)) if group] == [{1: Outcome.FAILED}]


def test_who_waits_for_a_slow_answer_keeps_no_lines_from_others(flying: Flying, clock: FakeClock) -> None:
    flying.receiver.on("/1", hang(answer()))
    flying.receiver.on("/2", _turning(clock, 0.1))
    came = flying.send(waiting(4))

    early: dict[int, Outcome | None] = {}
    while len(early) < 3:
        early |= next(came)
    sender = Thread(target=lambda: [*came])
    sender.start()
    others = [flying.lines.borrow_at_once(30) for _ in range(4)]

    flying.receiver.released.set()
    sender.join()
    assert [one is not None for one in others] == [True, True, True, False]
    for one in filter(None, others):
        flying.lines.give_back(one, 30)


def test_what_finds_no_line_goes_back_while_an_answer_is_waited_for(flying: Flying) -> None:
    elsewhere = [flying.lines.borrow(30) for _ in range(3)]
    flying.receiver.on("/1", hang(answer()))
    returned: list[int] = []

    def back(items: deque[InHand]) -> None:
        returned.extend(item.claimed.number for item in items)
        items.clear()
        flying.receiver.released.set()

    came = list(flying.send(waiting(3), back=back))

    assert returned == [2, 3]
    assert [one for one in came if one] == [{1: Outcome.DELIVERED}]
    for one in elsewhere:
        flying.lines.give_back(one, 30)


def _turning(clock: FakeClock, seconds: float) -> Behaviour:
    """Answer when so much time has passed."""

    def behave(exchange: Exchange) -> bool:
        clock.advance(seconds)
        return answer()(exchange)

    return behave
