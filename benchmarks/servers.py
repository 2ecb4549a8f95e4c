"""The tests' servers as in production: on the disk, and what is committed outlives a power cut."""

import os
from pathlib import Path

from tests import broker, servers
from tests.process import ChildProcess

_MARIADB = (
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-flush-method=O_DIRECT",
    "--innodb-buffer-pool-size=1G",
    "--innodb-log-file-size=1G",
)
_POSTGRESQL = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "wal_level": "replica",
    "max_wal_size": "4GB",
    "autovacuum": "on",
    "shared_preload_libraries": "pg_stat_statements",
}
_ERLANG = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"


def on_disk() -> None:
    """Have the servers of this process put their data on a disk, not in memory, where fsync costs nothing."""
    os.environ.setdefault("TMPDIR", "/var/tmp")


class MariaDB(servers.MariaDB):
    """mariadbd that syncs its log at each commit."""

    more: tuple[str, ...] = ()

    def _command(self, process: ChildProcess) -> list[str | Path]:
        return [*super()._command(process), *_MARIADB, *self.more]


class PostgreSQL(servers.PostgreSQL):
    """postgres that syncs its log at each commit."""

    def _command(self, process: ChildProcess) -> list[str | Path]:
        return [*super()._command(process), *(f"--{name}={value}" for name, value in _POSTGRESQL.items())]


class RabbitMQ(broker.RabbitMQ):
    """A broker with a scheduler for each core, as it has when nobody says otherwise."""

    def _prepare(self) -> None:
        super()._prepare()
        self._environment = [one for one in self._environment if not one.startswith(_ERLANG)]
