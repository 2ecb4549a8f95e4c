"""Sidecars as in production: `mih run`, a process of its own, with a configuration of a few lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.moodlelog import WANTED
from sidecar.clock import SystemClock
from sidecar.hub import Hub, load
from tests.acceptance.sidecar import Sidecar, write_config

# Five placeholders, as most payloads have.
PAYLOAD = (
    '{"id": {{ id }}, "event": "{{ eventname }}", "user": {{ relateduserid }}, '
    '"course": {{ courseid }}, "at": {{ timecreated }}}'
)
RULE = {
    "name": "new-user",
    "event": list(WANTED),
    "service": "crm",
    "endpoint": "/users",
    "payload": PAYLOAD,
    "max_event_age": "none",
}


def config(folder: Path, *, moodle: str, store: str | None, receiver: str, **sections: Any) -> Path:
    """Write a configuration: one service, one rule, all else at its default but what `sections` say.

    Without `store` the sidecar's tables are in Moodle's database.
    """
    plain = {
        "site": "campus",
        "moodle": {"url": moodle},
        "store": {"url": store} if store else {},
        "tail": {"start": "beginning"},
        "services": {"crm": {"base_url": receiver}},
        "rules": [RULE],
        "web": {"enabled": False},
    }
    return write_config(folder / "sidecar.yaml", **(plain | sections))


@contextmanager
def opened(path: Path, *, role: str = "all") -> Iterator[Hub]:
    """Yield the hub of a configuration, its tables made, to fill its store or to drive it here."""
    loaded = load(path, {})
    hub = Hub(loaded.settings, loaded.book, role=role, clock=SystemClock(), source=loaded.source)
    hub.open()
    try:
        yield hub
    finally:
        hub.close()


@contextmanager
def running(path: Path, *options: str, processes: int = 1) -> Iterator[list[Sidecar]]:
    """Yield that many sidecars, started; they end in good order."""
    made = [Sidecar(path) for _ in range(processes)]
    try:
        for one in made:
            one.start(*options)
        yield made
        for one in made:
            if one.terminate():
                raise RuntimeError(f"a sidecar ended badly:\n{one.said[-2000:]}")
    finally:
        for one in made:
            one.close()
