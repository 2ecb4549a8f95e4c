"""When rows of the log were written, as well as their neighbours can tell."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from sidecar.model import Event
from sidecar.moodle.logstore import LogStore

_NEIGHBOURS = 3
_LATEST = 253_402_300_799  # the last second that a date can say


class Written:
    """The times of one piece of the log. Rows that a restored course brought have times of long ago: Moodle
    leaves their origin empty, and the rows around them tell when they came.
    """

    def __init__(self, times: Sequence[tuple[int, int]], following: int | None, now: datetime) -> None:
        self._ids = [log_id for log_id, _ in times]
        self._times = [at for _, at in times]
        self._following, self._now = following, now

    def at(self, event: Event) -> datetime:
        """Return when the row was written, about."""
        if event.origin is not None:
            return moment(event.timecreated)
        at = bisect_left(self._ids, event.id)
        if at:
            return moment(self._times[at - 1])
        return moment(self._times[0]) if self._times else self._next()

    def seen_by(self, event: Event, patience: timedelta) -> datetime:
        """Return the latest time by which the tail can have seen everything before this row.

        Its own time, where those before it do not give that the lie, else the newest of its neighbours; and
        as much more as a transaction is waited for. Rather too late than too early: what may have been too
        old is then put down as such, and nobody is alarmed.
        """
        at = bisect_left(self._ids, event.id)
        own = moment(event.timecreated) + patience
        before = max(self._times[max(at - _NEIGHBOURS, 0) : at], default=0)
        if event.origin is not None and moment(before) <= own:
            return min(own, self._now)
        near = self._times[max(at - 1, 0) : at + _NEIGHBOURS]
        if at + _NEIGHBOURS > len(self._times):
            return min(max([self._next(), *map(moment, near)]) + patience, self._now)
        return min(moment(max(near)) + patience, self._now)

    def _next(self) -> datetime:
        return self._now if self._following is None else moment(self._following)


def written(conn: Connection, log: LogStore, after: int, upto: int, now: datetime) -> Written:
    """Return the times of the rows with after < id <= upto."""
    return Written(log.times(conn, after, upto), log.time_after(conn, upto, upto + _FAR), now)


_FAR = 1_000_000_000


def moment(timecreated: int) -> datetime:
    """Return a time of Moodle's as a moment, the nearest there is for nonsense."""
    return datetime.fromtimestamp(min(max(timecreated, 0), _LATEST), UTC)


def hour_of(at: datetime) -> datetime:
    """Return the hour that a moment is in."""
    return at.replace(minute=0, second=0, microsecond=0)
