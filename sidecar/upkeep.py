"""What keeps the house in order: rescue leases of the dead, prune what is old, add up, watch Moodle."""

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sidecar.clock import Clock, SystemClock
from sidecar.model import Level, Watched
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.watch import Outlook, look
from sidecar.settings import Settings
from sidecar.store import (
    audit,
    counts,
    cursors,
    gaps,
    leases,
    log,
    order,
    queue,
    replays,
    replicas,
    stats,
    watch,
)
from sidecar.store.engine import Database
from sidecar.store.stats import Span, Tally
from sidecar.store.waiting import bury_expired, has_expired

_log = logging.getLogger("mih.upkeep")

_PIECE = 500
_MOST_PIECES = 200
_DEAD_AFTER = timedelta(days=1)
_GAPS_KEPT = timedelta(days=90)
_FINE_KEPT = timedelta(hours=48)
_LATE = timedelta(minutes=5)
_TENS_A_ROUND = 30
_HOURS_A_ROUND = 48
_LOOK_AGAIN = timedelta(seconds=50)


Stopping = Callable[[], bool]


def _never() -> bool:
    return False


def rescue(store: Database, settings: Settings, clock: Clock) -> int:
    """Free the deliveries of processes that died, and those that were left held; return how many."""
    lease_s = settings.dispatch.lease
    with store.read() as conn:
        stranded = order.stranded(conn)
        if not stranded and not leases.has_overdue(conn, now=clock.now(), lease_s=lease_s):
            return 0
    with store.write() as conn:
        rescued = leases.rescue(conn, now=clock.now(), lease_s=lease_s)
        freed = order.free(conn, stranded)
    if rescued:
        _log.warning("upkeep.rescued deliveries=%d: the process that held them is gone", rescued)
    return rescued + freed


def expire(store: Database, clock: Clock) -> int:
    """Make dead letters of what waits longer than its rule allows, sent to or not; return how many.

    In short transactions; any number of replicas may do it.
    """
    with store.read() as conn:
        if not has_expired(conn, clock.now()):
            return 0
    expired = _in_pieces(store, lambda conn: bury_expired(conn, now=clock.now(), limit=_PIECE))
    if expired:
        _log.warning("upkeep.expired deliveries=%d: they waited longer than expires_after", expired)
    return expired


def prune(store: Database, settings: Settings, clock: Clock) -> int:
    """Delete what is older than the retention settings say, in small pieces; return how many rows.

    Each piece is a short transaction of its own, so that nobody waits for it.
    """
    now, keep = clock.now(), settings.retention
    removed = _in_pieces(
        store, lambda conn: queue.prune(conn, before=_ago(now, keep.delivered_days), limit=_PIECE)
    )
    removed += _in_pieces(store, lambda conn: log.prune(conn, before=_ago(now, keep.log_days), limit=_PIECE))
    if (rows := keep.log_rows) is not None:
        removed += _in_pieces(store, lambda conn: log.prune_over(conn, keep=rows, limit=_PIECE))
    audited = _ago(now, keep.audit_days)
    removed += _in_pieces(store, lambda conn: audit.prune(conn, before=audited, limit=_PIECE))
    removed += _in_pieces(store, lambda conn: gaps.prune(conn, before=now - _GAPS_KEPT, limit=_PIECE))
    with store.write() as conn:
        removed += counts.prune(conn, before=_ago(now, keep.counts_days))
        removed += replays.prune(conn, before=audited)
        fine_before = _fine_since(now) - Span.HOUR.length
        removed += stats.prune(conn, fine_before=fine_before, before=_ago(now, keep.stats_days))
        removed += replicas.forget(conn, before=now - _DEAD_AFTER)
    return removed


def set_clock(store: Database, clock: Clock) -> None:
    """Set our clock by the store's, so that all replicas agree on leases."""
    if isinstance(clock, SystemClock):
        moved = abs(clock.set(store.now()))
        if moved > timedelta(seconds=5):
            _log.warning(
                "upkeep.clock_moved seconds=%.1f: the database's clock was set", moved.total_seconds()
            )


def roll_up(store: Database, clock: Clock, *, stopping: Stopping = _never) -> int:
    """Bring the statistics up to the last full minute, a bounded piece of it; return how many rows changed.

    Any number of replicas may do it. What is behind is made up in later rounds, the oldest first. The last
    minutes are counted again: a try is logged when it is settled, under the time when it began. Died half
    way it leaves nothing wrong: the newest rows are always made again, with the sums that they are in.
    """
    now = clock.now()
    with store.read() as conn:
        newest = stats.last(conn, Span.MINUTE)
    return _old_hours(store, newest, now, stopping) + _tens(store, newest, now, stopping)


def _tens(store: Database, newest: datetime | None, now: datetime, stopping: Stopping) -> int:
    ends, changed = Span.MINUTE.floor(now), 0
    at: datetime | None = _fine_since(now)
    if newest is not None:
        at = max(_fine_since(now), min(newest, ends) - _LATE)  # not beyond now: the clock was set back
    for _ in range(_TENS_A_ROUND):
        with store.read() as conn:
            at = stats.next_at(conn, at)
        if at is None or at >= ends or stopping():
            break
        upto = min(Span.TEN.floor(at) + Span.TEN.length, ends)
        changed += _ten(store, at, upto)
        at = upto
    return changed


def _ten(store: Database, at: datetime, ends: datetime) -> int:
    """Count the minutes that something happened in, then what they are a part of."""
    changed, begins, upcoming = 0, Span.TEN.floor(at), at
    while upcoming < ends:
        minute = Span.MINUTE.floor(upcoming)
        with store.read() as conn:
            counted = stats.count(conn, minute, minute + Span.MINUTE.length)
            changed += _write(store, conn, Span.MINUTE, minute, counted)
            upcoming = stats.next_at(conn, minute + Span.MINUTE.length) or ends
    for span in (Span.TEN, Span.HOUR, Span.QUARTER, Span.DAY):
        with store.read() as conn:
            since = span.floor(begins)
            changed += _write(store, conn, span, since, stats.fold(conn, span, since))
    return changed


def _write(store: Database, conn: Connection, span: Span, begins: datetime, found: Iterable[Tally]) -> int:
    fresh = stats.news(conn, span, begins, found)
    if fresh:
        with store.write() as writing:
            stats.save(writing, span, begins, fresh)
    return len(fresh)


def _old_hours(store: Database, newest: datetime | None, now: datetime, stopping: Stopping) -> int:
    """Count the hours that are too old for minutes: after an update, or a long time without a sidecar."""
    fine, changed = _fine_since(now), 0
    with store.read() as conn:
        at = stats.last(conn, Span.HOUR, before=fine)
    if at is not None and newest is not None and newest >= fine:
        at += Span.HOUR.length  # else its last minutes were never counted: once more
    for _ in range(_HOURS_A_ROUND):
        with store.read() as conn:
            at = stats.next_at(conn, at)
            if at is None or at >= fine or stopping():
                break
            hour = Span.HOUR.floor(at)
            fresh = stats.news(conn, Span.HOUR, hour, stats.count(conn, hour, hour + Span.HOUR.length))
        if fresh:
            changed += len(fresh)
            with store.write() as conn:
                stats.save(conn, Span.HOUR, hour, fresh)
                for span in (Span.QUARTER, Span.DAY):
                    begins = span.floor(hour)
                    stats.save(conn, span, begins, stats.fold(conn, span, begins))
        at = hour + Span.HOUR.length
    return changed


def _fine_since(now: datetime) -> datetime:
    return Span.HOUR.floor(now) - _FINE_KEPT


def watch_moodle(
    moodle: Database, store: Database, log_store: LogStore, settings: Settings, clock: Clock
) -> list[Watched]:
    """Look at Moodle and write down what is seen, once a minute over all replicas; return what is new."""
    with store.read() as conn:
        seen_at = watch.seen_at(conn, settings.site)
        if seen_at is not None and timedelta() <= clock.now() - seen_at < _LOOK_AGAIN:
            return []
        before = watch.load(conn, settings.site)
        cursor = cursors.load(conn, settings.site)
        with moodle.read() as there:
            outlook = Outlook(
                log=log_store,
                prefix=settings.moodle.prefix,
                position=cursor.position if cursor else None,
                before=before,
                busy=lambda hour: counts.is_busy(conn, hour),
            )
            found = look(there, outlook, clock.now)
    with store.write() as conn:
        watch.save(conn, settings.site, found, now=clock.now())
    fresh = [one for one in found if _is_new(one, before.get(one.subject))]
    for one in fresh:
        _log.warning("moodle.watched subject=%s code=%s detail=%s", one.subject, one.code, dict(one.detail))
    return fresh


def _is_new(one: Watched, before: Watched | None) -> bool:
    return one.level.rank > Level.UNKNOWN.rank and (before is None or before.code != one.code)


def _in_pieces(store: Database, delete: Callable[[Connection], int]) -> int:
    removed = 0
    for _ in range(_MOST_PIECES):
        with store.write() as conn:
            gone = delete(conn)
        removed += gone
        if gone < _PIECE:
            break
    return removed


def _ago(now: datetime, days: float) -> datetime:
    return now - timedelta(days=days)
