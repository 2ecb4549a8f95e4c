"""One scenario's world: a Moodle whose log grows, a receiver, sidecars between them, the account."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from random import Random
from threading import Event
from typing import Any, TypeVar

from sqlalchemy import NullPool, create_engine, select, text

from tests import campus
from tests.acceptance.sidecar import Sidecar, eventually, write_config
from tests.chaos.load import WANTED, Marks, Writers, wanted_marks
from tests.chaos.post import Post
from tests.databases import Database, Databases
from tests.rows import LOG, LOG_TABLE

LEASE_S = 2
TIMEOUT_S = 3  # a busy machine may answer late, and what was answered too late is sent again
_STALLED_S = 45.0
_MOST_FATES = 3
_AT_REST = "SELECT count(*) FROM mih_queue WHERE state IN ('pending', 'sending')"


_FATE = "SELECT state, attempts, due_at, settled_at, last_error FROM mih_queue WHERE log_id = {0}"
_TRIES = (
    "SELECT created_at, outcome, status, error FROM mih_log"
    " WHERE delivery_id IN (SELECT delivery_id FROM mih_queue WHERE log_id = {0})"
)
_GAPS = (
    "SELECT state, first_id, last_id, seen_at, reason FROM mih_gaps WHERE first_id <= {0} AND last_id >= {0}"
)
_CIRCUITS = "SELECT state, failures, probe_at FROM mih_circuits WHERE {0} > 0"

T = TypeVar("T")


class World:
    """Everything that one fault is done to. `struck` counts how often it was."""

    def __init__(self, databases: Databases, seed: str, rows: int = 10_000) -> None:
        self.databases = databases
        self.chance = Random(seed)
        self.rows = rows  # where a fault is a matter of many
        self.folder = Path(tempfile.mkdtemp(prefix="mih-chaos-"))
        self.moodle = self._database("campus", copy_of=databases.template("moodle", campus.load))
        self.post = Post()
        self.marks = Marks()
        self.sidecars: list[Sidecar] = []
        self.owed: set[int] = set()
        self.struck = 0
        self.notes: list[str] = []
        self.store_url = self.moodle.url
        self._seed = seed
        self._names = [self.moodle.name]
        self._pause = Event()
        self._kept = ExitStack()
        self.execute(f"DELETE FROM {LOG_TABLE}")

    def sidecar(
        self,
        *,
        env: dict[str, str] | None = None,
        log: Path | None = None,
        within: Sequence[str] = (),
        **changes: Any,
    ) -> Sidecar:
        """Return one more sidecar, not started yet; `changes` are sections of the configuration."""
        name = f"sidecar-{len(self.sidecars) + 1}"
        config = write_config(self.folder / f"{name}.yaml", **(self._config() | changes))
        self.sidecars.append(Sidecar(config, env=env, log=log, within=within))
        return self.sidecars[-1]

    def started(self, number: int = 1, **options: Any) -> list[Sidecar]:
        """Return so many sidecars that are at work."""
        made = [self.sidecar(**options) for _ in range(number)]
        for one in made:
            one.start()
        self.await_said("sidecar.started", *made)
        return made

    def await_said(self, piece: str, *sidecars: Sidecar, seconds: float = 60) -> None:
        """Wait until each of them has printed this."""
        eventually(lambda: all(piece in one.said for one in sidecars), seconds=seconds)

    @contextmanager
    def writing(self, number: int = 4, rate: float = 100) -> Iterator[None]:
        """Let the log grow meanwhile."""
        with Writers(self.moodle.url, self.marks, self._seed, number=number, rate=rate):
            yield
        self.owe()

    def write(self, rows: int, *, number: int = 4, rate: float = 400) -> None:
        """Let the log grow by at least so many rows."""
        writers = Writers(
            self.moodle.url, self.marks, self._seed, number=number, rate=rate, enough=lambda n: n >= rows
        )
        with writers:
            writers.join()
        self.owe()

    def owe(self) -> None:
        """Put down what stands in the log now: it has to arrive, whatever becomes of the table."""
        self.owed |= wanted_marks(self.moodle.url)

    def wait(self, seconds: float) -> None:
        """Let time pass: the processes know no other clock."""
        self._pause.wait(seconds)

    def strike(self) -> None:
        """Count that the fault has happened."""
        self.struck += 1

    def execute(self, *statements: str) -> None:
        """Run statements in Moodle's database."""
        with create_engine(self.moodle.url, poolclass=NullPool).begin() as conn:
            for statement in statements:
                conn.execute(text(statement))

    def ask(self, query: str, url: str | None = None) -> Any:
        """Return the only value of a query, asked of Moodle's database or of another."""
        with create_engine(url or self.moodle.url, poolclass=NullPool).connect() as conn:
            return conn.execute(text(query)).scalar()

    def mih(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the product."""
        command = [sys.executable, "-m", "sidecar", *words, "--config", str(self.sidecars[0].config)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def status(self) -> dict[str, Any]:
        """Return what `mih status` says."""
        found: dict[str, Any] = json.loads(self.mih("status", "--json").stdout)
        return found

    def keep(self, thing: AbstractContextManager[T]) -> T:
        """Enter something that is to last as long as this world."""
        return self._kept.enter_context(thing)

    def fates(self) -> list[str]:
        """Say of the first of what is lost what the sidecars' tables know of it."""
        lost = sorted(self.owed - self.post.arrivals.marks)[:_MOST_FATES]
        with create_engine(self.moodle.url, poolclass=NullPool).connect() as conn:
            ids = list(conn.scalars(select(LOG.c.id).where(LOG.c.objectid.in_(lost))))
        with create_engine(self.store_url, poolclass=NullPool).connect() as conn:
            return [
                f"row {number}: {conn.execute(text(query.format(number))).all()}"
                for number in ids
                for query in (_FATE, _TRIES, _GAPS, _CIRCUITS)
            ]

    def settle(self) -> None:
        """Wait until all that is owed has arrived and nothing waits any more; what does not come is lost."""
        there, since = -1, time.monotonic()
        while time.monotonic() < since + _STALLED_S:
            arrived = self.post.arrivals.marks
            if self.owed <= arrived and not self.ask(_AT_REST, self.store_url):
                return
            if len(arrived) > there:
                there, since = len(arrived), time.monotonic()
            self.wait(0.1)

    def unaccounted(self) -> int:
        """Return how many rows the ledger misses; minus one: it did not answer."""
        done = self.mih("ledger", "--since", "7d", "--json")
        try:
            return int(json.loads(done.stdout)["unaccounted"])
        except (ValueError, KeyError):
            self.notes.append(f"the ledger: {(done.stdout + done.stderr).strip()[-200:]}")
            return -1

    def store_apart(self, databases: Databases | None = None) -> str:
        """Return the URL of a database of its own for the store, as where Moodle's is only read."""
        made = self._database("store", where=databases)
        self._names.append(made.name)
        self.store_url = made.url
        return made.url

    def close(self) -> None:
        """Leave nothing behind."""
        for one in self.sidecars:
            one.close()
        self.post.close()
        self._kept.close()
        for name in self._names:
            self.databases.drop_database(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _database(self, stem: str, *, copy_of: str | None = None, where: Databases | None = None) -> Database:
        there = where or self.databases
        name = there.fresh_name(stem)
        there.create_database(name, copy_of)
        return there.describe(name)

    def _config(self) -> dict[str, Any]:
        return {
            "site": "campus",
            "moodle": {"url": self.moodle.url},
            "store": {"url": self.store_url},
            "tail": {"start": "beginning", "poll": 0.1, "lease": LEASE_S},
            "dispatch": {"concurrency": 16, "lease": TIMEOUT_S + 3, "poll": 0.2, "shutdown_grace": 5},
            "services": {"crm": self.service()},
            "rules": [{"name": "views", "event": WANTED, "service": "crm", "max_event_age": "none"}],
            "web": {"enabled": False},
        }

    def service(self, **changes: Any) -> dict[str, Any]:
        """Return the settings of the only service: patient, and soon to be tried again."""
        return {
            "base_url": f"http://127.0.0.1:{self.post.port}",
            "timeout": TIMEOUT_S,
            "retry": {"max_retries": 50, "backoff": 0.1, "max_backoff": 1},
            "circuit_breaker": {"failure_threshold": 5, "cooldown": 0.5},
        } | changes
