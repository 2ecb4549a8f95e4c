"""Where a new cursor begins."""

from datetime import datetime

from sqlalchemy import Connection

from sidecar.moodle.logstore import LogStore, Range

# Transactions that are open while the cursor is made may still fill ids this far below it.
_LOOK_BACK = 1_000


def first_position(conn: Connection, log: LogStore, start: str | int) -> tuple[int, list[Range]]:
    """Return the id after which reading begins, and the ids below it that may still appear.

    `start` is latest, beginning, a log id (the first one read) or an ISO 8601 time.
    """
    if start == "latest":
        return _latest(conn, log)
    if start == "beginning":
        first = log.next_id(conn, 0)
        return (first or 1) - 1, []
    if isinstance(start, int) or start.isdecimal():
        return int(start) - 1, []
    first = log.first_id_at(conn, int(datetime.fromisoformat(start).timestamp()))
    return _latest(conn, log) if first is None else (first - 1, [])


def _latest(conn: Connection, log: LogStore) -> tuple[int, list[Range]]:
    head = log.head(conn) or 0
    return head, log.missing(conn, max(head - _LOOK_BACK, 0), head)
