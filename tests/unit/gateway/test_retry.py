"""What becomes of a delivery after an attempt."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.gateway.retry import decide, wait_s
from sidecar.model import Attempt, DeadReason, Decision, Outcome, Step
from sidecar.settings import RetrySettings

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
POLICY = RetrySettings(max_retries=3, backoff=1, max_backoff=60, max_retry_after=3600)

policies = st.builds(
    RetrySettings,
    max_retries=st.integers(0, 100),
    backoff=st.floats(0, 3600),
    max_backoff=st.floats(0.001, 86400),
    max_retry_after=st.floats(0.001, 86400),
)
schedules = st.lists(st.floats(0.001, 86400), min_size=1, max_size=20)
asked = st.none() | st.floats(min_value=0, allow_nan=False)


def attempt(outcome: Outcome, retry_after_s: float | None = None) -> Attempt:
    return Attempt(outcome, NOW, 12.0, retry_after_s=retry_after_s)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("outcome", "retries", "asked_s", "decision"),
    [
        (Outcome.DELIVERED, 0, None, Decision(Step.DONE)),
        (Outcome.DELIVERED, 99, None, Decision(Step.DONE)),
        (Outcome.REJECTED, 0, None, Decision(Step.BURY, reason=DeadReason.REJECTED)),
        (Outcome.FAILED, 0, None, Decision(Step.RETRY, at=after(1))),
        (Outcome.FAILED, 1, None, Decision(Step.RETRY, at=after(2))),
        (Outcome.FAILED, 2, None, Decision(Step.RETRY, at=after(4))),
        (Outcome.FAILED, 3, None, Decision(Step.BURY, reason=DeadReason.EXHAUSTED)),
        (Outcome.FAILED, 4, None, Decision(Step.BURY, reason=DeadReason.EXHAUSTED)),
        (Outcome.BUSY, 0, None, Decision(Step.RETRY, at=after(1))),
        (Outcome.BUSY, 0, 30.0, Decision(Step.RETRY, at=after(30))),
        (Outcome.BUSY, 2, 0.5, Decision(Step.RETRY, at=after(4))),
        (Outcome.FAILED, 0, 86_400.0, Decision(Step.RETRY, at=after(3600))),
        (Outcome.FAILED, 0, float("inf"), Decision(Step.RETRY, at=after(3600))),
        (Outcome.BUSY, 3, 30.0, Decision(Step.BURY, reason=DeadReason.EXHAUSTED)),
    ],
)
def test_outcome_and_tries_decide(
    outcome: Outcome, retries: int, asked_s: float | None, decision: Decision
) -> None:
    assert decide(attempt(outcome, asked_s), retries=retries, policy=POLICY, now=NOW, probe=False) == decision


@pytest.mark.parametrize("retries", [0, 3, 50])
def test_failed_probe_goes_to_the_end_of_the_line_and_spends_nothing(retries: int) -> None:
    decision = decide(attempt(Outcome.FAILED, 900), retries=retries, policy=POLICY, now=NOW, probe=True)

    assert decision == Decision(Step.PARK, at=NOW)


@pytest.mark.parametrize(
    ("outcome", "step"),
    [(Outcome.DELIVERED, Step.DONE), (Outcome.REJECTED, Step.BURY), (Outcome.BUSY, Step.RETRY)],
)
def test_probe_of_a_living_service_is_an_attempt_like_any_other(outcome: Outcome, step: Step) -> None:
    assert decide(attempt(outcome), retries=0, policy=POLICY, now=NOW, probe=True).step is step


def test_no_retries_means_one_try() -> None:
    policy = RetrySettings(max_retries=0)

    decision = decide(attempt(Outcome.FAILED), retries=0, policy=policy, now=NOW, probe=False)

    assert decision == Decision(Step.BURY, reason=DeadReason.EXHAUSTED)


@pytest.mark.parametrize(
    ("retries", "decision"),
    [
        (0, Decision(Step.RETRY, at=after(5))),
        (1, Decision(Step.RETRY, at=after(30))),
        (2, Decision(Step.RETRY, at=after(300))),
        (3, Decision(Step.BURY, reason=DeadReason.EXHAUSTED)),
    ],
)
def test_schedule_names_the_waits_and_their_number(retries: int, decision: Decision) -> None:
    policy = RetrySettings(schedule=(5, 30, 300))

    made = decide(attempt(Outcome.FAILED), retries=retries, policy=policy, now=NOW, probe=False)

    assert made == decision


def test_schedule_gives_way_to_a_longer_retry_after() -> None:
    policy = RetrySettings(schedule=(5, 30, 300))

    made = decide(attempt(Outcome.BUSY, 60), retries=0, policy=policy, now=NOW, probe=False)

    assert made.at == after(60)


def test_jitter_tells_apart_what_failed_together() -> None:
    chance, failed = Random(7), attempt(Outcome.FAILED)
    policy = RetrySettings(backoff=10)

    waits = [wait_s(failed, retries=0, policy=policy, chance=chance) for _ in range(1000)]

    assert 10 <= min(waits) < 10.1
    assert 11.9 < max(waits) < 12
    assert len(set(waits)) == 1000


@given(policies, st.integers(0, 10_000), st.floats(0, 1), st.integers())
def test_jitter_lengthens_by_its_share_at_most_and_never_over_the_cap(
    policy: RetrySettings, retries: int, jitter: float, seed: int
) -> None:
    policy = policy.model_copy(update={"jitter": jitter})
    planned = wait_s(attempt(Outcome.FAILED), retries=retries, policy=policy)

    wait = wait_s(attempt(Outcome.FAILED), retries=retries, policy=policy, chance=Random(seed))

    assert planned <= wait <= max(planned, min(planned * (1 + jitter) * (1 + 1e-9), policy.max_backoff))


@given(policies, st.integers(0, 100), st.floats(min_value=0, allow_nan=False), st.integers())
def test_jitter_never_comes_back_before_the_service_asked_for(
    policy: RetrySettings, retries: int, asked_s: float, seed: int
) -> None:
    wait = wait_s(attempt(Outcome.BUSY, asked_s), retries=retries, policy=policy, chance=Random(seed))

    assert wait >= min(asked_s, policy.max_retry_after)


@given(schedules, st.integers())
def test_schedule_is_over_after_its_last_wait(schedule: list[float], seed: int) -> None:
    policy, chance, tries = RetrySettings(schedule=tuple(schedule)), Random(seed), 0
    failed, waits = attempt(Outcome.FAILED), []

    while True:
        made = decide(failed, retries=tries, policy=policy, now=NOW, probe=False, chance=chance)
        if made.at is None:
            break
        waits.append((made.at - NOW).total_seconds())
        tries += 1

    assert len(waits) == len(schedule)
    pairs = zip(waits, schedule, strict=True)
    assert all(plan - 1e-6 <= wait <= plan * 1.2 + 1e-6 for wait, plan in pairs)


@given(policies, st.integers(0, 10_000), asked)
def test_waits_never_shrink_and_are_capped(
    policy: RetrySettings, retries: int, asked_s: float | None
) -> None:
    failed = attempt(Outcome.FAILED, asked_s)

    wait, next_wait = (wait_s(failed, retries=n, policy=policy) for n in (retries, retries + 1))

    assert 0 <= wait <= next_wait
    assert next_wait <= max(policy.max_backoff, policy.max_retry_after)


@given(policies, st.integers(0, 100), st.floats(min_value=0, allow_nan=False))
def test_retry_after_is_kept_up_to_its_cap(policy: RetrySettings, retries: int, asked_s: float) -> None:
    wait = wait_s(attempt(Outcome.BUSY, asked_s), retries=retries, policy=policy)

    assert wait >= min(asked_s, policy.max_retry_after)


@given(policies, st.sampled_from([Outcome.FAILED, Outcome.BUSY]), asked)
def test_delivery_that_always_fails_is_buried_after_its_last_try(
    policy: RetrySettings, outcome: Outcome, asked_s: float | None
) -> None:
    failed, tries = attempt(outcome, asked_s), 0

    while decide(failed, retries=tries, policy=policy, now=NOW, probe=False).step is Step.RETRY:
        tries += 1

    assert tries == policy.max_retries


def test_what_a_proxy_or_token_server_kept_from_being_sent_waits_and_spends_no_attempt() -> None:
    unsent = attempt(Outcome.UNSENT)

    decision = decide(unsent, retries=99, policy=RetrySettings(), now=NOW, probe=False)

    assert decision == Decision(Step.PARK, at=NOW + timedelta(seconds=10))
