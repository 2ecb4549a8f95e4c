"""When more senders would get more done, and when they would only be in each other's way."""

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


@pytest.mark.parametrize(("share", "room"), [(0.0, True), (0.5, True), (0.7, False), (1.8, False)])
def test_there_is_room_while_threads_wait(
    effort: Effort, watches: Stopwatches, share: float, room: bool
) -> None:
    watches.run(0.1, share=share)

    assert effort.leaves_room() is room


def test_each_answer_is_of_the_time_since_the_last(effort: Effort, watches: Stopwatches) -> None:
    watches.run(10, share=0)
    effort.leaves_room()

    watches.run(0.1, share=1)

    assert not effort.leaves_room()


def test_an_instant_tells_nothing(effort: Effort, watches: Stopwatches) -> None:
    watches.run(0.001, share=0)

    assert not effort.leaves_room()
    watches.run(0.05, share=0)
    assert effort.leaves_room()
