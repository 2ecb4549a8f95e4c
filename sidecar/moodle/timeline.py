"""From a time to an id: a few rows are looked at by the primary key, instead of walking an index of times."""

from sqlalchemy import Connection

from sidecar.moodle.logstore import LogStore

_CLOSE = 1_000
# Rows wait in PHP's memory and in open transactions: neighbours differ by as much as a long page takes.
_MARGIN = 2_000


def id_before(conn: Connection, log: LogStore, timecreated: int) -> int:
    """Return an id below which no row of that time (Unix seconds) or later is to be expected.

    A search by halves, some twenty queries whatever the size of the log. Rows are only nearly in the order of
    their times, so the answer lies a little too low rather than too high. Old rows that a restored course
    brought are not asked: Moodle leaves their origin empty. What it may miss is a row that waited in memory
    for longer than the site needs to write 2,000 others.
    """
    first = log.next_id(conn, 0)
    if first is None:
        return 0
    low, high = first - 1, log.head(conn) or first
    while high - low > _CLOSE:
        middle = (low + high) // 2
        found = log.time_after(conn, middle, high)
        if found is None or found >= timecreated:
            high = middle
        else:
            low = middle
    return max(low - _MARGIN, first - 1)
