"""What a measurement comes to: runs, their median and spread, a ratio, a verdict."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a figure says of its target."""

    REACHED = "reached"
    MISSED = "MISSED"
    TOLD = "-"  # no target: told for comparison
    FAILED = "FAILED"  # nothing was measured


@dataclass(frozen=True, slots=True)
class Target:
    """What a median has to be: at least this, or at most."""

    value: float
    least: bool = True

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.value:g}"

    def holds(self, found: float) -> bool:
        """Whether a figure is as it has to be."""
        return found >= self.value if self.least else found <= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what each run measured. No runs: it could not be, and `note` says why."""

    what: str
    runs: tuple[float, ...]
    unit: str = "x"
    target: Target | None = None
    note: str = ""

    @property
    def median(self) -> float | None:
        """The middle one of the runs."""
        return statistics.median(self.runs) if self.runs else None

    @property
    def verdict(self) -> Verdict:
        """Whether the median is as it has to be."""
        if self.median is None:
            return Verdict.FAILED
        if self.target is None:
            return Verdict.TOLD
        return Verdict.REACHED if self.target.holds(self.median) else Verdict.MISSED


def at_least(value: float) -> Target:
    """A target that a figure has to reach."""
    return Target(value)


def at_most(value: float) -> Target:
    """A target that a figure has to stay under."""
    return Target(value, least=False)


def alternate(rounds: int, contenders: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Measure in turns, A B A B: what the machine does meanwhile then falls on all alike."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            found[name].append(work())
    return found


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """Return how many times theirs ours was, round by round."""
    return tuple(mine / other for mine, other in zip(ours, theirs, strict=True))


def against(ours: Sequence[float], theirs: Sequence[float], name: str, unit: str = "/s") -> str:
    """Say in absolute figures what a ratio compares."""
    return f"{told(ours)}{unit} against {told(theirs)}{unit} of {name}"


def told(runs: Sequence[float]) -> str:
    """Say a median and, of more runs than one, between what they were."""
    median = figure(statistics.median(runs))
    return median if len(runs) == 1 else f"{median} ({figure(min(runs))}-{figure(max(runs))})"


def figure(value: float) -> str:
    """Write a figure with as many digits as mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"
