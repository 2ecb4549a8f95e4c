"""While a piece of the log is written down, the next one is rendered here and the one behind it is read."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Generic, TypeVar

from sidecar.bridge.harvest import Harvest, Harvester
from sidecar.bridge.sight import Ahead, look_ahead
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.names import NameFilter
from sidecar.store.engine import Database

_Found = TypeVar("_Found")


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

    def after(self, ahead: Ahead) -> "Errand | None":
        """Return the one for the piece behind what was found; None at the log's end, or row by row."""
        more = ahead.position < self.head and self.limit > 1
        return replace(self, position=ahead.position) if more else None

    def look(self, moodle: Database, log: LogStore) -> Ahead:
        """Look at the log."""
        with moodle.read() as conn:
            return look_ahead(
                conn,
                log,
                self.names,
                position=self.position,
                head=self.head,
                window=self.window,
                limit=self.limit,
            )

    def gather(self, moodle: Database, ahead: Ahead) -> Harvest:
        """Return what the rules make of what was seen. Writes nothing."""
        with moodle.read() as conn:
            return self.harvester.gather(conn, ahead.events, newest=self.newest, now=self.now)


class Trip(Generic[_Found]):
    """An errand under way, in a thread of its own."""

    def __init__(self, name: str, errand: Errand, go: Callable[[Errand], _Found]) -> None:
        self._errand, self._go = errand, go
        self._found: _Found | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def found(self, errand: Errand) -> _Found | None:
        """Wait for its end; return what was found on the way, if it is this that is asked for."""
        self._thread.join()
        return self._found if self._errand.answers(errand) else None

    def _run(self) -> None:
        with suppress(Exception):  # whoever needs it does it again, and meets what was wrong
            self._found = self._go(self._errand)


class Scout:
    """Has the next piece rendered, and the one behind it read: each database and we work at the same time."""

    def __init__(self, moodle: Database, log: LogStore) -> None:
        self._moodle, self._log = moodle, log
        self.stays = False  # whether it goes only when it is waited for
        self._looking: Trip[Ahead] | None = None
        self._rendering: Trip[tuple[Ahead, Harvest]] | None = None

    def ask(self, errand: Errand) -> tuple[Ahead, Harvest]:
        """Return what there is, and go ahead, unless it is to stay."""
        under_way, self._rendering = self._rendering, None
        ahead, harvest = (under_way and under_way.found(errand)) or self._render(errand)
        following = errand.after(ahead)
        if following and not self.stays:
            self._rendering = Trip("scout", following, self._render)
        return ahead, harvest

    def _render(self, errand: Errand) -> tuple[Ahead, Harvest]:
        under_way, self._looking = self._looking, None
        ahead = (under_way and under_way.found(errand)) or errand.look(self._moodle, self._log)
        following = errand.after(ahead)
        if following and not self.stays:
            self._looking = Trip("scout's eye", following, self._look)
        return ahead, errand.gather(self._moodle, ahead)

    def _look(self, errand: Errand) -> Ahead:
        return errand.look(self._moodle, self._log)
