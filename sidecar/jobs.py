"""Jobs that come again and again: each survives its failures, and all survive a clock that is set."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import SQLAlchemyError

from sidecar.errors import BrokerUnavailable
from sidecar.hub import Hub
from sidecar.store.faults import explain

_log = logging.getLogger("mih")

_LONGEST_WAIT_S = 30.0
_WALL_S = 1.0
_JOLT = timedelta(seconds=1)


class Steady:
    """A job that survives its failures: says so once, waits longer each time, says when it is well.

    When what it has called a problem is over somebody else is told `over`.
    """

    def __init__(
        self, name: str, work: Callable[[], None], hub: Hub, *, over: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self._over = over
        self.last_round: datetime | None = None
        self._work = work
        self._hub = hub
        self._failures = 0
        self._problem: str | None = None
        self._not_before = 0.0

    def __call__(self) -> None:
        """Do the work once, unless it is waiting after a failure."""
        if self._hub.clock.monotonic() < self._not_before:
            return
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - no job may die unnoticed, whatever happens in it
            self._failed(error)
            return
        self.last_round = self._hub.clock.now()
        if self._failures:
            _log.info("%s.well_again after=%d", self.name, self._failures)
            had, self._failures = self.problem, 0
            if had and self._over:
                self._over()

    def at_once(self) -> None:
        """Do the work now, though it may have failed a moment ago: whoever asks knows that it can be done."""
        self._not_before = 0.0
        self()

    @property
    def problem(self) -> str | None:
        """What it has failed of twice in a row or more often; None: it works."""
        return self._problem if self._failures > 1 else None

    @property
    def waits_s(self) -> float:
        """Seconds until it works again."""
        return max(self._not_before - self._hub.clock.monotonic(), 0)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        wait_s = min(2.0 ** (self._failures - 1) / 2, _LONGEST_WAIT_S)
        self._not_before = self._hub.clock.monotonic() + wait_s
        self._problem = self._said(error)
        if self._failures > 1:
            return
        if isinstance(error, SQLAlchemyError | BrokerUnavailable):
            _log.error("%s.waiting: %s. It goes on by itself.", self.name, self._problem)
        else:
            _log.exception("%s.failed: this should not happen; it is tried again", self.name)

    def _said(self, error: Exception) -> str:
        if isinstance(error, SQLAlchemyError):
            return explain(error, self._hub.store.shown)
        return str(error) if isinstance(error, BrokerUnavailable) else f"{type(error).__name__}: see its log"


class Ticker:
    """Runs jobs, each every so many seconds, whatever becomes of the machine's clock.

    APScheduler plans by that clock: set back by an hour, all jobs would rest for one.
    """

    def __init__(self) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._jobs = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )
        self._stop = threading.Event()
        self._minder = threading.Thread(target=self._mind_the_clock, name="clock", daemon=True)

    def every(self, seconds: float, job: Callable[[], None], *, name: str, delay_s: float = 0) -> None:
        """Do the job every so many seconds, for the first time after the delay."""
        first = datetime.now(UTC) + timedelta(seconds=delay_s)
        self._jobs.add_job(job, "interval", seconds=seconds, id=name, next_run_time=first)

    def start(self) -> None:
        """Begin; returns at once."""
        self._jobs.start()
        self._minder.start()

    def stop(self) -> None:
        """Begin nothing more, and wait for what runs."""
        self._stop.set()
        self._minder.join()
        self._jobs.shutdown(wait=True)

    def _mind_the_clock(self) -> None:
        """Plan all jobs anew when somebody has set the clock."""
        apart = _wall_from_stopwatch()
        while not self._stop.wait(_WALL_S):
            before, apart = apart, _wall_from_stopwatch()
            if abs(apart - before) > _JOLT:
                _log.warning("scheduler.clock_set seconds=%.0f", (apart - before).total_seconds())
                for job in self._jobs.get_jobs():
                    job.modify(next_run_time=datetime.now(UTC))


def _wall_from_stopwatch() -> timedelta:
    """Return how far the machine's clock is from its stopwatch: constant until somebody sets it."""
    return datetime.now(UTC) - datetime.fromtimestamp(time.monotonic(), UTC)
