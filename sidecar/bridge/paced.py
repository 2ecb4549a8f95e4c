"""Many dead letters go back into the queue at a pace, so that they do not knock over what has just got up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row

from sidecar.bridge.replay import Again, Fate, Replayed, note_all, replay
from sidecar.store.audit import Author
from sidecar.store.engine import Database


@dataclass(frozen=True, slots=True)
class Pace:
    """So many deliveries a second, the first at `begins_at`; where none is said all are due at once."""

    per_second: float
    begins_at: datetime

    def after(self, letters: int) -> "Pace":
        """Return the pace at which those go on that come after so many letters."""
        seconds = math.ceil(letters / self._at_once) * self._step_s
        return Pace(self.per_second, self.begins_at + timedelta(seconds=seconds))

    @property
    def _at_once(self) -> int:
        return max(int(self.per_second), 1)

    @property
    def _step_s(self) -> float:
        return self._at_once / self.per_second

    def portions(self, letters: Sequence[Row[Any]]) -> list[tuple[datetime, Sequence[Row[Any]]]]:
        """Return the letters in portions, each with the moment at which it is due."""
        starts = range(0, len(letters), self._at_once)
        return [(self.after(start).begins_at, letters[start : start + self._at_once]) for start in starts]


def replay_paced(
    store: Database,
    letters: Sequence[Row[Any]],
    pace: Pace,
    *,
    again: Again | None = None,
    by: Author | None = None,
    now: datetime | None = None,
) -> list[Replayed]:
    """Replay letters so that they are sent one portion after the other; `now` of a template is that moment.

    They are in the queue at once, due later: so a restart changes nothing, and they can be cancelled. With
    `by` the audit has one line for all of them, of `now`.
    """
    done = [
        one
        for due_at, portion in pace.portions(letters)
        for one in replay(store, portion, now=due_at, again=again)
    ]
    ids = [one.delivery_id for one in done if one.fate is Fate.REPLAYED]
    if by is not None and now is not None:
        with store.write() as conn:
            note_all(conn, by, "dead_letter.replay", ids, now, how=f"{pace.per_second:g} a second")
    return done
