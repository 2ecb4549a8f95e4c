"""The campus over time: a steady trickle of acts, bursts, and now and then what makes logs difficult."""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from random import Random

from sidecar.clock import Clock
from sidecar.demo.campus import Campus
from sidecar.demo.kinds import ANSWER, ENROL, GRADE, LEAVE, LOGIN, POST, Plot
from sidecar.demo.story import Act, Story

_ACTS_PER_S = 4.5  # of 2.3 rows on average
_TICK_S = 0.05
_CYCLE_S = 20.0
_LATE_BY_S = 1.2
_ROLLED_BACK = 3
# On SQLite the sidecar is right to give a gap up at the first proof: with one writer it cannot fill. It looks
# for a proof every five seconds, so a gap stays open for a while only just after another one was given up.
_TIME_TO_FILL = timedelta(seconds=3)
_PATIENCE_S = 8.0


@dataclass(frozen=True, slots=True)
class _Due:
    """Something that happens at a moment of the demo, in seconds since its start."""

    at: float
    number: int
    happen: Callable[[float], None]

    def __lt__(self, other: "_Due") -> bool:
        return (self.at, self.number) < (other.at, other.number)


class Life:
    """Lets the campus live: `step` does what is due. The same seed tells the same story, however fast.

    `given_up` says when the sidecar gave up waiting for a log id, None while it has not.
    """

    def __init__(
        self,
        campus: Campus,
        story: Story,
        rng: Random,
        *,
        clock: Clock,
        given_up: Callable[[int], datetime | None],
    ) -> None:
        self.late = 0
        self.failure: Exception | None = None
        self._campus, self._story, self._rng = campus, story, rng
        self._clock, self._given_up = clock, given_up
        self._started_at, self._start = clock.now(), clock.monotonic()
        self._numbers = count()
        self._due: list[_Due] = []
        self._plan()

    @property
    def rows(self) -> int:
        """How many rows the log has got."""
        return self._campus.rows

    def run(self, stop: threading.Event) -> None:
        """Live until `stop`. What went wrong is in `failure`."""
        try:
            while not stop.is_set():
                self.step(self._clock.monotonic() - self._start)
                stop.wait(_TICK_S)
        except Exception as error:  # noqa: BLE001 - the end of a thread: whoever watches tells the user
            self.failure = error

    def step(self, elapsed_s: float) -> None:
        """Do all that is due by now, in the order of time."""
        while self._due and self._due[0].at <= elapsed_s:
            due = heapq.heappop(self._due)
            due.happen(due.at)

    def _plan(self) -> None:
        self._at(0.0, lambda at: self._tell(ENROL, at))
        self._at(0.1, self._trickle)
        self._every_cycle(0.8, lambda at: self._tell(LEAVE, at))
        self._every_cycle(2.7, lambda at: self._burst(GRADE, 6, at))
        self._every_cycle(3.5, self._roll_back)
        self._every_cycle(6.0, lambda at: self._burst(ENROL, 12, at))
        self._every_cycle(7.5, lambda at: self._tell(LOGIN, at))
        self._every_cycle(9.0, lambda at: self._tell(ANSWER, at))
        self._every_cycle(13.0, lambda at: self._commit(self._story.restored(self._seconds(at))))
        self._every_cycle(15.0, lambda at: self._burst(POST, 5, at))

    def _at(self, at: float, happen: Callable[[float], None]) -> None:
        heapq.heappush(self._due, _Due(at, next(self._numbers), happen))

    def _every_cycle(self, first: float, happen: Callable[[float], None]) -> None:
        def again(at: float) -> None:
            self._at(at + _CYCLE_S, again)
            happen(at)

        self._at(first, again)

    def _trickle(self, at: float) -> None:
        self._at(at + self._rng.expovariate(_ACTS_PER_S), self._trickle)
        self._commit(self._story.next(self._seconds(at)))

    def _tell(self, plot: Plot, at: float) -> None:
        self._commit(self._story.tell(plot, self._seconds(at)))

    def _burst(self, plot: Plot, number: int, at: float) -> None:
        for _ in range(number):
            self._tell(plot, at)

    def _commit(self, act: Act) -> None:
        self._campus.commit(act)

    def _roll_back(self, at: float) -> None:
        """Lose ids as a rolled back transaction does; after that comes one that commits late."""
        late = self._story.tell(ENROL, self._seconds(at))
        lost = self._campus.draw(_ROLLED_BACK)
        self._at(at, lambda at: self._await_proof(lost[0], late, at + _PATIENCE_S, at))

    def _await_proof(self, lost: int, late: Act, until: float, at: float) -> None:
        proven_at = self._given_up(lost)
        if proven_at is not None:
            ids = self._campus.draw(len(late.rows))
            fill_until = proven_at + _TIME_TO_FILL
            self._at(at + _LATE_BY_S, lambda _: self._come_late(ids, late, fill_until))
        elif at < until:
            self._at(at + _TICK_S, lambda at: self._await_proof(lost, late, until, at))
        else:
            self._commit(late)

    def _come_late(self, ids: range, late: Act, until: datetime) -> None:
        """Commit below ids that everybody has seen; on a machine too busy for that, it is rolled back."""
        if self._campus.commit_late(ids, late, lambda: self._clock.now() < until):
            self.late += len(ids)
        else:
            self._commit(late)

    def _seconds(self, at: float) -> int:
        return int(self._started_at.timestamp() + at)
