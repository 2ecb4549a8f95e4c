"""Database servers that a test session owns: started, killed and restarted at will."""

import os
import re
import shutil
import signal
import time
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import URL, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.databases import Databases
from tests.process import ChildProcess

ADMIN = "hub_admin"
PASSWORD = "not-a-secret"
START_LIMIT_S = 60.0


class ServerMissing(Exception):
    """The programs of this server are not installed."""


class Server(Databases):
    """A database server: a process of ours, or one that an environment variable names and we never stop."""

    drivername: ClassVar[str]
    variable: ClassVar[str]
    system_database: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    options: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        given = os.environ.get(self.variable)
        self._given = make_url(given) if given else None
        self._process: ChildProcess | None = None
        self._engine: Engine | None = None
        self._created: set[str] = set()

    @property
    def admin_url(self) -> str:
        """The URL of the account that may create databases and accounts."""
        return self.url(str(self._given.database) if self._given else self.system_database)

    @property
    def running(self) -> bool:
        """Whether it can be connected to; of a server that a variable names this is taken for granted."""
        return self._given is not None or (self._process is not None and self._process.running)

    @property
    def home(self) -> Path | None:
        """The folder of its data and log, while there is a process of ours."""
        return self._process.home if self._process else None

    @property
    def pid(self) -> int | None:
        """The number of the process, while there is one of ours."""
        return self._process.pid if self._process else None

    def url(self, database: str) -> str:
        port = self._process.port if self._process else None
        base = self._given or URL.create(
            self.drivername, ADMIN, PASSWORD, "127.0.0.1", port, query=self.options
        )
        return base.set(drivername=self.drivername, database=database).render_as_string(hide_password=False)

    def start(self) -> None:
        """Start the process if it does not run, and return when it answers."""
        if self.running:
            return
        if self._process is None:
            self._process = self._prepare()
        deadline = time.monotonic() + START_LIMIT_S
        while not self._answers():
            if not self.running:
                # Also after a first try: the children of a killed server hold its memory for a moment longer.
                self._process.spawn(*self._command(self._process))
            if time.monotonic() > deadline:
                raise RuntimeError(f"{type(self).__name__} did not start:\n{self._process.log_tail}")
            time.sleep(0.03)

    def stop(self) -> None:
        """End the process in good order."""
        self._owned().end(self.stop_signal)

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash would."""
        self._owned().end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the process if it runs, and start it on the same port with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Leave nothing behind: no process, no folder, and no database on a server that was lent to us."""
        if self._process:
            self._process.remove()
        elif self._given:
            for name in sorted(self._created):
                self.drop_database(name)

    def execute(self, *statements: str) -> None:
        """Run statements as the administrator, each on its own, outside any transaction."""
        with self._administrator().connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def column(self, query: str) -> list[Any]:
        """Return the first column of a query, asked as the administrator."""
        with self._administrator().connect() as connection:
            return list(connection.scalars(text(query)))

    def create_database(self, name: str, copy_of: str | None = None) -> None:
        self._created.add(name)
        self._create(name, copy_of)

    def drop_database(self, name: str) -> None:
        self._created.discard(name)
        self._drop(name)

    def _administrator(self) -> Engine:
        if self._engine is None:
            self._engine = create_engine(self.admin_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        return self._engine

    def _owned(self) -> ChildProcess:
        if self._process is None:
            pytest.skip(f"the server that {self.variable} names is not ours to stop")
        return self._process

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except OperationalError:
            return False
        return True

    @abstractmethod
    def _prepare(self) -> ChildProcess:
        """Make the data folder of a new server, or raise ServerMissing."""

    @abstractmethod
    def _command(self, process: ChildProcess) -> list[str | Path]:
        """Return the command line of the server."""

    @abstractmethod
    def _create(self, name: str, copy_of: str | None) -> None:
        """Create a database."""

    @abstractmethod
    def _drop(self, name: str) -> None:
        """Drop a database."""


_NO_SUCH_THREAD = 1094


class MariaDB(Server):
    """mariadbd with data that survives its own death by SIGKILL, though not the machine's."""

    dialect = "mysql"
    drivername = "mysql+pymysql"
    variable = "MIH_TEST_MARIADB_URL"
    system_database = "mysql"
    # Reading the machine's certificates takes pymysql 20 ms for each connection.
    options: ClassVar[dict[str, str]] = {"ssl_disabled": "true"}

    def __init__(self) -> None:
        super().__init__()
        self._copies: dict[str, list[str]] = {}

    def _prepare(self) -> ChildProcess:
        install, _ = find_program("mariadb-install-db"), find_program("mariadbd")
        process = ChildProcess()
        process.run(
            install,
            "--no-defaults",
            f"--datadir={process.home}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *_AS_ROOT,
        )
        (process.home / "accounts.sql").write_text(
            f"CREATE USER IF NOT EXISTS {ADMIN}@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO {ADMIN}@'%' WITH GRANT OPTION;\n"
        )
        return process

    def _command(self, process: ChildProcess) -> list[str | Path]:
        return [
            find_program("mariadbd"),
            "--no-defaults",
            f"--datadir={process.home}/data",
            f"--socket={process.home}/socket",
            # A server that starts deletes the temporary tables of others that have their folder in common.
            f"--tmpdir={process.home}",
            f"--pid-file={process.home}/pid",
            f"--init-file={process.home}/accounts.sql",
            f"--port={process.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_ci",
            "--max-connections=200",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=32M",
            "--innodb-flush-method=nosync",
            # 2, not 0: what was committed reaches the kernel at once, and so is there after kill -9.
            "--innodb-flush-log-at-trx-commit=2",
            # Not UTC, so that whoever forgets a time zone is found out.
            "--default-time-zone=-05:00",
            *_AS_ROOT,
        ]

    def _create(self, name: str, copy_of: str | None) -> None:
        copied = self._copied(copy_of) if copy_of else []
        self.execute(
            f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci",
            *(statement.format(name) for statement in copied),
        )

    def _copied(self, source: str) -> list[str]:
        """Return what copies the tables of a template, which stays as it is: most of them are empty."""
        if source not in self._copies:
            tables = self.column(
                f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{source}'"
            )
            full = [table for table in tables if self.column(f"SELECT 1 FROM `{source}`.`{table}` LIMIT 1")]
            self._copies[source] = [
                *(f"CREATE TABLE `{{}}`.`{table}` LIKE `{source}`.`{table}`" for table in tables),
                *(f"INSERT INTO `{{}}`.`{table}` SELECT * FROM `{source}`.`{table}`" for table in full),
            ]
        return self._copies[source]

    def _drop(self, name: str) -> None:
        # A transaction that a failed test left open holds a metadata lock, and DROP would wait for it.
        left = self.column(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
        for number in left:
            self._disconnect(number)
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def _disconnect(self, number: int) -> None:
        try:
            self.execute(f"KILL {number}")
        except OperationalError as error:
            if error.orig is None or error.orig.args[0] != _NO_SUCH_THREAD:  # it left by itself meanwhile
                raise


class PostgreSQL(Server):
    """PostgreSQL without fsync: its data survives SIGKILL, though not the machine's death."""

    dialect = "postgresql"
    drivername = "postgresql+psycopg"
    variable = "MIH_TEST_POSTGRESQL_URL"
    system_database = "postgres"
    # Fast shutdown: SIGTERM would wait until every client has gone.
    stop_signal = signal.SIGINT

    def _prepare(self) -> ChildProcess:
        initdb = find_program("initdb")
        process = ChildProcess(account="postgres", death_signal="INT")
        password = process.home / "password"
        password.write_text(PASSWORD)
        # --auth=password checks the password, and without the 10 ms of arithmetic that scram costs.
        options = ["--auth=password", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        process.run(
            initdb, f"--pgdata={process.home}/data", f"--username={ADMIN}", f"--pwfile={password}", *options
        )
        return process

    def _command(self, process: ChildProcess) -> list[str | Path]:
        settings = {
            "port": process.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "64MB",
            "fsync": "off",
            # In its own folder: the machine's shared memory would keep it after SIGKILL.
            "dynamic_shared_memory_type": "mmap",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "autovacuum": "off",
            # Not UTC, so that whoever forgets a time zone is found out.
            "timezone": "America/Bogota",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [find_program("postgres"), "-D", process.home / "data", *options]

    @cached_property
    def _strategy(self) -> str:
        # Since 15 the whole copy would else go through the log, which takes twice as long.
        return "STRATEGY file_copy" if int(self.column("SHOW server_version_num")[0]) >= 150_000 else ""

    def _create(self, name: str, copy_of: str | None) -> None:
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{copy_of or "template0"}" {self._strategy}')

    def _drop(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def find_program(name: str) -> Path:
    """Return the newest program of that name; distributions keep PostgreSQL's off the PATH."""
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(versions, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], default=None)
    found = newest or shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        raise ServerMissing(f"{name} is not installed")
    return Path(found)


_AS_ROOT = ["--user=root"] if os.geteuid() == 0 else []
