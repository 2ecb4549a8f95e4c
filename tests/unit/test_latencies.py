"""A histogram of latencies: small, added up in any order, and within 10 % of the truth."""

import math

from hypothesis import given
from hypothesis import strategies as st

from sidecar.store.latencies import EDGES, Latencies, bucket

REAL = st.floats(min_value=0.1, max_value=600_000)


def histogram(values: list[float]) -> Latencies:
    found = Latencies()
    for value in values:
        found += Latencies(value, {bucket(value): 1})
    return found


def test_a_bucket_begins_with_its_edge() -> None:
    assert [bucket(0.0), bucket(0.09), bucket(0.1), bucket(0.12), bucket(0.1439)] == [0, 0, 1, 2, 2]
    assert bucket(1e9) == len(EDGES) == 88
    assert EDGES[-1] > 600_000


@given(st.lists(REAL, min_size=1, max_size=60), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_is_within_10_percent(values: list[float], share: float) -> None:
    truth = sorted(values)[math.ceil(share * len(values)) - 1]

    found = histogram(values).quantile(share)

    assert found is not None
    assert abs(found - truth) <= 0.1 * truth + 0.01


@given(st.lists(REAL, max_size=30), st.lists(REAL, max_size=30))
def test_parts_add_up_to_the_whole(some: list[float], others: list[float]) -> None:
    both = histogram(some) + histogram(others)

    assert both.buckets == histogram(some + others).buckets
    assert both.count == len(some) + len(others)


def test_nothing_has_no_quantile_and_no_mean() -> None:
    assert (Latencies().quantile(0.95), Latencies().mean_ms) == (None, None)


def test_what_is_stored_is_read_again() -> None:
    found = histogram([12.0, 12.5, 900.0])

    assert Latencies.read(found.total_ms, found.dump()) == found
    assert found.dump() == '{"27": 2, "50": 1}'
