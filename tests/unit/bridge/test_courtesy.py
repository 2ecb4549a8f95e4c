"""Who reads much of a log that grows fast meanwhile rests between the pieces."""

from sidecar.bridge.courtesy import Courtesy
from sidecar.clock import FakeClock


def after(courtesy: Courtesy, clock: FakeClock, *, rows_a_second: float, rounds: int = 10) -> list[float]:
    """Make rounds of a tenth of a second, while Moodle writes; return the rest after each."""
    head, rests = 1_000_000.0, []
    for _ in range(rounds):
        clock.advance(0.1)
        head += rows_a_second / 10
        rests.append(courtesy.rest_s(0.1, int(head)))
    return rests


def test_a_log_that_nobody_writes_to_is_read_at_full_speed() -> None:
    clock = FakeClock()
    courtesy = Courtesy(clock)

    assert after(courtesy, clock, rows_a_second=0) == [0.0] * 10
    assert not courtesy.gives_way


def test_a_moodle_with_a_visitor_or_two_is_not_busy() -> None:
    clock = FakeClock()

    assert after(Courtesy(clock), clock, rows_a_second=20) == [0.0] * 10


def test_a_busy_moodle_has_half_of_the_time_for_itself() -> None:
    clock = FakeClock()
    courtesy = Courtesy(clock)

    rests = after(courtesy, clock, rows_a_second=500)

    assert rests[-1] == 0.1
    assert courtesy.gives_way


def test_it_is_seen_within_half_a_second_that_moodle_has_become_busy_or_quiet() -> None:
    clock = FakeClock()
    courtesy = Courtesy(clock)
    after(courtesy, clock, rows_a_second=0)

    assert after(courtesy, clock, rows_a_second=500, rounds=5)[-1] > 0

    after(courtesy, clock, rows_a_second=0, rounds=5)
    assert after(courtesy, clock, rows_a_second=0, rounds=1) == [0.0]


def test_a_log_that_is_empty_or_shorter_than_before_is_not_busy() -> None:
    clock = FakeClock()
    courtesy = Courtesy(clock)
    after(courtesy, clock, rows_a_second=500)
    clock.advance(1)

    assert courtesy.rest_s(0.1, 10) == 0.0
    assert courtesy.rest_s(0.1, None) == 0.0
