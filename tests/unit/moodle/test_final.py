"""When a gap may be given up, given what one look at the database has shown."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.moodle.proof import Method, Proof

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def proof(
    method: Method = Method.ACTIVITY, oldest_age_s: float | None = None, database_ahead_s: float = 0
) -> Proof:
    now = NOON + timedelta(seconds=database_ahead_s)
    oldest = None if oldest_age_s is None else now - timedelta(seconds=oldest_age_s)
    return Proof(method, asked_at=NOON, now=now, oldest=oldest, reason="")


def ago(seconds: float) -> datetime:
    return NOON - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seen_s_ago", "oldest_age_s", "final"),
    [
        (60, None, True),
        (5.1, None, True),
        (4.9, None, False),
        (60, 61, False),
        (60, 60, False),
        (60, 55.1, False),
        (60, 54.9, True),
        (60, 0, True),
        (60, 86400, False),
    ],
)
def test_a_gap_is_final_when_all_that_is_open_began_after_it_was_seen(
    seen_s_ago: float, oldest_age_s: float | None, final: bool
) -> None:
    assert proof(oldest_age_s=oldest_age_s).final(ago(seen_s_ago)) is final
    assert proof(Method.INNODB, oldest_age_s=oldest_age_s).final(ago(seen_s_ago)) is final


@given(
    ahead_s=st.floats(-1e6, 1e6),
    seen_s_ago=st.integers(0, 100_000),
    oldest_age_s=st.none() | st.integers(0, 100_000),
)
def test_clocks_that_differ_change_nothing(ahead_s: float, seen_s_ago: int, oldest_age_s: int | None) -> None:
    together = proof(oldest_age_s=oldest_age_s).final(ago(seen_s_ago))
    apart = proof(oldest_age_s=oldest_age_s, database_ahead_s=ahead_s).final(ago(seen_s_ago))

    assert apart is together


def test_one_writer_makes_every_gap_final_at_once() -> None:
    assert proof(Method.SINGLE_WRITER).final(NOON)


def test_patience_proves_nothing() -> None:
    assert not proof(Method.PATIENCE).final(ago(1_000_000))
