"""How often a loop looks when nothing happens, and that it is at once awake when something does."""

from sidecar.bridge.calm import Calm
from sidecar.clock import FakeClock


def looks(calm: Calm, clock: FakeClock, *, ticks: int, every_s: float = 0.5) -> int:
    """Let the clock tick so often; return how many looks were made."""
    made = 0
    for _ in range(ticks):
        clock.advance(every_s)
        made += not calm.may_skip(every_s)
    return made


def test_every_look_is_made_at_first(clock: FakeClock) -> None:
    assert looks(Calm(clock), clock, ticks=59) == 59


def test_one_look_in_five_is_made_when_nothing_has_happened_for_half_a_minute(clock: FakeClock) -> None:
    calm = Calm(clock)
    looks(calm, clock, ticks=60)

    assert looks(calm, clock, ticks=100) == 20


def test_whatever_happens_ends_the_calm(clock: FakeClock) -> None:
    calm = Calm(clock)
    looks(calm, clock, ticks=200)

    calm.stirred()

    assert looks(calm, clock, ticks=59) == 59
    assert calm.every_s(1) == 1


def test_waits_are_five_times_as_long_in_the_calm(clock: FakeClock) -> None:
    calm = Calm(clock)
    clock.advance(30)

    assert calm.every_s(1) == 5


def test_ticks_that_come_a_little_early_are_looks_all_the_same(clock: FakeClock) -> None:
    assert looks(Calm(clock), clock, ticks=50, every_s=0.499) == 50
