"""What keeps the house in order: rescue leases of the dead, prune what is old, sign in as alive."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sidecar.clock import Clock, SystemClock
from sidecar.settings import Settings
from sidecar.store import counts, gaps, log, queue, replicas
from sidecar.store.engine import Database

_log = logging.getLogger("mih.upkeep")

_PIECE = 500
_MOST_PIECES = 200
_DEAD_AFTER = timedelta(days=1)
_GAPS_KEPT = timedelta(days=90)


def rescue(store: Database, settings: Settings, clock: Clock) -> int:
    """Free the deliveries of processes that died; return how many."""
    with store.write() as conn:
        freed = queue.rescue(conn, now=clock.now(), lease_s=settings.dispatch.lease)
    if freed:
        _log.warning("upkeep.rescued deliveries=%d: the process that held them is gone", freed)
    return freed


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
    removed += _in_pieces(store, lambda conn: gaps.prune(conn, before=now - _GAPS_KEPT, limit=_PIECE))
    with store.write() as conn:
        removed += counts.prune(conn, before=_ago(now, keep.counts_days))
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
