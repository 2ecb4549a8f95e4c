"""How much of a core the process has used, each time since it was last told."""

import pytest

from sidecar.bridge.effort import Effort


class Stopwatches:
    """What the process has used, and what has passed."""

    used = passed = 0.0

    def run(self, seconds: float, *, share: float) -> None:
        """Let time pass, of which a share was work."""
        self.passed += seconds
        self.used += seconds * share


@pytest.fixture
def watches() -> Stopwatches:
    return Stopwatches()


@pytest.fixture
def effort(watches: Stopwatches) -> Effort:
    return Effort(lambda: watches.used, lambda: watches.passed)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.8])
def test_it_tells_what_was_used_of_a_core(effort: Effort, watches: Stopwatches, share: float) -> None:
    watches.run(0.1, share=share)

    assert effort.share() == pytest.approx(share)


def test_each_answer_is_of_the_time_since_the_last(effort: Effort, watches: Stopwatches) -> None:
    watches.run(10, share=0)
    effort.share()

    watches.run(0.1, share=1)

    assert effort.share() == pytest.approx(1)


def test_an_instant_tells_nothing(effort: Effort, watches: Stopwatches) -> None:
    watches.run(0.001, share=0)

    assert effort.share() is None
    watches.run(0.05, share=0)
    assert effort.share() == pytest.approx(0)
