"""What the overview shows of the services: each in one line, with what it came to and a small chart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sidecar.model import CircuitState
from sidecar.store.overview import Lot, Obstacle
from sidecar.store.stats import Tally
from sidecar.web.pages.languages import N_

WIDTH, HEIGHT = 96, 26
_STATES: Mapping[Obstacle, tuple[str, str]] = {
    Obstacle.GONE: ("warn", N_("not configured")),
    Obstacle.BROKEN: ("warn", N_("cannot be called")),
    Obstacle.OFF: ("off", N_("switched off")),
    Obstacle.PAUSED: ("pause", N_("paused")),
    Obstacle.CIRCUIT: ("bad", N_("down")),
}
_WELL = ("ok", N_("healthy"))
_TRIED = ("busy", N_("down, being tried"))


@dataclass(frozen=True, slots=True)
class Spark:
    """Two paths of upright strokes, one a step: accepted tries, and on top of them the others."""

    accepted: str
    refused: str
    step: float


@dataclass(frozen=True, slots=True)
class Line:
    """One service."""

    lot: Lot
    badge: tuple[str, str]
    tally: Tally
    spark: Spark | None


def lines_of(
    lots: Sequence[Lot], tallies: Mapping[str, Tally], steps: Mapping[str, Sequence[tuple[int, int]]]
) -> list[Line]:
    """Return the services, those that something is in the way of first, then by name."""
    found = [
        Line(
            lot,
            _badge(lot),
            tallies.get(lot.service, Tally(lot.service)),
            spark(steps.get(lot.service, ())),
        )
        for lot in lots
    ]
    return sorted(found, key=lambda one: (one.lot.obstacle is not Obstacle.CIRCUIT, one.lot.obstacle is None))


def spark(steps: Sequence[tuple[int, int]]) -> Spark | None:
    """Return the small chart; None where nothing happened."""
    most = max((accepted + refused for accepted, refused in steps), default=0)
    if not most:
        return None
    accepted, refused = [], []
    for x, (good, bad) in zip(_places(len(steps)), steps, strict=True):
        foot = HEIGHT - _height(good, most)
        if good:
            accepted.append(f"M{x} {HEIGHT}V{foot}")
        if bad:
            refused.append(f"M{x} {foot}V{round(foot - _height(bad, most), 1)}")
    return Spark("".join(accepted), "".join(refused), round(max(WIDTH / len(steps) - 1, 1), 1))


@lru_cache
def _places(count: int) -> tuple[float, ...]:
    return tuple(round((number + 0.5) * WIDTH / count, 1) for number in range(count))


def _height(n: int, most: int) -> float:
    # What happened at all is seen, however little it was.
    return max(round(n / most * (HEIGHT - 4), 1), 1.5) if n else 0


def _badge(lot: Lot) -> tuple[str, str]:
    if lot.obstacle is None:
        return _WELL
    if lot.obstacle is Obstacle.CIRCUIT and lot.circuit.state is CircuitState.HALF_OPEN:
        return _TRIED
    return _STATES[lot.obstacle]
