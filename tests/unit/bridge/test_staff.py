"""As many senders as get the most done."""

from collections.abc import Callable

import pytest

from sidecar.bridge.staff import Staff
from sidecar.clock import FakeClock

_DELAY = 3  # looks until what was sent is counted


def settled(
    staff: Staff, clock: FakeClock, rate: Callable[[int], float], share: Callable[[int], float]
) -> int:
    """Let it look for ten seconds at a service with this rate for so many senders; return how many it has."""
    staff.rest()
    finished, coming = 0.0, [0.0] * _DELAY
    for _ in range(200):
        staff.look(int(finished), share(staff.number))
        clock.advance(0.05)
        coming.append(rate(staff.number) * 0.05)
        finished += coming.pop(0)
    return staff.number


def each_by_itself(number: int) -> float:
    """A service that takes 50 ms: each sender waits for it, none for another."""
    return number * 20.0


def in_turns(number: int) -> float:
    """A service that answers at once: senders wait for each other, and lose by it."""
    return 3_000.0 - number * 10


def idle(number: int) -> float:
    return number / 250


def middling(_: int) -> float:
    return 0.5


def busy(_: int) -> float:
    return 0.95


@pytest.fixture
def staff(clock: FakeClock) -> Staff:
    return Staff(4, 64, clock.monotonic)


def test_senders_that_wait_for_the_service_become_more(staff: Staff, clock: FakeClock) -> None:
    assert settled(staff, clock, each_by_itself, idle) == 64


def test_an_idle_process_does_not_wait_for_a_slow_answer(staff: Staff, clock: FakeClock) -> None:
    for _ in range(9):
        staff.look(0, 0.01)
        clock.advance(0.05)

    assert staff.number == 64


def test_senders_that_wait_for_each_other_stay_few(staff: Staff, clock: FakeClock) -> None:
    assert settled(staff, clock, in_turns, busy) == 4


def test_where_it_is_not_known_it_is_tried(staff: Staff, clock: FakeClock) -> None:
    assert settled(staff, clock, each_by_itself, middling) == 64


def test_what_gets_no_more_done_is_undone(staff: Staff, clock: FakeClock) -> None:
    assert settled(staff, clock, lambda number: min(number, 16) * 20.0, middling) == 16


def test_too_many_become_fewer_where_fewer_are_as_good(staff: Staff, clock: FakeClock) -> None:
    settled(staff, clock, each_by_itself, idle)

    assert settled(staff, clock, in_turns, busy) == 4


def test_a_busy_process_keeps_those_that_it_needs(staff: Staff, clock: FakeClock) -> None:
    settled(staff, clock, each_by_itself, idle)

    assert settled(staff, clock, each_by_itself, busy) == 64


def test_what_was_no_use_is_tried_again_after_a_while(staff: Staff, clock: FakeClock) -> None:
    settled(staff, clock, in_turns, middling)

    clock.advance(10)

    assert settled(staff, clock, each_by_itself, middling) == 64


@pytest.mark.parametrize("share", [idle, middling])
def test_none_are_added_where_others_need_them(
    staff: Staff, clock: FakeClock, share: Callable[[int], float]
) -> None:
    for number in range(100):
        staff.look(number * 4, share(staff.number), may_grow=False)
        clock.advance(0.05)

    assert staff.number == 4


def test_it_is_in_no_hurry_where_a_look_would_change_nothing(staff: Staff, clock: FakeClock) -> None:
    staff.look(0, 0.1, may_grow=False)
    others_need_them = staff.is_eager
    staff.look(0, 0.1)
    may_grow = staff.is_eager
    settled(staff, clock, in_turns, middling)
    holds = staff.is_eager
    staff.rest()

    assert (others_need_them, may_grow, holds, staff.is_eager) == (False, True, False, True)


@pytest.mark.parametrize("most", [1, 3, 5])
def test_never_more_than_the_service_may_have(clock: FakeClock, most: int) -> None:
    assert settled(Staff(4, most, clock.monotonic), clock, each_by_itself, idle) == most


def test_a_pause_makes_no_judgement(staff: Staff, clock: FakeClock) -> None:
    for number in range(5):
        staff.look(number * 10, 0.5)
        clock.advance(0.1)
    tried = staff.number

    staff.rest()
    clock.advance(60)
    staff.look(60, 0.95)

    assert (tried, staff.number) == (8, 8)
