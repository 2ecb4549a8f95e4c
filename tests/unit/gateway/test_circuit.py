"""The circuit, with any history that a service and its replicas can have."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sidecar.gateway.circuit import admits, cooldown_s, observe, probe_due, unprobed
from sidecar.model import Attempt, Circuit, CircuitState, Outcome
from sidecar.settings import CircuitBreakerSettings

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
POLICY = CircuitBreakerSettings(failure_threshold=3, cooldown=30, cooldown_factor=2)
ALIVE = [Outcome.DELIVERED, Outcome.BUSY, Outcome.REJECTED]


def attempt(outcome: Outcome) -> Attempt:
    return Attempt(outcome, NOW, 5.0, error=None if outcome is Outcome.DELIVERED else "it said no")


CLOSED = Circuit("crm")


def seen(*outcomes: Outcome, circuit: Circuit = CLOSED, probe: bool = False) -> Circuit:
    for outcome in outcomes:
        circuit = observe(circuit, attempt(outcome), POLICY, now=NOW, probe=probe)
    return circuit


def half_open() -> Circuit:
    return Circuit("crm", CircuitState.HALF_OPEN, 3, NOW, NOW + timedelta(seconds=15), "it said no", NOW)


def test_failures_in_a_row_open_it() -> None:
    assert seen(Outcome.FAILED, Outcome.FAILED).state is CircuitState.CLOSED

    opened = seen(Outcome.FAILED, Outcome.FAILED, Outcome.FAILED)

    assert opened == Circuit("crm", CircuitState.OPEN, 3, NOW, NOW + timedelta(seconds=30), "it said no", NOW)
    assert not admits(opened)


def test_any_sign_of_life_clears_the_failures() -> None:
    for outcome in ALIVE:
        circuit = seen(Outcome.FAILED, Outcome.FAILED, outcome, Outcome.FAILED, Outcome.FAILED)

        assert circuit.state is CircuitState.CLOSED
        assert circuit.failures == 2


def test_rejections_never_open_it() -> None:
    assert seen(*[Outcome.REJECTED, Outcome.BUSY] * 50) == Circuit("crm")


def test_probe_that_any_answer_meets_closes_it() -> None:
    for outcome in ALIVE:
        closed = seen(outcome, circuit=half_open(), probe=True)

        assert closed == Circuit("crm", last_error="it said no", last_error_at=NOW, drain_before=NOW)


def test_failed_probe_waits_for_another_cooldown_twice_as_long() -> None:
    opened = seen(Outcome.FAILED, circuit=half_open(), probe=True)

    assert opened.state is CircuitState.OPEN
    assert (opened.failures, opened.failed_probes) == (4, 1)
    assert opened.probe_at == NOW + timedelta(seconds=60)


def test_cooldown_doubles_up_to_its_maximum() -> None:
    waits = [cooldown_s(failed, POLICY) for failed in range(8)]

    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_cooldown_stays_by_default() -> None:
    policy = CircuitBreakerSettings(cooldown=30)

    assert [cooldown_s(failed, policy) for failed in (0, 1, 1000)] == [30, 30, 30]


def test_maximum_below_the_cooldown_shortens_nothing() -> None:
    policy = CircuitBreakerSettings(cooldown=3600, max_cooldown=900)

    assert [cooldown_s(failed, policy) for failed in (0, 1)] == [3600, 3600]


@given(st.floats(0.001, 1e9), st.floats(1, 100), st.floats(0.001, 1e9), st.integers(0, 10**9))
def test_cooldown_never_shrinks_and_is_capped(
    cooldown: float, factor: float, most: float, failed: int
) -> None:
    policy = CircuitBreakerSettings(cooldown=cooldown, cooldown_factor=factor, max_cooldown=most)

    wait, next_wait = cooldown_s(failed, policy), cooldown_s(failed + 1, policy)

    assert cooldown <= wait <= next_wait <= max(cooldown, most)


def test_service_that_is_well_again_begins_with_the_short_cooldown() -> None:
    ill = replace(half_open(), failed_probes=5)

    closed = seen(Outcome.DELIVERED, circuit=ill, probe=True)

    assert closed.failed_probes == 0


def test_probe_that_was_not_sent_is_free_at_once() -> None:
    freed = unprobed(half_open(), NOW)

    assert (freed.state, freed.probe_at, freed.failed_probes) == (CircuitState.OPEN, NOW, 0)
    assert unprobed(CLOSED, NOW) == CLOSED


SHARE = CircuitBreakerSettings(failure_threshold=100, failure_share=0.5, window=60, min_requests=20)


def mixed(pattern: str, every_s: float = 1.0, policy: CircuitBreakerSettings = SHARE) -> Circuit:
    """Return what a row of answers makes of a circuit: `.` is good, `x` is a failure."""
    circuit = CLOSED
    for number, sign in enumerate(pattern):
        outcome = Outcome.FAILED if sign == "x" else Outcome.DELIVERED
        now = NOW + timedelta(seconds=number * every_s)
        circuit = observe(circuit, attempt(outcome), policy, now=now, probe=False)
    return circuit


def test_every_second_request_failing_opens_it_though_never_two_in_a_row_do() -> None:
    assert mixed(".x" * 9 + ".").state is CircuitState.CLOSED

    opened = mixed(".x" * 10)

    assert opened.state is CircuitState.OPEN
    assert (opened.window_at, opened.window_requests, opened.window_failures) == (None, 0, 0)


def test_smaller_share_does_not_open_it() -> None:
    assert mixed("..x" * 20).state is CircuitState.CLOSED


def test_few_requests_are_no_share() -> None:
    assert mixed("x" * 19).state is CircuitState.CLOSED
    assert mixed("x" * 20).state is CircuitState.OPEN


def test_old_windows_are_forgotten() -> None:
    circuit = mixed("x" * 99, every_s=4)

    assert circuit.state is CircuitState.CLOSED
    assert circuit.window_requests <= 15


def test_without_a_share_nothing_is_counted() -> None:
    assert mixed("..x..", policy=POLICY).window_requests == 0


def test_what_was_in_flight_decides_nothing() -> None:
    for outcome in Outcome:
        after = seen(outcome, circuit=half_open())

        assert (after.state, after.failures, after.probe_at) == (
            CircuitState.HALF_OPEN,
            3,
            NOW + timedelta(seconds=15),
        )


class Life(RuleBasedStateMachine):
    """Replicas that send, probe and die, a service that answers as it likes, a person who resets."""

    @initialize(
        threshold=st.integers(1, 5),
        cooldown=st.sampled_from([1, 30, 600]),
        factor=st.sampled_from([1, 2, 10]),
        share=st.sampled_from([None, 0.3, 1.0]),
        least=st.integers(1, 6),
    )
    def begin(self, threshold: int, cooldown: int, factor: float, share: float | None, least: int) -> None:
        self.policy = CircuitBreakerSettings(
            failure_threshold=threshold,
            failure_share=share,
            window=20,
            min_requests=least,
            cooldown=cooldown,
            cooldown_factor=factor,
            max_cooldown=700,
        )
        self.now = NOW
        self.in_flight = 0
        self.probe_out = False
        self.opened_at: datetime | None = None
        self.row, self.failed_probes = 0, 0
        self.window: list[bool] = []
        self.window_at = NOW
        self.circuit = Circuit("crm")

    @rule(seconds=st.sampled_from([0.0, 0.5, 5.0, 40.0, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: admits(self.circuit))
    @rule()
    def send(self) -> None:
        self.in_flight += 1

    @precondition(lambda self: self.in_flight)
    @rule(outcome=st.sampled_from(Outcome))
    def answered(self, outcome: Outcome) -> None:
        self.in_flight -= 1
        before = self.circuit
        self.circuit = observe(before, attempt(outcome), self.policy, now=self.now, probe=False)
        if not admits(before):
            assert self.circuit.state is before.state
            assert self.circuit.probe_at == before.probe_at
            return
        failed = outcome is Outcome.FAILED
        if failed or outcome.alive:
            self.row = self.row + 1 if failed else 0
            self._note_in_window(failed)
        assert admits(self.circuit) == (not failed or not self._is_ill())
        if not admits(self.circuit):
            self._note_opening()

    @precondition(lambda self: probe_due(self.circuit, self.now) and not self.probe_out)
    @rule()
    def take_probe(self) -> None:
        assert self.opened_at is None or self.now - self.opened_at >= timedelta(seconds=self._cooldown_s())
        # What store.circuits.take_probe writes.
        until = self.now + timedelta(seconds=15)
        self.circuit = replace(self.circuit, state=CircuitState.HALF_OPEN, probe_at=until)
        self.probe_out = True

    @precondition(lambda self: self.probe_out)
    @rule(outcome=st.sampled_from(Outcome))
    def probe_answered(self, outcome: Outcome) -> None:
        self.probe_out = False
        before = self.circuit
        self.circuit = observe(before, attempt(outcome), self.policy, now=self.now, probe=True)
        if before.state is not CircuitState.HALF_OPEN:
            return
        assert admits(self.circuit) == outcome.alive
        if outcome.alive:
            self._forget()
        elif outcome is Outcome.FAILED:
            self.failed_probes += 1
            self._note_opening()
        else:
            self._expect_another_probe_at_once()

    @precondition(lambda self: self.probe_out and self.circuit.state is CircuitState.HALF_OPEN)
    @rule()
    def probe_is_handed_back(self) -> None:
        """Its holder stops before it was sent."""
        self.probe_out = False
        self.circuit = unprobed(self.circuit, self.now)
        self._expect_another_probe_at_once()

    @precondition(lambda self: self.probe_out)
    @rule()
    def probe_dies(self) -> None:
        """Its holder is killed; another replica may take over when the wait for it is over."""
        self.probe_out = False
        self.now += timedelta(seconds=15)
        self.opened_at = None

    @rule()
    def reset(self) -> None:
        """What store.circuits.reset writes."""
        self.circuit = Circuit("crm")
        self.probe_out = False
        self._forget()

    @invariant()
    def an_open_circuit_says_when_it_is_probed(self) -> None:
        circuit = getattr(self, "circuit", Circuit("crm"))
        assert admits(circuit) == (circuit.probe_at is None)
        assert circuit.failures < getattr(self, "policy", POLICY).failure_threshold or not admits(circuit)
        assert circuit.failed_probes == getattr(self, "failed_probes", 0)

    def _expect_another_probe_at_once(self) -> None:
        assert probe_due(self.circuit, self.now)
        self.opened_at = None

    def _cooldown_s(self) -> float:
        grown = float(self.policy.cooldown * self.policy.cooldown_factor**self.failed_probes)
        return min(grown, 700)

    def _is_ill(self) -> bool:
        share = self.policy.failure_share
        enough = share is not None and len(self.window) >= self.policy.min_requests
        ill = enough and share is not None and sum(self.window) >= share * len(self.window)
        return self.row >= self.policy.failure_threshold or ill

    def _note_in_window(self, failed: bool) -> None:
        if not self.window or self.now - self.window_at >= timedelta(seconds=20):
            self.window, self.window_at = [], self.now
        self.window.append(failed)

    def _note_opening(self) -> None:
        self.opened_at = self.now
        self.window = []

    def _forget(self) -> None:
        self.row = 0
        self.failed_probes = 0
        self.window = []


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=40)
