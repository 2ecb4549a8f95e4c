"""A configuration file, a store with things in it, and the command line to try on them."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli.main import main
from sidecar.clock import FakeClock
from sidecar.store.engine import Database as Store
from tests.cli.seeds import Seeds
from tests.databases import Database

CONFIG = r"""
site: campus
moodle: {url: "%s"}
services:
  crm: {base_url: "https://crm.example.org/api", auth: {type: bearer, token: hunter2-hunter2}}
  erp: {base_url: "https://erp.example.org"}
rules:
  - {name: new-user, event: '\core\event\user_created', service: crm, endpoint: /users}
  - {name: seen, event: '\core\event\course_viewed', service: erp, endpoint: /seen}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as a script reads it."""
        return json.loads(self.out)


class Mih:
    """The command line, at a place with a configuration file of its own."""

    def __init__(
        self,
        folder: Path,
        clock: FakeClock,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.config = folder / "sidecar.yaml"
        self._clock, self._capsys, self._monkeypatch = clock, capsys, monkeypatch

    def write(self, url: str, text: str = CONFIG) -> None:
        """Write the configuration."""
        self.config.write_text(text % url)

    def __call__(self, *args: str, typed: str = "", config: bool = True) -> Said:
        """Run a command as the shell does; `typed` is what somebody answers."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        given = [*args, "--config", str(self.config)] if config else [*args]
        with pytest.raises(SystemExit) as ended:
            main(given, self._clock)
        printed = self._capsys.readouterr()
        return Said(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def bare(
    tmp_path: Path,
    clock: FakeClock,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Mih:
    """The command line where nothing is: no configuration, no database."""
    monkeypatch.chdir(tmp_path)
    return Mih(tmp_path, clock, capsys, monkeypatch)


@pytest.fixture
def mih(bare: Mih, database: Database) -> Mih:
    """The command line with a configuration whose database is there, with tables."""
    bare.write(database.url)
    return bare


@pytest.fixture
def new_mih(bare: Mih, bare_database: Database) -> Mih:
    """The command line with a configuration whose database is there, without tables."""
    bare.write(bare_database.url)
    return bare


@pytest.fixture
def seeds(mih: Mih, database: Database, clock: FakeClock) -> Iterator[Seeds]:
    """The store of that configuration, to put things in."""
    store = Store(database.url, pool_size=2)
    yield Seeds(store, clock)
    store.close()
