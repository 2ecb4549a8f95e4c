"""What the sidecar costs: at rest, with its dashboard on, and a Moodle that writes while it catches up."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import NullPool, create_engine, text

from benchmarks import sidecars, usage
from benchmarks.bench import Bench, fresh
from benchmarks.measure import Figure, Target, alternate, at_most, ratios, told
from benchmarks.moodlewriter import Writer
from benchmarks.receiver import Receiver
from benchmarks.tail import LARGE
from sidecar.bridge.calm import AFTER_S
from sidecar.hub import Hub
from sidecar.store import cursors
from tests.process import free_port
from tests.servers import Server

_PACE = 500  # rows a second that the writer writes alone
_PER_STATEMENT = 10
_AWAKE_S = 5
_QUESTIONS = {
    "mysql": "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'QUESTIONS'",
    "postgresql": "SELECT SUM(calls) FROM pg_stat_statements",
}


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the cost at rest, with everything on one database server: MariaDB, and beside it PostgreSQL."""
    databases = [("MariaDB", bench.mariadb)] if bench.quick else list(bench.databases)
    with ExitStack() as stack:
        watched = [stack.enter_context(_at_rest(bench, name, server)) for name, server in databases]
        time.sleep(_AWAKE_S)
        awake = _taken(watched, 8)
        if not bench.quick:
            time.sleep(max(watched[-1].since + AFTER_S + 10 - time.monotonic(), 0))
        calm = _taken(watched, bench.pick(8, 60))  # some jobs come once a minute
        for one, before, after in zip(watched, awake, calm, strict=True):
            yield from one.told(before, after, calm=not bench.quick)


@dataclass(frozen=True, slots=True)
class Resting:
    """A `mih run` with nothing to do, and the server that has Moodle's database and its tables."""

    name: str
    pids: dict[str, list[int]]
    count: Callable[[], float]
    alone: usage.Taken
    since: float

    def take(self, seconds: float) -> usage.Taken:
        """Watch it for a while."""
        return usage.over(seconds, self.pids, self.count)

    def told(self, awake: usage.Taken, found: usage.Taken, *, calm: bool) -> Iterator[Figure]:
        """Yield what it takes. Before it has become calm that is told, not judged."""
        where = f"at rest, all on {self.name}"
        first = f"before it is calm {awake.counted - self.alone.counted:.2g}/s"
        database, sidecar = found.share["database"], found.share["sidecar"]
        yield Figure(f"{where}: sidecar's processor", (sidecar,), "% of a core", at_most(1))
        alone = f"without it {self.alone.share['database']:.2g} %"
        yield Figure(f"{where}: database's", (database,), "% of a core", at_most(1), alone)
        queries = found.counted - self.alone.counted
        yield Figure(f"{where}: queries", (queries,), "/s", at_most(2) if calm else None, first)
        (pid,) = self.pids["sidecar"]
        yield Figure(f"{where}: memory", (usage.resident_mb(pid),), "MB", at_most(120))


def _taken(watched: Sequence[Resting], seconds: float) -> list[usage.Taken]:
    """Watch all of them at the same time."""
    with ThreadPoolExecutor(len(watched)) as pool:
        return list(pool.map(lambda one: one.take(seconds), watched))


@contextmanager
def _at_rest(bench: Bench, name: str, server: Server) -> Iterator[Resting]:
    """Start `mih run` with default settings, its tables in Moodle's database and its dashboard on."""
    with fresh(server, moodle=True) as moodle, Receiver() as receiver, _counter(server) as count:
        alone = usage.over(bench.pick(4, 8), {"database": _all_of(server)}, count)
        web = {"host": "127.0.0.1", "port": free_port()}
        folder = bench.folder / server.dialect
        folder.mkdir(exist_ok=True)
        path = sidecars.config(folder, moodle=moodle, store=None, receiver=receiver.url, tail={}, web=web)
        with sidecars.opened(path):
            pass  # the tables are there, as at every start but the first: that one has loaded Alembic
        with sidecars.running(path) as (one,):
            pids = {"sidecar": [one.pid], "database": _all_of(server)}
            yield Resting(name, pids, count, alone, time.monotonic())


def beside_a_writer(bench: Bench) -> Iterator[Figure]:
    """Yield how much slower a Moodle writes while a sidecar reads a large log at full speed beside it."""
    server = bench.mariadb
    rows = bench.pick(500_000, LARGE)
    moodle = bench.log(server, rows)
    with Receiver() as receiver, closing(Writer(moodle, wanted=False)) as writer:
        pace = _calibrated(writer)
        for role, target in (("tail", at_most(5)), ("all", None)):
            store = bench.store(server)
            path = sidecars.config(bench.folder, moodle=moodle, store=store, receiver=receiver.url)
            with sidecars.opened(path) as hub:
                read: list[float] = []
                contenders = {
                    "alone": partial(pace.cycle_ms, bench.pick(2, 5)),
                    "beside": partial(_beside, bench, hub, path, role, pace, rows=rows, read=read),
                }
                found = alternate(bench.rounds, contenders)
            yield _slower(role, found, target, read)


@dataclass(frozen=True, slots=True)
class Pace:
    """A writer that pauses after each statement so long that it writes 500 rows a second when alone."""

    writer: Writer
    pause_s: float

    def cycle_ms(self, seconds: float, done: Callable[[], bool] = lambda: False) -> float:
        """Write for a while, or until it is `done`; return what a statement and its pause took on average."""
        cycles, spent = 0, 0.0
        while spent < seconds and not (cycles and cycles % 10 == 0 and done()):
            began = time.perf_counter()
            self.writer.write(_PER_STATEMENT)
            time.sleep(self.pause_s)
            spent += time.perf_counter() - began
            cycles += 1
        return spent / cycles * 1000


def _calibrated(writer: Writer) -> Pace:
    alone_s = Pace(writer, 0).cycle_ms(2) / 1000
    return Pace(writer, _PER_STATEMENT / _PACE - alone_s)


def _beside(
    bench: Bench, hub: Hub, path: Path, role: str, pace: Pace, *, rows: int, read: list[float]
) -> float:
    """Write while a sidecar reads the log from its beginning, and no longer; note how fast it is `read`."""
    bench.store(bench.mariadb)

    def position() -> int:
        with hub.store.read() as conn:
            cursor = cursors.load(conn, hub.settings.site)
        return cursor.position if cursor else 0

    with sidecars.running(path, "--role", role):
        while not (first := position()):
            time.sleep(0.02)
        began = time.perf_counter()
        cycle_ms = pace.cycle_ms(bench.pick(3, 8), done=lambda: position() >= rows)
        read.append((position() - first) / (time.perf_counter() - began))
        return cycle_ms


def _slower(role: str, found: dict[str, list[float]], target: Target | None, read: list[float]) -> Figure:
    slower = tuple((ratio - 1) * 100 for ratio in ratios(found["beside"], found["alone"]))
    what = "reads" if role == "tail" else "reads and sends"
    note = f"{_PER_STATEMENT} rows take {told(found['beside'])} ms, alone {told(found['alone'])} ms"
    note += f"; it reads {told(read)} rows/s meanwhile"
    return Figure(f"a writer of 500 rows/s is slower while a sidecar {what}", slower, "%", target, note)


@contextmanager
def _counter(server: Server) -> Iterator[Callable[[], float]]:
    """Yield what counts the queries of a server, itself included."""
    engine = create_engine(server.admin_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        if server.dialect == "postgresql":
            conn.execute(text("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"))
        yield lambda: float(conn.execute(text(_QUESTIONS[server.dialect])).scalar_one())


def _all_of(server: Server) -> list[int]:
    assert server.pid
    return usage.family(server.pid)
