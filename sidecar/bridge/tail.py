"""Read Moodle's log from the cursor on, and queue what the rules make of it, exactly once."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from sidecar.bridge.harvest import Harvest, Harvester, unstorable
from sidecar.bridge.inforce import Register
from sidecar.bridge.scout import Errand, Scout
from sidecar.bridge.sight import Ahead, Behind, look_behind
from sidecar.bridge.start import first_position
from sidecar.bridge.watch import Watch
from sidecar.clock import Clock
from sidecar.errors import BrokerUnavailable, LeaseLost, said
from sidecar.model import Cursor, Delivery
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.names import NameFilter
from sidecar.moodle.watch import overtaken
from sidecar.settings import TailSettings
from sidecar.store import counts, cursors, gaps, queue, watch
from sidecar.store.engine import Database
from sidecar.store.faults import UNSTORABLE

_log = logging.getLogger("mih.tail")


class Outlet(Protocol):
    """Where deliveries go that not the store but a broker carries: see `courier`."""

    def ready(self) -> None:
        """See that it takes any."""

    def enqueue(self, conn: Connection, deliveries: Sequence[Delivery], *, now: datetime) -> None:
        """Queue deliveries and have them carried before the transaction ends."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of the tail did. `moved`: something was there; `more`: there is more right now.

    `head` is where it saw the log end.
    """

    tailing: bool
    events: int = 0
    queued: int = 0
    moved: bool = False
    more: bool = False
    head: int | None = None
    problem: str | None = None


class Tail:
    """The reading half of the bridge. Several replicas may run it: the one with the cursor's lease reads.

    Killed at any instruction it loses nothing and queues nothing twice: cursor, gaps and deliveries change in
    one transaction, which is refused when another replica took over meanwhile.
    """

    def __init__(
        self,
        moodle: Database,
        store: Database,
        log: LogStore,
        *,
        site: str,
        replica: str,
        settings: TailSettings,
        harvester: Harvester,
        clock: Clock,
        queued: Callable[[], None],
        outlet: Outlet | None = None,
    ) -> None:
        self._moodle, self._store, self._log = moodle, store, log
        self._site, self._replica, self._settings = site, replica, settings
        self._clock = clock
        self._queued = queued
        self._outlet = outlet
        self.harvester = harvester
        self._cursor: Cursor | None = None
        self._watch = Watch(store, site, clock)
        self._register = Register(site)
        self._scout = Scout(moodle, log)
        self._renew_at = 0.0
        self._limit = settings.batch
        self._told: set[str] = set()  # rules whose large payloads were mentioned

    def run_once(self, *, gently: bool = False) -> Round:
        """Make one round: hold the cursor, look, harvest, commit. Safe to call again after any exception.

        `gently`: read nothing while something is written, so that less of the machine is used at a time.
        """
        self._scout.stays = gently
        try:
            cursor = self._hold()
            return self._round(cursor) if cursor else Round(tailing=False)
        except LeaseLost as lost:
            _log.warning("tail.lease_lost site=%s reason=%r", self._site, str(lost))
            self._cursor = None
            return Round(tailing=False)
        except BaseException:
            self._register.forget()
            self._cursor = None  # what is remembered here may differ from the tables: read them again
            raise

    def release(self) -> None:
        """Let another replica take over at once."""
        cursor, self._cursor = self._cursor, None
        if cursor is not None:
            with self._store.write() as conn:
                cursors.release(conn, cursor, now=self._clock.now())

    def _hold(self) -> Cursor | None:
        """Return the cursor if this replica holds its lease, which is extended when half of it is over."""
        held = self._cursor
        if held is not None and self._clock.monotonic() < self._renew_at:
            return held
        renew_at = self._clock.monotonic() + self._settings.lease / 2
        cursor = self._take() if held is None else self._renewed(held) or self._take()
        self._cursor, self._renew_at = cursor, renew_at
        return cursor

    def _renewed(self, held: Cursor) -> Cursor | None:
        with self._store.change() as conn:
            return cursors.renew(conn, held, now=self._clock.now(), lease_s=self._settings.lease)

    def _take(self) -> Cursor | None:
        """Take the lease, and read again what others may have changed."""
        self._ensure_cursor()
        with self._store.write() as conn:
            now = self._clock.now()
            cursor = cursors.lease(conn, self._site, self._replica, now=now, lease_s=self._settings.lease)
            if cursor is not None:
                self._watch.load(conn)
                self._register.forget()
        return cursor

    def _ensure_cursor(self) -> None:
        with self._store.read() as conn:
            if cursors.load(conn, self._site) is not None:
                return
        with self._moodle.read() as conn:
            position, holes = first_position(conn, self._log, self._settings.start)
        with suppress(IntegrityError), self._store.write() as conn:  # another replica may be first
            now = self._clock.now()
            cursors.create(conn, self._site, position, now=now)
            gaps.remember(conn, self._site, holes, seen_at=now)

    def _round(self, cursor: Cursor) -> Round:
        limit, harvester = self._limit, self.harvester
        self._register.judges(harvester.book)
        names = None if "*" in harvester.book.names else NameFilter.of(harvester.book.names)
        with self._moodle.read() as conn:
            head = self._log.head(conn)
            if head is not None and head < cursor.position:
                return self._alarm(cursor, head)
            now = self._clock.now()
            newest = min(now, cursor.caught_up_at or now)
            window, end = self._settings.window, cursor.position if head is None else head
            errand = Errand(names, cursor.position, end, window, limit, harvester, newest, now)
            ahead, harvest = Ahead((), end, ()), Harvest()
            if end != cursor.position:
                ahead, harvest = self._scout.ask(errand)
            due = self._watch.due(now, hurried=head is not None and ahead.position < head)
            behind = look_behind(conn, self._log, names, due, self._settings, now=now, limit=limit)
            if behind.events:
                harvest.add(harvester.gather(conn, behind.events, newest=newest, now=now))
        more = (head is not None and ahead.position < head) or not behind.complete
        after = replace(
            cursor,
            position=ahead.position,
            head=head,
            caught_up_at=cursor.caught_up_at if more else now,
            problem=None,
        )
        harvest.tally += _late(behind, harvest)
        if ahead.position != cursor.position or behind.changes or cursor.problem:
            if self._outlet is not None and harvest.deliveries:
                self._outlet.ready()
            try:
                self._commit(cursor, after, ahead, behind, harvest)
            except BrokerUnavailable:
                self._limit = max(limit // 2, 1)  # it may have been too much for the time that there was
                raise
            except UNSTORABLE as error:
                if limit > 1:
                    return self._go_row_by_row(cursor, error)
                self._commit(cursor, after, ahead, behind, unstorable(harvest, error))
        self._cursor = after
        self._mention(harvest)
        # What was too much a moment ago is come back to in steps.
        self._limit = min(limit + limit // 8 + 1, self._settings.batch) if more else self._settings.batch
        events = len(ahead.events) + len(behind.events)
        moved = ahead.position != cursor.position or events > 0
        return Round(True, events, len(harvest.deliveries), moved, more, head)

    def _mention(self, harvest: Harvest) -> None:
        """Say once of each rule that its payloads are large."""
        for rule, size in harvest.large.items():
            if rule not in self._told:
                self._told.add(rule)
                _log.warning("tail.large_payload rule=%s bytes=%d: every try sends all of it", rule, size)

    def _alarm(self, cursor: Cursor, head: int) -> Round:
        """Stand still: the log ends before the place that was read already."""
        problem = said(
            "the newest row of %(table)s is %(head)s, but rows up to %(position)s were read already: the"
            " table was restored or emptied. Nothing is read until you decide where to go on:"
            " `mih cursor set latest`, or `mih cursor set ID` to read again from that row.",
            table=self._log.name,
            head=head,
            position=cursor.position,
        )
        if cursor.problem != problem:
            _log.error("tail.stopped site=%s reason=%r", self._site, problem)
            stopped = replace(cursor, problem=problem, head=head)
            with self._store.write() as conn:
                cursors.advance(conn, cursor, stopped, now=self._clock.now())
            self._cursor = stopped
        return Round(True, problem=problem)

    def _go_row_by_row(self, cursor: Cursor, error: Exception) -> Round:
        """The store cannot hold something of this batch: find the one row, so that only it is given up."""
        _log.warning("tail.isolating site=%s after=%d reason=%r", self._site, cursor.position, str(error))
        self._limit = 1
        self._cursor = None
        return Round(True, more=True)

    def _commit(self, before: Cursor, after: Cursor, ahead: Ahead, behind: Behind, harvest: Harvest) -> None:
        """Transaction T1: everything of this round, or nothing."""
        with self._store.write() as conn:
            now = self._clock.now()
            cursors.advance(conn, before, after, now=now)
            queue.enqueue_dead(conn, harvest.letters, now=now)
            counts.add(conn, harvest.tally, now=now)
            late_from = self._watch.lowest(before.position + 1)
            self._register.write(conn, position=before.position, late_from=late_from, now=now)
            self._watch.write(conn, ahead, behind, now)
            if ahead.cleaned_up_to is not None:
                lost = overtaken(position=before.position, first=ahead.cleaned_up_to + 1, now=now)
                watch.save(conn, self._site, [lost], now=now)
            if self._outlet is None:
                queue.enqueue(conn, harvest.deliveries, now=now)
            else:
                self._outlet.enqueue(conn, harvest.deliveries, now=now)
        if ahead.cleaned_up_to is not None:
            _log.error(
                "tail.overtaken site=%s from=%d to=%d: Moodle deleted these rows before they were read",
                self._site,
                before.position + 1,
                ahead.cleaned_up_to,
            )
        if harvest.deliveries:
            self._queued()


def _late(behind: Behind, harvest: Harvest) -> Counter[tuple[str, str]]:
    """Return how many deliveries come of rows in gaps that had been given up, by rule."""
    if not behind.late:
        return Counter()
    return Counter(
        (delivery.rule or "", counts.LATE)
        for delivery in harvest.deliveries
        if delivery.log_id in behind.late
    )
