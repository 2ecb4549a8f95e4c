"""What the store adds to the configuration, read in one look: definitions, and secrets opened."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from sidecar.settings import Secrets, Settings, Source, Stored, again, parse, read
from sidecar.store import definitions, vault
from sidecar.store.engine import Database
from sidecar.store.faults import explain
from sidecar.store.tables import definitions as table
from sidecar.store.tables import secrets
from sidecar.store.vault import Keys

_log = logging.getLogger("mih")

# Written down when there is nothing: no look is then ever another.
_NOTHING = ""


def fetch(conn: Connection, keys: Keys) -> Stored:
    """Return all definitions and secrets. Secrets that cannot be opened are among them with the reason."""
    seen = mark(conn)
    return Stored(definitions.all_of(conn), vault.opened(vault.all_rows(conn), keys), seen)


def mark(conn: Connection) -> str:
    """Return what changes whenever a definition or a secret does; two short queries."""
    sealed = select(secrets.c.name, secrets.c.key_id, secrets.c.updated_at).order_by(secrets.c.name)
    rows: list[Any] = [*definitions.marks(conn), *map(tuple, conn.execute(sealed))]
    return hashlib.sha256(repr(rows).encode()).hexdigest() if rows else _NOTHING


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
