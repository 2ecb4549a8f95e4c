"""A database and the two ways to use it: read (autocommit) and write (one transaction)."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from sidecar.store.faults import sign

_WRITES = "mih_writes"


class Database:
    """One engine with the same manners on every dialect.

    MySQL, MariaDB and PostgreSQL run in READ COMMITTED: gap locks would make replicas wait for each other.
    SQLite runs in WAL with full sync; a writing transaction takes the lock at its start, so that it never
    fails half way because another process wrote in between.
    """

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self.url: URL = make_url(url)
        if self.url.get_backend_name() == "mariadb":
            self.url = self.url.set(drivername="mysql+pymysql")
        self.dialect = self.url.get_backend_name()
        self._writer = _ENGINES[self.dialect](self.url, pool_size, "READ COMMITTED")
        # A second engine rather than an option of each read: the option costs two queries every time.
        self._reader = self._writer
        if self.dialect != "sqlite":
            self._reader = _ENGINES[self.dialect](self.url, pool_size, "AUTOCOMMIT")

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection for SELECTs, each statement for itself."""
        try:
            with self._reader.connect() as conn:
                yield conn
        except SQLAlchemyError as error:
            sign(error, self.shown)
            raise

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in one transaction: committed at the end, rolled back on any exception."""
        try:
            with self._writer.connect() as conn:
                conn.execution_options(**{_WRITES: True})
                with conn.begin():
                    yield conn
        except SQLAlchemyError as error:
            sign(error, self.shown)
            raise

    @contextmanager
    def change(self) -> Iterator[Connection]:
        """Yield a connection for one statement that is a transaction by itself: no other round trip."""
        with self.write() if self.dialect == "sqlite" else self.read() as conn:
            yield conn

    def now(self) -> datetime:
        """Return what the server's clock shows when this returns.

        An answer was true half way there and back, as well as can be told; of a few the quickest counts. Else
        replicas on busy machines would be apart by as much as each had to wait.
        """
        with self.read() as conn:
            _, then, shown = min(self._look_at_clock(conn) for _ in range(_LOOKS))
        return shown + timedelta(seconds=monotonic() - then)

    def _look_at_clock(self, conn: Connection) -> tuple[float, float, datetime]:
        """Return how long it took, the moment half way on our stopwatch, and what the clock showed then."""
        began = monotonic()
        found: Any = conn.execute(text(_NOW[self.dialect])).scalar_one()
        took_s = monotonic() - began
        shown = datetime.fromisoformat(str(found))
        shown = shown.astimezone(UTC) if shown.tzinfo else shown.replace(tzinfo=UTC)
        return took_s, began + took_s / 2, shown

    def close(self) -> None:
        """Close all connections."""
        self._writer.dispose()
        self._reader.dispose()


_LOOKS = 3
_NOW = {
    "sqlite": "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')",
    "mysql": "SELECT UTC_TIMESTAMP(6)",
    "postgresql": "SELECT clock_timestamp()",
}


def _sqlite(url: URL, pool_size: int, _isolation: str) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=-1,
        connect_args={"timeout": 30, "check_same_thread": False, "isolation_level": None},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(conn: Connection) -> None:
    writes = conn.get_execution_options().get(_WRITES)
    conn.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _mysql(url: URL, pool_size: int, isolation: str) -> Engine:
    return create_engine(
        url.update_query_dict({"charset": "utf8mb4"}),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=-1,
        pool_pre_ping=True,
        isolation_level=isolation,
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,  # no transaction is left open: a rollback would only cost a round trip
        connect_args={"connect_timeout": 5, "read_timeout": 60, "write_timeout": 60},
    )


def _postgresql(url: URL, pool_size: int, isolation: str) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,  # in errors: they are people's data
        pool_size=pool_size,
        max_overflow=-1,
        pool_pre_ping=True,
        isolation_level=isolation,
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,  # as above
        connect_args={"connect_timeout": 5},
    )
    # Many rows in one INSERT: by itself SQLAlchemy sends each on its own here, five times as slow.
    engine.dialect.use_insertmanyvalues_wo_returning = True
    return engine


_ENGINES = {"sqlite": _sqlite, "mysql": _mysql, "postgresql": _postgresql}
