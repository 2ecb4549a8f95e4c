"""As many senders as get more done than half of them would."""

from collections.abc import Callable

import pytest

from sidecar.bridge.staff import Staff
from sidecar.clock import FakeClock


def settled(staff: Staff, clock: FakeClock, rate: Callable[[int], float], *, may_grow: bool = True) -> int:
    """Let it look for a while at a service that has this `rate` with so many; return how many it has."""
    finished = 0.0
    for _ in range(60):
        staff.look(int(finished), may_grow=may_grow)
        clock.advance(0.1)
        finished += rate(staff.number) * 0.1
    return staff.number


def each_by_itself(number: int) -> float:
    """A service that takes 50 ms: each sender waits for it, none for another."""
    return number * 20.0


def in_turns(number: int) -> float:
    """A service that answers at once: senders wait for each other, and lose by it."""
    return 3_000.0 - number * 10


def test_senders_that_wait_for_the_service_become_more(clock: FakeClock) -> None:
    assert settled(Staff(4, 64, clock.monotonic), clock, each_by_itself) == 64


def test_senders_that_wait_for_each_other_stay_few(clock: FakeClock) -> None:
    assert settled(Staff(4, 64, clock.monotonic), clock, in_turns) == 4


def test_as_many_as_the_service_takes_at_once(clock: FakeClock) -> None:
    assert settled(Staff(4, 64, clock.monotonic), clock, lambda number: min(number, 16) * 20.0) == 16


def test_too_many_become_fewer_where_fewer_are_as_good(clock: FakeClock) -> None:
    staff = Staff(4, 64, clock.monotonic)
    settled(staff, clock, each_by_itself)
    clock.advance(10)

    assert settled(staff, clock, in_turns, may_grow=False) == 4


def test_answers_that_take_longer_than_a_look_have_more_waiting_for_them(clock: FakeClock) -> None:
    assert settled(Staff(4, 64, clock.monotonic), clock, lambda number: number / 5) == 64


def test_none_are_added_while_the_process_has_no_time(clock: FakeClock) -> None:
    assert settled(Staff(4, 64, clock.monotonic), clock, each_by_itself, may_grow=False) == 4


def test_what_was_no_use_is_tried_again_after_a_while(clock: FakeClock) -> None:
    staff = Staff(4, 64, clock.monotonic)
    settled(staff, clock, in_turns)

    clock.advance(10)

    assert settled(staff, clock, each_by_itself) == 64


@pytest.mark.parametrize("most", [1, 3, 5])
def test_never_more_than_the_service_may_have(clock: FakeClock, most: int) -> None:
    assert settled(Staff(4, most, clock.monotonic), clock, each_by_itself) == most


def test_a_pause_makes_no_judgement(clock: FakeClock) -> None:
    staff = Staff(4, 64, clock.monotonic)
    staff.look(0, may_grow=True)
    clock.advance(0.1)
    staff.look(10, may_grow=True)
    tried = staff.number

    staff.rest()
    clock.advance(60)
    staff.look(20, may_grow=False)

    assert (tried, staff.number) == (8, 8)
