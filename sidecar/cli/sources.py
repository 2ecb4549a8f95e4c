"""Moodle's log beside the store, with the rules compiled: for commands that read it themselves."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from sidecar.bridge.match import RuleBook
from sidecar.bridge.sources import Sources
from sidecar.cli.desk import Desk, desk
from sidecar.clock import Clock, SystemClock
from sidecar.hub import load
from sidecar.moodle.logstore import LogStore
from sidecar.store.engine import Database
from sidecar.store.faults import blame


@dataclass(frozen=True, slots=True)
class Reader:
    """What such a command works with."""

    at: Desk
    sources: Sources
    book: RuleBook


@contextmanager
def reader(config: Path) -> Iterator[Reader]:
    """Open both databases. Raises ConfigError if a template is broken, and DatabaseUnavailable."""
    loaded = load(config, os.environ)
    settings = loaded.settings
    moodle = Database(settings.moodle.url.get_secret_value(), pool_size=2)
    log = LogStore(settings.moodle.prefix, settings.moodle.log_table)
    try:
        with desk(config) as at, blame(f"moodle.url ({moodle.shown})"):
            with moodle.read() as conn:
                log.head(conn)
            yield Reader(at, Sources(moodle, at.store, log, settings, _clock(at)), loaded.book)
    finally:
        moodle.close()


def _clock(at: Desk) -> Clock:
    """Return the store's clock, which all replicas go by."""
    given: Clock | None = click.get_current_context().find_root().obj
    if given is not None:
        return given
    clock = SystemClock()
    clock.set(at.now)
    return clock
