"""What every figure works with: servers that start when first asked for, a folder, how thorough to be."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from sqlalchemy import NullPool, create_engine, inspect, text

from benchmarks import moodlelog
from benchmarks.servers import MariaDB, PostgreSQL, RabbitMQ
from sidecar.store import tables
from tests import campus
from tests.servers import Server

AnyServer = TypeVar("AnyServer", MariaDB, PostgreSQL, RabbitMQ)


@dataclass
class Bench:
    """One run of the benchmarks; `closing` ends all that it has started."""

    quick: bool = False
    _stack: ExitStack = field(default_factory=ExitStack)
    _stores: dict[Server, str] = field(default_factory=dict)
    _logs: dict[Server, tuple[str, int]] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        """How often contenders take turns."""
        return 1 if self.quick else 3

    def pick(self, quick: int, full: int) -> int:
        """Return the size of something: a small one if it has to be quick."""
        return quick if self.quick else full

    @cached_property
    def folder(self) -> Path:
        """A folder of this run."""
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mih-bench-")))

    @cached_property
    def mariadb(self) -> MariaDB:
        """MariaDB as in production."""
        return self._started(MariaDB())

    @cached_property
    def postgresql(self) -> PostgreSQL:
        """PostgreSQL as in production."""
        return self._started(PostgreSQL())

    @cached_property
    def rabbitmq(self) -> RabbitMQ:
        """RabbitMQ, for the peers that need it."""
        return self._started(RabbitMQ())

    @property
    def databases(self) -> Iterator[tuple[str, Server]]:
        """Each database server with the name that people know it by; started when it is its turn."""
        yield "MariaDB", self.mariadb
        yield "PostgreSQL", self.postgresql

    def store(self, server: Server) -> str:
        """Return the URL of the sidecar's store on a server, as empty as after the migration."""
        if server not in self._stores:
            self._stores[server] = self._stack.enter_context(fresh(server))
        else:
            _empty(self._stores[server])
        return self._stores[server]

    def log(self, server: Server, rows: int) -> str:
        """Return the URL of a Moodle on a server whose log has at least so many ids; made once."""
        if self._logs.get(server, ("", 0))[1] < rows:
            url = self._stack.enter_context(fresh(server, moodle=True))
            began = time.monotonic()
            say(f"  {moodlelog.fill(url, rows):,} rows made in {time.monotonic() - began:.0f} s")
            self._logs[server] = url, rows
        return self._logs[server][0]

    @contextmanager
    def closing(self) -> Iterator["Bench"]:
        """End everything at the end."""
        with self._stack:
            yield self

    def _started(self, server: AnyServer) -> AnyServer:
        self._stack.callback(server.close)
        server.start()
        return server


@contextmanager
def fresh(server: Server, *, moodle: bool = False) -> Iterator[str]:
    """Make a database, empty or a copy of a real Moodle's, and drop it at the end; yields its URL."""
    name = server.fresh_name("bench")
    server.create_database(name, copy_of=server.template("moodle", campus.load) if moodle else None)
    try:
        yield server.url(name)
    finally:
        server.drop_database(name)


def _empty(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    names = set(inspect(engine).get_table_names()) & set(tables.metadata.tables)
    with engine.connect() as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text(f"TRUNCATE {', '.join(names)} RESTART IDENTITY"))
            return
        for name in names:
            conn.execute(text(f"TRUNCATE {name}"))


def say(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)
