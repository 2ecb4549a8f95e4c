"""What the store adds to the configuration, read in one look: definitions, and secrets opened."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, func, inspect, literal, select, union_all
from sqlalchemy.exc import SQLAlchemyError

from sidecar.settings import Secrets, Settings, Source, Stored, again, parse, read
from sidecar.store import definitions, vault
from sidecar.store.engine import Database
from sidecar.store.faults import explain
from sidecar.store.replays import ReplayState
from sidecar.store.tables import definitions as table
from sidecar.store.tables import replays, secrets
from sidecar.store.vault import Keys

_log = logging.getLogger("mih")

# Written down when there is nothing: no look is then ever another.
_NOTHING = ""


def fetch(conn: Connection, keys: Keys) -> Stored:
    """Return all definitions and secrets. Secrets that cannot be opened are among them with the reason."""
    seen = mark(conn)
    return Stored(definitions.all_of(conn), vault.opened(vault.all_rows(conn), keys), seen)


@dataclass(frozen=True, slots=True)
class News:
    """What one short look shows: a mark that changes with what was made here, and whether a replay runs."""

    mark: str
    replaying: bool


def news(conn: Connection, site: str) -> News:
    """Look whether there is anything new for a process; one query, so that it can be asked often."""
    runs = select(literal("replay"), literal(""), func.count(), literal(""), func.max(replays.c.updated_at))
    runs = runs.where(replays.c.site == site, replays.c.state == ReplayState.RUNNING)
    rows = conn.execute(union_all(*_marks(), runs)).all()
    made_here = [tuple(row) for row in rows if row[0] != "replay"]
    return News(_mark_of(made_here), any(row[2] for row in rows if row[0] == "replay"))


def mark(conn: Connection) -> str:
    """Return what changes whenever a definition or a secret does."""
    return _mark_of([tuple(row) for row in conn.execute(union_all(*_marks()))])


def _marks() -> tuple[Select[Any], Select[Any]]:
    made_here = select(table.c.kind, table.c.name, table.c.revision, literal(""), table.c.updated_at)
    sealed = select(literal("secret"), secrets.c.name, literal(0), secrets.c.key_id, secrets.c.updated_at)
    return made_here, sealed


def _mark_of(rows: list[tuple[Any, ...]]) -> str:
    return hashlib.sha256(repr(sorted(rows)).encode()).hexdigest() if rows else _NOTHING


def stored_in(store: Database, settings: Settings) -> Stored:
    """Return what there is in a store that may be away or without tables: then nothing, and the reason."""
    if _is_absent(store):
        return Stored()
    try:
        with store.read() as conn:
            if not inspect(conn).has_table(table.name):
                return Stored()
            return fetch(conn, keys_of(settings))
    except SQLAlchemyError as error:
        return Stored(secrets=Secrets(closed=explain(error, store.shown)))


def keys_of(settings: Settings) -> Keys:
    """Return the keys of the secrets."""
    return Keys(settings.store.secret_key.get_secret_value())


def overlaid(source: Source) -> Source:
    """Return the configuration with what its store adds. Raises ConfigError for a file with problems."""
    settings = parse(source)
    store = Database(settings.store_url.get_secret_value(), pool_size=1)
    try:
        return again(source, stored_in(store, settings))
    finally:
        store.close()


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """Return the settings in force: the file's, and what was made here. Raises ConfigError.

    Where the store cannot be read, it is the file alone, and the log says so.
    """
    source = overlaid(read(path, env))
    if source.stored.mark is None and source.stored.secrets.closed:
        _log.info("config.file_only: %s", source.stored.secrets.closed)
    return parse(source)


def _is_absent(store: Database) -> bool:
    """Whether the store is a SQLite file that is not there yet: only opening it would make one."""
    name = store.url.database
    return (
        store.dialect == "sqlite"
        and bool(name)
        and name != ":memory:"
        and not Path(str(name)).expanduser().exists()
    )
