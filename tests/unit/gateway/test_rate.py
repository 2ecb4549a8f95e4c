"""Moments to send at, evenly spaced over all processes."""

from bisect import bisect_left
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sidecar.gateway.rate import free_slots

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_first_request_goes_out_at_once_and_the_others_in_its_wake() -> None:
    slots = free_slots(None, 10, now=NOW, most=3)

    assert [slots.moment(number) for number in range(3)] == [NOW, after(0.1), after(0.2)]
    assert slots.count == 3


def test_moments_are_given_out_for_one_second() -> None:
    assert free_slots(None, 10, now=NOW, most=1000).count == 11
    assert free_slots(after(0.95), 10, now=NOW, most=1000).count == 1
    assert free_slots(after(1.05), 10, now=NOW, most=1000).count == 0


def test_moment_that_passed_unused_is_lost() -> None:
    slots = free_slots(after(-3600), 10, now=NOW, most=1000)

    assert (slots.first, slots.count) == (NOW, 11)


def test_slow_limit_waits_for_its_moment() -> None:
    assert free_slots(after(3.6), 1000 / 3600, now=NOW, most=5).count == 0

    slots = free_slots(after(3.6), 1000 / 3600, now=after(2.7), most=5)

    assert (slots.first, slots.count) == (after(3.6), 1)


def test_limit_that_was_raised_does_not_wait_for_the_old_one() -> None:
    slots = free_slots(after(3600), 10, now=NOW, most=5)

    assert (slots.first, slots.count) == (NOW, 5)


def test_asking_again_is_worth_it_when_half_a_second_is_free_and_who_took_some_comes_later() -> None:
    ours = free_slots(None, 10, now=NOW, most=11)
    theirs = free_slots(ours.moment(11), 10, now=NOW, most=11)

    assert theirs.again_after(0) == after(0.6)
    assert ours.again_after(11) == after(0.7)


def test_a_moment_used_as_late_as_may_be_brings_no_twelfth_request_into_a_second() -> None:
    slots = free_slots(None, 10, now=NOW, most=12, ahead_s=2)

    span_s = (slots.moment(11) - slots.moment(0)).total_seconds()

    assert span_s - slots.late_s >= 0.95 - 1e-9


@given(
    st.floats(0.01, 500),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 100)), min_size=1, max_size=30),
)
def test_no_second_ever_has_more_requests_than_the_limit(
    rate: float, visits: list[tuple[float, int]]
) -> None:
    now, next_at = NOW, None
    sent: list[datetime] = []

    for pause, most in visits:
        now += timedelta(seconds=pause)
        slots = free_slots(next_at, rate, now=now, most=most)
        sent += [slots.moment(number) for number in range(slots.count)]
        next_at = slots.moment(slots.count) if slots.count else next_at

    assert sent == sorted(sent)
    busiest = max(bisect_left(sent, one + timedelta(seconds=1)) - n for n, one in enumerate(sent))
    # Moments are whole microseconds: a last one may fall just inside.
    assert busiest <= int(rate) + 2
