"""Where a new cursor begins."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from sidecar.moodle.logstore import LogStore
from sidecar.moodle.missing import Range

# Transactions that are open while the cursor is made may still fill ids this far below it.
_LOOK_BACK = 1_000


def first_position(conn: Connection, log: LogStore, start: str | int) -> tuple[int, list[Range]]:
    """Return the id after which reading begins, and the ids below it that may still appear.

    `start` is latest, beginning, a log id (the first one read) or an ISO 8601 time.
    """
    if start == "latest":
        return _before(conn, log, (log.head(conn) or 0) + 1)
    if start == "beginning":
        return _before_first(conn, log, lambda: log.next_id(conn, 0) or 1)
    if isinstance(start, int) or start.isdecimal():
        return int(start) - 1, []
    since = int(datetime.fromisoformat(start).timestamp())
    end = (log.head(conn) or 0) + 1
    return _before_first(conn, log, lambda: log.first_id_at(conn, since) or end)


def _before_first(conn: Connection, log: LogStore, look: Callable[[], int]) -> tuple[int, list[Range]]:
    """Return the position before the first wanted row, which need not be the first one that is visible.

    Looks again until nothing has appeared below it: that would be neither missing nor after the position.
    """
    first = look()
    while True:
        found = _before(conn, log, first)
        if (again := look()) >= first:
            return found
        first = again


def _before(conn: Connection, log: LogStore, first: int) -> tuple[int, list[Range]]:
    position = first - 1
    return position, log.missing(conn, max(position - _LOOK_BACK, 0), position)
