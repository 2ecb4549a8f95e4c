"""Catch-up: the tail over a large log, gap-safe and durably queued, against merely reading every row."""

import gc
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pymysql
from sqlalchemy import func, make_url, select

from benchmarks import moodlelog, sidecars
from benchmarks.bench import Bench
from benchmarks.measure import Figure, against, alternate, at_least, ratios
from sidecar.store import tables
from tests.servers import Server

LARGE = 2_000_000
_RAW_BATCH = 5_000
_TARGETS = {"MariaDB": 5.0, "PostgreSQL": 4.0}
_DRIVERS = {"MariaDB": "pymysql", "PostgreSQL": "psycopg"}


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the figure of each database."""
    for name, server in bench.databases:
        yield catch_up(bench, name, server)


def catch_up(bench: Bench, name: str, server: Server) -> Figure:
    """Let the real Tail and a raw scan read the same log in turns."""
    wanted = bench.pick(200_000, LARGE)
    moodle = bench.log(server, wanted)
    part = bench.pick(100_000, 300_000)
    found = alternate(
        bench.rounds,
        {"ours": lambda: tail_rate(bench, server, moodle), "raw": lambda: raw_rate(moodle, part)},
    )
    theirs = f"every row through {_DRIVERS[name]}"
    return Figure(
        f"tail catch-up, {name}",
        ratios(found["ours"], found["raw"]),
        target=at_least(_TARGETS[name]),
        note=f"{against(found['ours'], found['raw'], theirs, ' rows/s')}; {wanted:,} ids",
    )


def tail_rate(bench: Bench, server: Server, moodle: str) -> float:
    """Return the rows a second of the Tail, from an empty store to the end of the log."""
    store = bench.store(server)
    path = sidecars.config(bench.folder, moodle=moodle, store=store, receiver="https://crm.example.org")
    with sidecars.opened(path) as hub:
        gc.collect()
        gc.freeze()  # as `mih run` does
        began = time.perf_counter()
        while hub.tail.run_once().more:
            pass
        took = time.perf_counter() - began
        gc.unfreeze()
        with hub.moodle.read() as conn:
            rows = hub.log.count(conn, 0, hub.log.head(conn) or 0)
        _check(hub.store, rows)
    return rows / took


def raw_rate(url: str, part: int) -> float:
    """Return the rows a second of a scan of all columns, in batches by primary key, of the first `part`."""
    with raw_connection(url) as conn, conn.cursor() as cursor:
        began, seen, last = time.perf_counter(), 0, 0
        while seen < part:
            query = f"SELECT * FROM {moodlelog.TABLE} WHERE id > %s ORDER BY id LIMIT {_RAW_BATCH}"
            cursor.execute(query, (last,))
            found = cursor.fetchall()
            seen, last = seen + len(found), found[-1][0]
        return seen / (time.perf_counter() - began)


def raw_connection(url: str) -> Any:
    """Return a connection of the driver itself."""
    parts = make_url(url)
    where: dict[str, Any] = {"host": parts.host, "port": parts.port}
    where |= {"user": parts.username, "password": parts.password}
    if parts.get_backend_name() == "mysql":
        return pymysql.connect(database=parts.database, ssl_disabled=True, autocommit=True, **where)
    return psycopg.connect(dbname=parts.database, autocommit=True, **where)


def _check(store: Any, rows: int) -> None:
    """Be sure that the work was done: two of a hundred rows queued, and every hole remembered."""
    with store.read() as conn:
        queued = conn.execute(select(func.count()).select_from(tables.queue)).scalar_one()
        holes = conn.execute(select(func.count()).select_from(tables.gaps)).scalar_one()
    if not (0.019 < queued / rows < 0.021 and holes > 0):
        raise RuntimeError(f"of {rows} rows {queued} were queued, with {holes} gaps")
