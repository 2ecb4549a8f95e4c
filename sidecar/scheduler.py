"""When what happens: the jobs of one process, how often each ticks, and how they all end."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import SQLAlchemyError

from sidecar import upkeep
from sidecar.bridge.backfill import Backfill
from sidecar.bridge.calm import Calm
from sidecar.bridge.courtesy import Courtesy
from sidecar.bridge.quiet import unfinished
from sidecar.errors import BrokerUnavailable
from sidecar.hub import Hub
from sidecar.store import cursors, replicas
from sidecar.store.faults import explain
from sidecar.store.overview import Rounds

_log = logging.getLogger("mih")

_BEAT_S = 10
_RELOAD_S = 2
_LOOK_S = 4
_CLOCK_S = 60
_EXPIRE_S = 10
_PRUNE_S = 600
_STATS_S = 60
_WATCH_S = 60
_REPLAY_S = 0.5
_COURIER_S = 0.5
_SWEEP_S = 60
_LONGEST_WAIT_S = 30.0
_WALL_S = 1.0
_JOLT = timedelta(seconds=1)


class Steady:
    """A job that survives its failures: says so once, waits longer each time, says when it is well."""

    def __init__(self, name: str, work: Callable[[], None], hub: Hub) -> None:
        self.name = name
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
            self._failures = 0

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
            where = self._hub.moodle.shown if self.name in {"tail", "watch"} else self._hub.store.shown
            return explain(error, where)
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


class Scheduler:
    """Runs a hub until it is told to stop."""

    def __init__(self, hub: Hub, *, reload: Callable[[], None] | None = None) -> None:
        self._hub = hub
        self._stop = threading.Event()
        self._tail = Steady("tail", self._read_all, hub)
        self._dispatch = Steady("dispatch", hub.dispatcher.run_once, hub)
        self._courier = Steady("courier", self._bring, hub)
        self._backfill = Backfill(
            hub.moodle,
            hub.store,
            hub.log,
            replica=hub.replica.name,
            clock=hub.clock,
            lease_s=hub.settings.tail.lease,
        )
        self._started_at = hub.clock.now()
        self._calm = Calm(hub.clock)
        self._courtesy = Courtesy(hub.clock)
        self._conductor = threading.Thread(target=self._conduct, name="conductor", daemon=True)
        self._ticker = Ticker()
        self._plan(reload)

    @property
    def tails(self) -> bool:
        """Whether this process may read the log."""
        return self._hub.role in {"all", "tail"}

    @property
    def dispatches(self) -> bool:
        """Whether this process sends."""
        return self._hub.role in {"all", "dispatch"}

    def start(self) -> None:
        """Begin; returns at once."""
        self._ticker.start()
        if self.dispatches:
            self._conductor.start()

    def stop(self) -> None:
        """End: no new work, what is in flight is finished, leases are given back."""
        self._stop.set()
        self._hub.dispatcher.wake()
        self._ticker.stop()
        if self.dispatches:
            self._conductor.join()
            self._quietly(self._hub.dispatcher.stop)
        if self.tails:
            self._quietly(self._hub.tail.release)

    def ailment(self) -> str | None:
        """Say which loop of this process has made no round for too long; None: all is well. Asks nobody."""
        rounds = Rounds(self._tail.last_round, self._dispatch.last_round, self._started_at)
        return rounds.ailment(self._hub.role, self._hub.settings, now=self._hub.clock.now())

    def _problem(self) -> str | None:
        """What keeps one of the loops from its work, in words."""
        found = [loop.problem for loop in (self._tail, self._dispatch, self._courier)]
        if self._hub.relay is not None:
            found.append(self._hub.relay.problem)
        return next((one for one in found if one), None)

    def idle(self) -> bool:
        """Whether all there was has been read and sent, so far as it can be now."""
        try:
            return (not self.tails or self._all_read()) and (not self.dispatches or self._all_sent())
        except SQLAlchemyError:
            return False  # the jobs say that a database is away

    def _all_sent(self) -> bool:
        with self._hub.store.read() as conn:
            if unfinished(conn, self._hub.settings.services, since=self._started_at):
                return False
        return self._hub.relay is None or self._hub.relay.is_clear()

    def _all_read(self) -> bool:
        """Whether the cursor is where the log ends, whoever moved it there after this process started."""
        if self._tail.last_round is None:
            return False
        with self._hub.store.read() as conn:
            cursor = cursors.load(conn, self._hub.settings.site)
        if cursor is None:
            return False
        with self._hub.moodle.read() as conn:
            head = self._hub.log.head(conn)
        return cursor.problem is not None or head is None or cursor.position >= head

    def _plan(self, reload: Callable[[], None] | None) -> None:
        def every(seconds: float, job: Steady, delay_s: float = 0) -> None:
            self._ticker.every(seconds, job, name=job.name, delay_s=delay_s)

        if self.tails:
            every(self._hub.settings.tail.poll, self._tail)
            every(_WATCH_S, Steady("watch", self._watch_moodle, self._hub), delay_s=3)
            every(_REPLAY_S, Steady("replay", self._replay, self._hub))
        if self.dispatches:
            rescue_s = max(self._hub.settings.dispatch.lease / 4, 1)
            every(rescue_s, Steady("rescue", self._rescue, self._hub))
            every(_EXPIRE_S, Steady("expire", self._expire, self._hub))
            if self._hub.relay is not None:
                every(_COURIER_S, self._courier)
                every(_SWEEP_S, Steady("sweep", self._sweep, self._hub), delay_s=_SWEEP_S)
        if reload is not None:
            every(_RELOAD_S, Steady("reload", reload, self._hub))
        every(_LOOK_S, Steady("definitions", self._look, self._hub), delay_s=_LOOK_S)
        every(_BEAT_S, Steady("beat", self._beat, self._hub))
        every(_CLOCK_S, Steady("clock", self._set_clock, self._hub))
        every(_PRUNE_S, Steady("prune", self._prune, self._hub), delay_s=30)
        every(_STATS_S, Steady("stats", self._roll_up, self._hub), delay_s=5)

    def _read_all(self) -> None:
        if self._calm.may_skip(self._hub.settings.tail.poll):
            return
        while not self._stop.is_set():
            began = self._hub.clock.monotonic()
            done = self._hub.tail.run_once(gently=self._courtesy.gives_way)
            if done.moved:
                self._calm.stirred()
            if not done.more:
                break
            took_s = self._hub.clock.monotonic() - began
            self._stop.wait(self._courtesy.rest_s(took_s, done.head))

    def _conduct(self) -> None:
        while not self._stop.is_set():
            self._dispatch()
            self._stop.wait(self._dispatch.waits_s)

    def _rescue(self) -> None:
        if upkeep.rescue(self._hub.store, self._hub.settings, self._hub.clock):
            self._hub.dispatcher.wake()

    def _expire(self) -> None:
        if upkeep.expire(self._hub.store, self._hub.clock):
            self._hub.dispatcher.wake()  # what waited for one of them may go now

    def _replay(self) -> None:
        if self._hub.replaying and self._backfill.run_once(self._hub.tail.harvester):
            self._hub.dispatcher.wake()

    def _bring(self) -> None:
        if self._hub.relay is not None:
            self._hub.relay.courier.run_once()

    def _sweep(self) -> None:
        if self._hub.relay is not None:
            self._hub.relay.courier.sweep()

    def _prune(self) -> None:
        upkeep.prune(self._hub.store, self._hub.settings, self._hub.clock)

    def _roll_up(self) -> None:
        upkeep.roll_up(self._hub.store, self._hub.clock, stopping=self._stop.is_set)

    def _watch_moodle(self) -> None:
        hub = self._hub
        upkeep.watch_moodle(hub.moodle, hub.store, hub.log, hub.settings, hub.clock)

    def _look(self) -> None:
        self._hub.refresh()

    def _set_clock(self) -> None:
        upkeep.set_clock(self._hub.store, self._hub.clock)

    def _beat(self) -> None:
        with self._hub.store.change() as conn:
            replicas.beat(
                conn,
                self._hub.replica.name,
                tail_at=self._tail.last_round,
                dispatch_at=self._dispatch.last_round,
                now=self._hub.clock.now(),
                problem=self._problem(),
            )

    def _quietly(self, work: Callable[[], None]) -> None:
        """Do the last things as well as the databases allow; what cannot be given back ends by itself."""
        try:
            work()
        except SQLAlchemyError as error:
            _log.warning(
                "stop.incomplete: %s. Leases end by themselves.", explain(error, self._hub.store.shown)
            )
