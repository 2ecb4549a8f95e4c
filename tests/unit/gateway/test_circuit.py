"""The circuit, with any history that a service and its replicas can have."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sidecar.gateway.circuit import admits, observe, probe_due
from sidecar.model import Attempt, Circuit, CircuitState, Outcome
from sidecar.settings import CircuitBreakerSettings

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
POLICY = CircuitBreakerSettings(failure_threshold=3, cooldown=30)
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

        assert closed == Circuit("crm", last_error="it said no", last_error_at=NOW)


def test_failed_probe_waits_for_another_cooldown() -> None:
    opened = seen(Outcome.FAILED, circuit=half_open(), probe=True)

    assert opened.state is CircuitState.OPEN
    assert opened.failures == 4
    assert opened.probe_at == NOW + timedelta(seconds=30)


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

    @initialize(threshold=st.integers(1, 5), cooldown=st.sampled_from([1, 30, 600]))
    def begin(self, threshold: int, cooldown: int) -> None:
        self.policy = CircuitBreakerSettings(failure_threshold=threshold, cooldown=cooldown)
        self.circuit = Circuit("crm")
        self.now = NOW
        self.in_flight = 0
        self.probe_out = False
        self.row = 0
        self.opened_at: datetime | None = None

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
            return
        self.row = self.row + 1 if outcome is Outcome.FAILED else 0
        assert admits(self.circuit) == (self.row < self.policy.failure_threshold)
        self._note_opening(before)

    @precondition(lambda self: probe_due(self.circuit, self.now) and not self.probe_out)
    @rule()
    def take_probe(self) -> None:
        assert self.opened_at is not None
        assert self.now - self.opened_at >= timedelta(seconds=self.policy.cooldown)
        # What store.circuits.take_probe writes.
        self.circuit = Circuit(
            "crm",
            CircuitState.HALF_OPEN,
            self.circuit.failures,
            self.circuit.opened_at,
            self.now + timedelta(seconds=15),
        )
        self.probe_out = True

    @precondition(lambda self: self.probe_out)
    @rule(outcome=st.sampled_from(Outcome))
    def probe_answered(self, outcome: Outcome) -> None:
        self.probe_out = False
        before = self.circuit
        self.circuit = observe(before, attempt(outcome), self.policy, now=self.now, probe=True)
        if before.state is not CircuitState.HALF_OPEN:
            return
        assert admits(self.circuit) == (outcome is not Outcome.FAILED)
        self.row = 0
        self._note_opening(before)

    @precondition(lambda self: self.probe_out)
    @rule()
    def probe_dies(self) -> None:
        """Its holder is killed; another replica may take over when the wait for it is over."""
        self.probe_out = False
        self.now += timedelta(seconds=15)
        self.opened_at = self.now - timedelta(seconds=self.policy.cooldown)

    @rule()
    def reset(self) -> None:
        self.circuit = Circuit("crm")
        self.row = 0
        self.probe_out = False

    @invariant()
    def an_open_circuit_says_when_it_is_probed(self) -> None:
        circuit = getattr(self, "circuit", Circuit("crm"))
        assert admits(circuit) == (circuit.probe_at is None)
        assert circuit.failures < getattr(self, "policy", POLICY).failure_threshold or not admits(circuit)

    def _note_opening(self, before: Circuit) -> None:
        if self.circuit.state is CircuitState.OPEN and before.state is not CircuitState.OPEN:
            self.opened_at = self.now


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
