"""Where somebody looks who reads Moodle's log beside the tail."""

from dataclasses import dataclass

from sidecar.clock import Clock
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings
from sidecar.store.engine import Database


@dataclass(frozen=True, slots=True)
class Sources:
    """The two databases, the log, and the configuration in force."""

    moodle: Database
    store: Database
    log: LogStore
    settings: Settings
    clock: Clock
