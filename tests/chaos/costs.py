"""What missing ids cost while nothing happens: queries and processor time, against a log without a hole."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, insert, text

from tests.acceptance.sidecar import eventually
from tests.chaos.load import UNWANTED
from tests.chaos.world import World
from tests.rows import LOG, LOG_TABLE, log_row
from tests.servers import Server

_MEASURED_S = 8.0
_GAP = 100_000
_STRIDES = 10_000
_MOST = 2.0
_QUERIES = {
    "mysql": "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'QUESTIONS'",
    "postgresql": "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = '{0}'",
}
_POSITION = "SELECT position FROM mih_cursors"
_MISSING = "SELECT count(*) FROM mih_gaps WHERE state = 'open'"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a second of watching costs."""

    queries: float
    cpu_ms: float

    def __str__(self) -> str:
        return f"{self.queries:.0f} queries and {self.cpu_ms:.0f} ms of processor a second"


def missing_ids(world: World) -> None:
    """A gap of 100,000 ids, then 10,000 rows on every other id, none of which may be given up."""
    [sidecar] = world.started()
    world.write(20)
    world.settle()
    idle = _measured(world, sidecar.pid)
    with _transaction(world):
        _grow(world, [_head(world) + _GAP])
        gap = _measured(world, sidecar.pid)
        head = _head(world)
        _grow(world, [head + 2 * number for number in range(1, _STRIDES + 1)])
        strides = _measured(world, sidecar.pid)
    world.notes += [f"idle: {idle}", f"a gap of {_GAP:,} ids: {gap}", f"{_STRIDES:,} strides of 2: {strides}"]
    for cost in (gap, strides):
        assert cost.queries < _MOST * idle.queries, world.notes
        assert cost.cpu_ms < _MOST * idle.cpu_ms + 10, world.notes


def _measured(world: World, pid: int) -> Cost:
    before = _queries(world), _cpu_ms(pid)
    world.wait(_MEASURED_S)
    after = _queries(world), _cpu_ms(pid)
    return Cost(*((late - early) / _MEASURED_S for early, late in zip(before, after, strict=True)))


def _grow(world: World, ids: list[int]) -> None:
    """Let the log grow by rows with these ids that no rule names, and wait until they are read."""
    with create_engine(world.moodle.url, poolclass=NullPool).begin() as conn:
        conn.execute(insert(LOG), [log_row(id=number, eventname=UNWANTED) for number in ids])
    eventually(lambda: world.ask(_POSITION) == ids[-1])
    assert world.ask(_MISSING), "the gap was given up"
    world.strike()


@contextmanager
def _transaction(world: World) -> Iterator[Connection]:
    """Keep a transaction open that could still fill every gap: then none is given up on proof."""
    with create_engine(world.moodle.url, poolclass=NullPool).connect() as conn, conn.begin() as transaction:
        conn.execute(text(f"UPDATE {LOG_TABLE} SET ip = '127.0.0.2' WHERE id = {_head(world)}"))
        yield conn
        transaction.rollback()


def _head(world: World) -> int:
    return int(world.ask(f"SELECT max(id) FROM {LOG_TABLE}"))


def _queries(world: World) -> float:
    assert isinstance(world.databases, Server)
    return float(world.databases.column(_QUERIES[world.moodle.dialect].format(world.moodle.name))[0])


def _cpu_ms(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 10.0
