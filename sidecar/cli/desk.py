"""The configuration and the store, opened for one command and closed after it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from sidecar.bridge.sound import sound
from sidecar.clock import Clock
from sidecar.errors import MigrationsPending
from sidecar.settings import Settings, Source, again, parse, parse_duration, read
from sidecar.store import made, migrate
from sidecar.store.engine import Database
from sidecar.store.faults import blame


@dataclass(frozen=True, slots=True)
class Desk:
    """What a command works with. `ready` is false when it may work without tables and there are none."""

    settings: Settings
    source: Source
    store: Database
    now: datetime
    unready: str | None = None


@contextmanager
def desk(config: Path, *, tables: bool = True) -> Iterator[Desk]:
    """Open the store of a configuration, with what was made here; templates of its file may be broken.

    Raises ConfigError, DatabaseUnavailable, and MigrationsPending where the tables are not there; without
    `tables` that is no error, but the sentence in `unready`.
    """
    source = read(config, os.environ)
    settings = parse(source)
    store = Database(settings.store_url.get_secret_value(), pool_size=1)
    try:
        with blame(f"store.url ({store.shown})"):
            unready = _unready(store)
            if unready and tables:
                raise MigrationsPending(unready)
            if unready is None:
                source = again(source, made.stored_in(store, settings))
                settings = sound(parse(source))
            yield Desk(settings, source, store, _now(store, unready), unready)
    finally:
        store.close()


def is_absent(store: Database) -> bool:
    """Whether the store is a SQLite file that is not there yet: only opening it would make one."""
    name = store.url.database
    return store.dialect == "sqlite" and bool(name) and not Path(str(name)).expanduser().exists()


def moment(text: str | None, now: datetime) -> datetime | None:
    """Return the moment that `--since` means: 2h or 7d before now, or an ISO 8601 time (no zone: UTC)."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError:
        return _iso(text)
    if not isinstance(seconds, float):
        return _iso(text)
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _iso(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        hint = 'a length of time such as 2h or 7d, or a time such as "2026-03-02 14:00"'
        raise click.BadParameter(f'"{text}" is no time: write {hint}', param_hint="--since") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _unready(store: Database) -> str | None:
    """Return why the tables cannot be used, None when they can."""
    if is_absent(store) or migrate.current(store) is None:
        return f"The sidecar has no tables in {store.shown} yet: run `mih migrate`."
    try:
        migrate.require_current(store)
    except MigrationsPending as error:
        return str(error)
    return None


def _now(store: Database, unready: str | None) -> datetime:
    """Return the store's time, which all replicas go by."""
    clock: Clock | None = click.get_current_context().find_root().obj
    if clock is not None:
        return clock.now()
    return datetime.now(UTC) if unready else store.now()
