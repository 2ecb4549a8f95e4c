"""Packing gaps changes how many there are, never which ids are missing nor how long they are waited for."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.holes import cut, left_of, pack
from sidecar.model import Gap
from tests.deliveries import NOW

ages = st.sampled_from([0, 1, 4, 30, 33, 600, 640, 3000])


@st.composite
def some_gaps(draw: st.DrawFn) -> list[Gap]:
    """Draw gaps that do not overlap, near and far from each other, of several ages."""
    gaps: list[Gap] = []
    at = draw(st.integers(1, 1000))
    for _ in range(draw(st.integers(0, 30))):
        at += draw(st.sampled_from([1, 2, 3, 63, 64, 65, 70_000]))
        width = draw(st.sampled_from([1, 1, 1, 2, 5, 700]))
        gaps.append(Gap(at, at + width - 1, NOW - timedelta(seconds=draw(ages))))
        at += width
    return gaps


def missing(gaps: list[Gap]) -> set[int]:
    return {id_ for gap in gaps for id_ in range(gap.first_id, gap.last_id + 1) if gap.lacks(id_)}


@given(some_gaps())
def test_packed_gaps_lack_the_same_ids_and_are_no_older(gaps: list[Gap]) -> None:
    packed = pack(gaps, NOW)

    assert missing(packed) == missing(gaps)
    assert sum(gap.missing for gap in packed) == sum(gap.missing for gap in gaps)
    for gap in gaps:
        [where] = [one for one in packed if one.lacks(gap.first_id)]
        assert gap.seen_at <= where.seen_at
        assert where.seen_at - gap.seen_at <= max(timedelta(seconds=5), (NOW - gap.seen_at) * 0.1)


@given(some_gaps())
def test_what_is_left_is_what_was_missing_without_what_came(gaps: list[Gap]) -> None:
    for gap in pack(gaps, NOW):
        lacking = [id_ for id_ in range(gap.first_id, gap.last_id + 1) if gap.lacks(id_)]
        came = lacking[:: max(len(lacking) // 3, 1)]

        left = left_of(gap, came)

        assert missing(left) == set(lacking) - set(came)
        assert {one.seen_at for one in left} <= {gap.seen_at}


@given(some_gaps(), st.integers(0, 100_000))
def test_a_cut_gap_has_what_lies_below(gaps: list[Gap], last_id: int) -> None:
    for gap in pack(gaps, NOW):
        assert missing(cut(gap, last_id)) == {id_ for id_ in missing([gap]) if id_ <= last_id}


def test_every_other_id_of_a_hundred_thousand_is_two_gaps() -> None:
    holes = [Gap(id_, id_, NOW) for id_ in range(1, 100_001, 2)]

    packed = pack(holes, NOW)

    assert [(gap.first_id, gap.last_id, gap.missing) for gap in packed] == [
        (1, 49_999, 25_000),
        (50_001, 99_999, 25_000),
    ]
