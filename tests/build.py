"""Settings and rules for tests, from a few lines instead of a file."""

from pathlib import Path
from typing import Any

import yaml

from sidecar.bridge.harvest import Harvester
from sidecar.bridge.tail import Outlet, Tail
from sidecar.clock import FakeClock
from sidecar.hub import Loaded, load
from sidecar.moodle.logstore import LogStore
from sidecar.store.engine import Database


def loaded(
    folder: Path,
    url: str,
    *,
    rules: list[dict[str, Any]],
    services: dict[str, Any] | None = None,
    **sections: Any,
) -> Loaded:
    """Write a configuration into `folder` and load it as the product does. Every rule's service is `crm`."""
    config = {
        "site": "campus",
        "moodle": {"url": url},
        "services": services or {"crm": {"base_url": "http://127.0.0.1:9"}},
        "rules": [{"service": "crm", "endpoint": "/events"} | rule for rule in rules],
    }
    path = folder / "sidecar.yaml"
    path.write_text(yaml.safe_dump(config | sections, allow_unicode=True), encoding="utf-8")
    return load(path, {})


class Campus:
    """A Moodle's database, the store in it, and tails that read it by a clock that the test turns."""

    def __init__(self, url: str, known: Loaded, clock: FakeClock) -> None:
        self.known, self.clock = known, clock
        self.moodle, self.store = Database(url), Database(url)
        self.log = LogStore()

    def tail(self, replica: str = "replica-1", outlet: Outlet | None = None) -> Tail:
        """Return the tail of one replica."""
        settings = self.known.settings
        return Tail(
            self.moodle,
            self.store,
            self.log,
            site=settings.site,
            replica=replica,
            settings=settings.tail,
            harvester=Harvester(settings, self.known.book),
            clock=self.clock,
            queued=lambda: None,
            outlet=outlet,
        )

    def close(self) -> None:
        """Close all connections."""
        self.moodle.close()
        self.store.close()
