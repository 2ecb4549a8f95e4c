"""What grows must not slow it: backlog, rules, services, depth of the queue, length of the request log.

Each step is a process of its own, so that its memory is its own. Rate and memory are shown step by step.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import moodlelog, queued, sidecars, usage
from benchmarks.bench import Bench, say
from benchmarks.dispatch import STARTED
from benchmarks.measure import Figure, at_most, figure
from benchmarks.receiver import Receiver
from benchmarks.sidecars import RULE
from benchmarks.tail import raw_connection
from sidecar.store import cursors
from sidecar.store.engine import Database
from tests import campus

_SENT = 4_000  # deliveries whose sending is timed, where there are so many
_REPEATS = 3
_WARM_SENT = 1_000  # before that count begins
_WARM_ROWS = 50_000  # about as much as the first round reads
_LIMIT_S = 120
_READ_FOR_RULES = 200_000


@dataclass(frozen=True, slots=True)
class Point:
    """What one size came to: rows or deliveries a second, and the most memory of the process."""

    rate: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Range:
    """How far each of the curves goes."""

    backlog: Sequence[int]
    rules: Sequence[int]
    services: Sequence[int]
    depth: Sequence[int]
    log: Sequence[int]


SOME = Range(
    backlog=(10_000, 100_000, 1_000_000),
    rules=(10, 1_000),
    services=(1, 100),
    depth=(1_000, 100_000),
    log=(1_000, 1_000_000),
)
WHOLE = Range(
    backlog=(10_000, 100_000, 1_000_000, 10_000_000),
    rules=(10, 30, 100, 300, 1_000),
    services=(1, 3, 10, 30, 100),
    depth=(1_000, 10_000, 100_000, 1_000_000),
    log=(1_000, 10_000, 100_000, 1_000_000, 10_000_000),
)


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the curves over a range that takes minutes."""
    yield from curves(bench, SOME)


def measure_whole(bench: Bench) -> Iterator[Figure]:
    """Yield the curves over the whole range."""
    yield from curves(bench, WHOLE)


def curves(bench: Bench, wanted: Range) -> Iterator[Figure]:
    """Yield how rate and memory change over each range, on MariaDB."""
    moodle = bench.log(bench.mariadb, max(wanted.backlog) + _WARM_ROWS)
    reading = Reading(bench, moodle)
    yield from _curve("backlog", wanted.backlog, reading.points)
    yield from _curve("rules", wanted.rules, lambda size: reading.points(_READ_FOR_RULES, rules=size))
    with Receiver() as receiver:
        sending = Sending(bench, receiver)
        yield from _curve("services", wanted.services, lambda size: sending.points(services=size))
        yield from _curve("depth of the queue", wanted.depth, lambda size: sending.points(depth=size))
        yield from _curve("request log", wanted.log, lambda size: sending.points(logged=size))


def told_of(name: str, points: Mapping[int, Point]) -> Iterator[Figure]:
    """Yield by how much the rate falls short of its best over a range, and by how much memory grows."""
    rates, memory = [one.rate for one in points.values()], [one.memory_mb for one in points.values()]
    steps = [f"{size:,}: {figure(one.rate)}/s, {one.memory_mb:.0f} MB" for size, one in points.items()]
    falls = (1 - min(rates) / max(rates)) * 100
    yield Figure(f"growth of {name}: rate within", (falls,), "%", at_most(20), "; ".join(steps))
    yield Figure(f"growth of {name}: memory within", (max(memory) - min(memory),), "MB", at_most(20))


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads the end of one large log, with an empty store each time."""

    bench: Bench
    moodle: str

    def points(self, backlog: int, *, rules: int = 1) -> Iterator[Point]:
        """Read so many rows with so many rules, again and again; only the first of them wants any."""
        for _ in range(_REPEATS):
            yield self._point(backlog, rules)

    def _point(self, backlog: int, rules: int) -> Point:
        store = self.bench.store(self.bench.mariadb)
        names = unheard_of()
        others = [RULE | {"name": f"rule-{at}", "event": names[at % len(names)]} for at in range(1, rules)]
        path = sidecars.config(
            self.bench.folder,
            moodle=self.moodle,
            store=store,
            receiver="https://crm.example.org",
            tail={"start": max(self._head() - backlog - _WARM_ROWS, 1)},
            rules=[RULE, *others],
        )
        command = [sys.executable, "-m", "benchmarks.growth", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
        return Point(*json.loads(said.stdout.splitlines()[-1]))

    def _head(self) -> int:
        with raw_connection(self.moodle) as conn, conn.cursor() as cursor:
            cursor.execute(f"SELECT MAX(id) FROM {moodlelog.TABLE}")
            return int(cursor.fetchone()[0])


@dataclass(frozen=True, slots=True)
class Sending:
    """Sends from a queue, each time by a process of its own."""

    bench: Bench
    receiver: Receiver

    def points(self, *, services: int = 1, depth: int = _SENT, logged: int = 0) -> Iterator[Point]:
        """Send the first of a queue so deep, to so many services, with so long a log, again and again."""
        store = self.bench.store(self.bench.mariadb)
        names = tuple(f"service-{number}" for number in range(services)) if services > 1 else ("crm",)
        told = {name: {"base_url": self.receiver.url} for name in (*names, "crm")}
        path = sidecars.config(
            self.bench.folder, moodle=store, store=store, receiver=self.receiver.url, services=told
        )
        with sidecars.opened(path, role="dispatch") as hub:
            if logged:
                queued.write_log(hub.store, logged, now=hub.clock.now())
            for _ in range(_REPEATS):
                queued.top_up(hub.store, depth + _WARM_SENT, now=hub.clock.now() + STARTED, services=names)
                self.receiver.reset()
                with sidecars.running(path, "--role", "dispatch") as (one,):
                    yield _point(hub.store, one.pid, min(depth, _SENT))


def _point(store: Database, process: int, wanted: int) -> Point:
    """Wait until a process is warm and has sent so many; return what it came to."""
    last = queued.last_try(store)
    began, warm = _when(store, last, _WARM_SENT)
    ended, sent = _when(store, last, _WARM_SENT + wanted)
    return Point((sent - warm) / (ended - began), usage.most_mb(process))


def _when(store: Database, after: int, wanted: int) -> tuple[float, int]:
    """Wait until so many tries were logged after that one; return when that was, and how many there are."""
    ends = time.monotonic() + _LIMIT_S
    while (found := queued.settled(store, after=after)) < wanted:
        if time.monotonic() > ends:
            raise TimeoutError(f"{found} of {wanted} deliveries were settled within {_LIMIT_S} s")
        time.sleep(0.01)
    return time.monotonic(), found


def unheard_of() -> list[str]:
    """Return names of events that the log has no row of."""
    there = {row["eventname"] for row in moodlelog.kinds()}
    lines = (campus.DATA / "events-4.5.jsonl").read_text().splitlines()
    return [name for line in lines if (name := json.loads(line)["eventname"]) not in there]


def _curve(name: str, sizes: Sequence[int], measured: Callable[[int], Iterator[Point]]) -> Iterator[Figure]:
    """Measure each step several times."""
    points: dict[int, Point] = {}
    for size in sizes:
        some = list(measured(size))
        rate = statistics.median(point.rate for point in some)
        points[size] = Point(rate, max(point.memory_mb for point in some))
        each = ", ".join(figure(point.rate) for point in some)
        say(f"  {name} {size:,}: {rate:,.0f}/s ({each}), {points[size].memory_mb:.0f} MB")
    yield from told_of(name, points)


def _read(path: Path) -> None:
    """Read a log to its end in this process; print rows a second after the first round, and memory."""
    with sidecars.opened(path) as hub:
        hub.tail.run_once(gently=True)  # without reading ahead, which would be for nothing here
        gc.collect()
        gc.freeze()  # as `mih run` does
        with hub.store.read() as conn:
            cursor = cursors.load(conn, hub.settings.site)
        assert cursor
        assert cursor.head
        began = time.perf_counter()
        while hub.tail.run_once().more:
            pass
        rate = (cursor.head - cursor.position) / (time.perf_counter() - began)
        print(json.dumps([rate, usage.most_mb(os.getpid())]))


if __name__ == "__main__":
    _read(Path(sys.argv[1]))
