"""When what happens: which jobs one process has, how often each ticks, and how they all end."""

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from sidecar import upkeep
from sidecar.bridge.backfill import Backfill
from sidecar.bridge.calm import Calm
from sidecar.bridge.courtesy import Courtesy
from sidecar.bridge.quiet import unfinished
from sidecar.hub import Hub
from sidecar.jobs import Steady, Ticker
from sidecar.store import cursors, replicas
from sidecar.store.faults import explain
from sidecar.store.overview import Rounds

_log = logging.getLogger("mih")

_BEAT_S = 10
_RELOAD_S = 2
_LOOK_S = 4
_COMPARE_S = 30
_CLOCK_S = 60
_EXPIRE_S = 10
_PRUNE_S = 600
_STATS_S = 60
_WATCH_S = 60
_REPLAY_S = 0.5
_COURIER_S = 0.5
_SWEEP_S = 60


class Scheduler:
    """Runs a hub until it is told to stop."""

    def __init__(self, hub: Hub, *, reload: Callable[[], None] | None = None) -> None:
        self._hub = hub
        self._stop = threading.Event()
        self._beats = Steady("beat", self._beat, hub)
        over = self._beats.at_once  # else the last beat would name for a while what is over
        self._tail = Steady("tail", self._read_all, hub, over=over)
        self._dispatch = Steady("dispatch", hub.dispatcher.run_once, hub, over=over)
        self._courier = Steady("courier", self._bring, hub, over=over)
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
        found.append(self._hub.discord)
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
        every(_COMPARE_S, Steady("compare", self._hub.compare, self._hub), delay_s=_COMPARE_S)
        every(_BEAT_S, self._beats)
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
