"""`make soak`: one sidecar at a steady rate for as long as you like, and minute by minute what it takes."""

import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import click
from sqlalchemy import create_engine, insert
from sqlalchemy.exc import DBAPIError

from tests.chaos.campaign import SERVERS
from tests.chaos.load import WANTED, Marks
from tests.chaos.stores import CONNECTIONS, cut_all
from tests.chaos.world import World
from tests.rows import LOG
from tests.servers import Server

_TABLES = ("mih_queue", "mih_log", "mih_gaps", "mih_counts", "mih_stats")
_POOLED = 32
_KEPT_DAYS = 10 / 1440  # ten minutes: within an hour pruning has to keep up several times
_LONG_MINUTES = 40  # pruning looks every ten minutes: before that nothing can be said of the tables
_AWAY_S = 20
_LINE = "{:>6}  {:>7}  {:>9}  {:>6}  {:>6}  {:>7}  {:>8}  {:>11}  {}"
_HEADINGS = (
    "minute",
    "written",
    "delivered",
    "p50 ms",
    "p95 ms",
    "slowest",
    "RSS MiB",
    "connections",
    "rows",
)


@dataclass(frozen=True, slots=True)
class Minute:
    """What one minute came to. `rows` are those of the sidecar's tables, in the order of `_TABLES`."""

    number: int
    written: int
    delivered: int
    p50_ms: float
    p95_ms: float
    slowest_ms: float
    memory_mib: float
    connections: int
    rows: tuple[int, ...]
    what: str = ""

    @property
    def line(self) -> str:
        """The line of the table."""
        rows = " ".join(
            f"{name.removeprefix('mih_')} {n:,}" for name, n in zip(_TABLES, self.rows, strict=True)
        )
        figures = (self.p50_ms, self.p95_ms, self.slowest_ms)
        latency = [f"{figure:.0f}" for figure in figures]
        memory = f"{self.memory_mib:.1f}"
        cells = (self.number, self.written, self.delivered, *latency, memory, self.connections, rows)
        return _LINE.format(*cells) + (f"  {self.what}" if self.what else "")


class Trickle:
    """Writes one row after the other at a steady rate, and knows when each was committed."""

    def __init__(self, url: str, rate: float) -> None:
        self.committed_at: dict[int, float] = {}
        self._url, self._every_s = url, 1 / rate
        self._marks, self._chance = Marks(), Random(0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="trickle")

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Write meanwhile."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def _write(self) -> None:
        engine = create_engine(self._url)
        due = time.monotonic()
        while not self._stop.wait(max(due - time.monotonic(), 0)):
            due += self._every_s
            row = self._marks.row(self._chance)
            try:
                with engine.begin() as conn:
                    conn.execute(insert(LOG), row)
            except DBAPIError:
                continue  # its connection was cut, too: this row was never written
            if row["eventname"] == WANTED:
                self.committed_at[row["objectid"]] = time.time()
        engine.dispose()


class Soak:
    """One sidecar between a trickle and a receiver."""

    def __init__(self, server: Server, seed: str, rate: float, tell: Callable[[str], None]) -> None:
        self._server, self._tell = server, tell
        self._world = World(server, seed)
        self._trickle = Trickle(self._world.moodle.url, rate)
        self._counted = 0
        self._pid = 0
        self.minutes: list[Minute] = []

    def run(self, minutes: int) -> list[str]:
        """Let it run; return what is not as it should be."""
        world = self._world
        kept = {"delivered_days": _KEPT_DAYS, "log_days": _KEPT_DAYS}
        [sidecar] = world.started(retention=kept)
        self._pid = sidecar.pid
        self._tell(_LINE.format(*_HEADINGS))
        with self._trickle.flowing():
            for number in range(1, minutes + 1):
                self._minute(number, self._trouble(number, minutes))
        world.owe()
        world.settle()
        return list(self._judged(world))

    def close(self) -> None:
        """Leave nothing behind."""
        self._world.close()

    def _trouble(self, number: int, minutes: int) -> str:
        """Say what is done in this minute: once all connections are cut, once the receiver is away."""
        return {minutes // 3: "connections cut", minutes * 2 // 3: f"receiver away {_AWAY_S} s"}.get(
            number, ""
        )

    def _minute(self, number: int, what: str) -> None:
        world, ends = self._world, time.monotonic() + 60
        before = len(self._trickle.committed_at)
        if what.startswith("connections"):
            cut_all(world, self._server)
        elif what:
            with world.post.away():
                world.wait(_AWAY_S)
        world.wait(max(ends - time.monotonic(), 0))
        waits_ms = self._latencies()
        self.minutes.append(
            Minute(
                number=number,
                written=len(self._trickle.committed_at) - before,
                delivered=len(waits_ms),
                p50_ms=_share(waits_ms, 0.5),
                p95_ms=_share(waits_ms, 0.95),
                slowest_ms=_share(waits_ms, 1),
                memory_mib=_memory_mib(self._pid),
                connections=len(
                    self._server.column(CONNECTIONS[world.moodle.dialect].format(world.moodle.name))
                ),
                rows=tuple(int(world.ask(f"SELECT count(*) FROM {name}")) for name in _TABLES),
                what=what,
            )
        )
        self._tell(self.minutes[-1].line)

    def _latencies(self) -> list[float]:
        """Return from commit to receipt, in milliseconds, of what arrived since the last look."""
        arrived = self._world.post.arrivals.since(self._counted)
        self._counted += len(arrived)
        committed = self._trickle.committed_at
        return sorted(max(at - committed[mark], 0) * 1000 for mark, at in arrived if mark in committed)

    def _judged(self, world: World) -> Iterator[str]:
        arrived = world.post.arrivals
        if lost := len(world.owed - arrived.marks):
            yield f"{lost} lost: {world.fates()}"
        if missing := world.unaccounted():
            yield f"the ledger misses {missing}"
        yield from grown(self.minutes)


def grown(minutes: Sequence[Minute]) -> Iterator[str]:
    """Compare the last quarter with the second: what has grown is said."""
    quarter = len(minutes) // 4
    if not quarter:
        return
    calm = [one for one in minutes if not one.what]
    early = [one for one in calm if quarter < one.number <= 2 * quarter]
    late = [one for one in calm if one.number > len(minutes) - quarter]
    if not early or not late:
        return
    if median(one.memory_mib for one in late) > 1.1 * median(one.memory_mib for one in early):
        yield "memory grows"
    if median(one.p95_ms for one in late) > 1.5 * median(one.p95_ms for one in early) + 50:
        yield "latency grows"
    # Pools open connections as they are needed and keep them, eight each: only what goes on rising is a leak.
    if late[-1].connections > late[0].connections + 1 or late[-1].connections > _POOLED:
        yield "connections grow"
    if len(minutes) >= _LONG_MINUTES:
        for number, name in enumerate(_TABLES[:3]):
            if max(one.rows[number] for one in late) > 1.2 * max(one.rows[number] for one in early) + 100:
                yield f"{name} grows"


def _share(values: Sequence[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)] if values else 0.0


def _memory_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


@click.command()
@click.option("--minutes", default=60, show_default=True, help="How long.")
@click.option("--rate", default=20.0, show_default=True, help="Rows a second.")
@click.option("--database", default="postgresql", type=click.Choice(sorted(SERVERS)), show_default=True)
@click.option("--seed", default=lambda: os.environ.get("SEED") or secrets.token_hex(3))
def main(minutes: int, rate: float, database: str, seed: str) -> None:
    """Run one sidecar at a steady rate. Ends with 1 if memory, tables or latency grow, or a row is lost."""
    server = SERVERS[database]()
    server.start()
    soak = Soak(server, seed, rate, click.echo)
    try:
        wrong = soak.run(minutes)
    finally:
        soak.close()
        server.close()
    written = sum(one.written for one in soak.minutes)
    verdict = "; ".join(wrong) or "flat memory, flat latency, nothing lost"
    click.echo(f"{minutes} minutes, {database}, {written:,} events: {verdict}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
