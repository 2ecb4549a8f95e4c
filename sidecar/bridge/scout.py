"""Reads and renders the next piece of the log while the last one is being written down."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from sidecar.bridge.harvest import Harvest, Harvester
from sidecar.bridge.sight import Ahead, look_ahead
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.names import NameFilter
from sidecar.store.engine import Database


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be looked at: the rows after `position`, up to `head` at most, and by which rules.

    The age of events is counted from `newest`, the deliveries are made at `now`.
    """

    names: NameFilter | None
    position: int
    head: int
    window: int
    limit: int
    harvester: Harvester
    newest: datetime = field(compare=False)
    now: datetime = field(compare=False)

    def answers(self, other: "Errand") -> bool:
        """Whether what this one finds is what the other asks for; the log may have grown since."""
        return self.head <= other.head and replace(self, head=other.head) == other

    def run(self, moodle: Database, log: LogStore) -> tuple[Ahead, Harvest]:
        """Look at the log, and return what the rules make of it. Writes nothing."""
        with moodle.read() as conn:
            ahead = look_ahead(
                conn,
                log,
                self.names,
                position=self.position,
                head=self.head,
                window=self.window,
                limit=self.limit,
            )
            return ahead, self.harvester.gather(conn, ahead.events, newest=self.newest, now=self.now)


class Scout:
    """Goes on one errand at a time, in a thread of its own: one database waits while the other works."""

    def __init__(self, moodle: Database, log: LogStore) -> None:
        self._moodle, self._log = moodle, log
        self.stays = False  # whether it goes only when it is waited for
        self._under_way: tuple[Errand, threading.Thread] | None = None
        self._found: tuple[Ahead, Harvest] | None = None

    def send(self, errand: Errand) -> None:
        """Go ahead, unless it is to stay."""
        if self.stays:
            return
        thread = threading.Thread(target=self._go, args=(errand,), name="scout", daemon=True)
        self._found, self._under_way = None, (errand, thread)
        thread.start()

    def ask(self, errand: Errand) -> tuple[Ahead, Harvest]:
        """Return what there is: what was found on the way, if it is this that was asked for."""
        asked, self._under_way = self._under_way, None
        if asked is not None:
            asked[1].join()
            if self._found is not None and asked[0].answers(errand):
                return self._found
        return errand.run(self._moodle, self._log)

    def _go(self, errand: Errand) -> None:
        with suppress(Exception):  # whoever needs it does it again, and meets what was wrong
            self._found = errand.run(self._moodle, self._log)
