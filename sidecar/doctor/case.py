"""What the doctor looks at: one configuration with its two databases and what the store remembers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from sidecar.bridge.match import RuleBook
from sidecar.clock import Clock
from sidecar.doctor.findings import Finding, Findings, problem
from sidecar.model import Circuit, Cursor
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings, Source
from sidecar.store.engine import Database
from sidecar.store.faults import explain


@dataclass(frozen=True, slots=True)
class Case:
    """One installation. `clock` is this machine's, which the databases' are compared with."""

    settings: Settings
    source: Source
    book: RuleBook
    clock: Clock
    moodle: Database
    store: Database
    log: LogStore

    @property
    def one_database(self) -> bool:
        """Whether the sidecar's tables stand in Moodle's database."""
        return self.moodle.url == self.store.url


@dataclass(frozen=True, slots=True)
class Memory:
    """What the store remembers; empty where it cannot be read."""

    cursor: Cursor | None = None
    other_sites: tuple[str, ...] = ()
    circuits: Mapping[str, Circuit] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    pending: Mapping[str, int] = field(default_factory=dict)
    readable: bool = False


def missing_file(url: str) -> Path | None:
    """Return the SQLite file that a URL names if it is not there: to connect would create it."""
    parts = make_url(url)
    if parts.get_backend_name() != "sqlite" or not parts.database:
        return None
    path = Path(parts.database).expanduser()
    return None if path.exists() else path


def attempt(conn: Connection, look: Callable[[Connection], Findings], subject: str, where: str) -> Findings:
    """Yield the findings of one check; one that cannot run says why."""
    try:
        yield from list(look(conn))
    except SQLAlchemyError as error:
        yield unable(subject, error, where)


def unable(subject: str, error: SQLAlchemyError, where: str) -> Finding:
    """Return the finding that a check could not be made."""
    return problem(subject, f"this could not be looked at: {explain(error, where)}")
