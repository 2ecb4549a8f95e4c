"""Bring the sidecar's tables to this program's version, or print the SQL that would.

Alembic is only loaded where there is something to do: it is seven megabytes, and most starts find nothing.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from sidecar.errors import MigrationsPending
from sidecar.store.engine import Database

if TYPE_CHECKING:
    from alembic.config import Config

_SCRIPTS = Path(__file__).parent / "migrations"
_VERSION_TABLE = "mih_version"
_LOCK_NAME = "mih_migrate"
_LOCK_NUMBER = 0x6D6968  # "mih"; PostgreSQL's advisory locks have numbers for names


def apply(database: Database) -> list[str]:
    """Apply all pending migrations and return their names.

    Safe when several replicas start at once: the first one migrates, the others wait and find nothing to do.
    """
    with database.write() as conn, _locked(conn):
        todo = _pending(conn)
        if todo:
            _upgrade(_config(connection=conn), "head")
    return todo


def pending(database: Database) -> list[str]:
    """Return the names of the migrations that are not applied, oldest first."""
    with database.read() as conn:
        return _pending(conn)


def require_current(database: Database) -> None:
    """Raise MigrationsPending unless the tables are what this program expects."""
    todo = pending(database)
    if todo:
        raise MigrationsPending(
            f"The tables in {database.shown} are older than this program: {', '.join(todo)}. "
            "Run `mih migrate`, or give a DBA the output of `mih migrate --sql`."
        )


def sql(dialect: str, *, since: str | None = None) -> str:
    """Return the SQL of all migrations (or of those after `since`) for mysql, postgresql or sqlite."""
    output = io.StringIO()
    _upgrade(_config(dialect=dialect, output=output), f"{since}:head" if since else "head", sql=True)
    return output.getvalue()


def current(database: Database) -> str | None:
    """Return the revision that the tables are at, or None when there are none."""
    with database.read() as conn:
        return _revision(conn)


def _revision(conn: Connection) -> str | None:
    if not inspect(conn).has_table(_VERSION_TABLE):
        return None
    revision: str | None = conn.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return revision


def newest() -> str:
    """Return the last revision: each file's name begins with its own."""
    return max(path.name.partition("_")[0] for path in (_SCRIPTS / "versions").glob("[0-9]*_*.py"))


def _pending(conn: Connection) -> list[str]:
    here = _revision(conn)
    if here == newest():
        return []
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - see above

    script = ScriptDirectory.from_config(_config())
    if here is not None and here not in {revision.revision for revision in script.walk_revisions()}:
        raise MigrationsPending(
            f"The tables are at revision {here}, which this program does not know: a newer one made them. "
            "Run that version, or restore a backup of the tables from before it."
        )
    todo = script.iterate_revisions("head", here or "base")
    return [f"{revision.revision} ({revision.doc})" for revision in reversed(list(todo))]


def _config(**attributes: object) -> "Config":
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config(attributes=attributes)
    config.set_main_option("script_location", str(_SCRIPTS))
    return config


def _upgrade(config: "Config", revision: str, *, sql: bool = False) -> None:
    from alembic import command  # noqa: PLC0415 - see above

    command.upgrade(config, revision, sql=sql)


@contextmanager
def _locked(conn: Connection) -> Iterator[None]:
    """Hold the one migration lock of this database; SQLite's write transaction is that lock already."""
    match conn.dialect.name:
        case "mysql":
            conn.execute(text("SELECT GET_LOCK(:name, 60)"), {"name": _LOCK_NAME})
            try:
                yield
            finally:
                conn.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK_NAME})
        case "postgresql":
            conn.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
            yield
        case _:
            yield
