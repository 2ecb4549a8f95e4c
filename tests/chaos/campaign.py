"""Try every fault on every database, one database's faults after the other, and say what came of it."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.names import NotHere
from tests.chaos.outcome import EXPECTED, Outcome
from tests.chaos.scenarios import Scenario
from tests.chaos.world import World
from tests.databases import Databases, SQLiteFolder
from tests.servers import MariaDB, PostgreSQL, Server, ServerMissing

SERVERS: dict[str, Callable[[], Server]] = {"mariadb": MariaDB, "postgresql": PostgreSQL}
Tell = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried: which faults on which databases, by which chance, `rows` where many matter."""

    scenarios: Sequence[Scenario]
    databases: Sequence[str]
    seed: str
    rows: int = 10_000


def run(plan: Plan, tell: Tell) -> list[Outcome]:
    """Try all; the databases beside each other, each on a server of its own."""
    lanes = [(name, [one for one in plan.scenarios if name in one.databases]) for name in plan.databases]
    with ThreadPoolExecutor(len(lanes)) as pool:
        done = [pool.submit(_lane, name, mine, plan, tell) for name, mine in lanes if mine]
        return [outcome for lane in done for outcome in lane.result()]


def attempt(scenario: Scenario, databases: Databases, name: str, *, seed: str, rows: int = 10_000) -> Outcome:
    """Do one fault to a world of its own and take the account."""
    began = time.monotonic()
    world = World(databases, f"{seed}/{scenario.name}/{name}", rows)
    try:
        scenario.harm(world)
        world.settle()
        _look_into(world)
        return _account(scenario, world, name, began)
    except NotHere as missing:
        return Outcome(scenario.name, name, verdict=f"not tried: {missing}")
    except EXPECTED as error:
        reason = " ".join(str(error).split())[:300]
        said = tuple(one.said[-600:] for one in world.sidecars[:1])
        return Outcome(
            scenario.name,
            name,
            seconds=time.monotonic() - began,
            verdict=f"BROKEN: {type(error).__name__}: {reason}",
            notes=(*world.notes, *said),
        )
    finally:
        if isinstance(databases, Server):
            databases.start()
        world.close()


def _account(scenario: Scenario, world: World, name: str, began: float) -> Outcome:
    arrived = world.post.arrivals
    lost = len(world.owed - arrived.marks)
    faults = [
        (lost, f"LOST {lost}"),
        (arrived.mixed_up, f"{arrived.mixed_up} rows under ids of others"),
        (0 if scenario.crash else arrived.twice, f"{arrived.twice} sent twice without a crash"),
        (world.unaccounted(), "the ledger disagrees"),
        (not world.struck, "the fault did not happen"),
    ]
    return Outcome(
        scenario.name,
        name,
        struck=world.struck,
        events=len(world.owed),
        delivered=len(world.owed & arrived.marks),
        lost=lost,
        twice=arrived.twice,
        seconds=time.monotonic() - began,
        verdict="; ".join(words for wrong, words in faults if wrong) or "ok",
        notes=tuple(world.notes),
    )


def _look_into(world: World) -> None:
    """Note what became of what was lost, and whether a sidecar has printed what is meant for programmers."""
    world.notes += world.fates()
    if tracebacks := sum(one.said.count("Traceback") for one in world.sidecars):
        world.notes.append(f"{tracebacks} tracebacks in the sidecars' logs")


def _lane(name: str, scenarios: Sequence[Scenario], plan: Plan, tell: Tell) -> list[Outcome]:
    outcomes = []
    try:
        with _databases(name) as databases:
            for scenario in scenarios:
                outcomes.append(attempt(scenario, databases, name, seed=plan.seed, rows=plan.rows))
                tell(outcomes[-1])
    except ServerMissing as missing:
        outcomes = [Outcome(one.name, name, verdict=f"not tried: {missing}") for one in scenarios]
        for outcome in outcomes:
            tell(outcome)
    return outcomes


@contextmanager
def _databases(name: str) -> Iterator[Databases]:
    if name == "sqlite":
        with tempfile.TemporaryDirectory(prefix="mih-chaos-") as folder:
            yield SQLiteFolder(Path(folder))
        return
    server = SERVERS[name]()
    try:
        server.start()
        yield server
    finally:
        server.close()
