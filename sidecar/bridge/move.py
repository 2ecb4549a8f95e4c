"""The cursor goes where somebody wants it: after a restored log table, or to leave a backlog behind."""

from datetime import datetime

from sqlalchemy import Connection

from sidecar.bridge.holes import cut
from sidecar.bridge.start import first_position
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.missing import Range
from sidecar.store import cursors, gaps, versions
from sidecar.store.engine import Database


def destination(moodle: Database, log: LogStore, target: str) -> tuple[int, list[Range]]:
    """Return the position that `target` (latest, or the id of the first row to read) means, and its holes."""
    with moodle.read() as conn:
        return first_position(conn, log, target)


def move(conn: Connection, site: str, position: int, holes: list[Range], *, now: datetime) -> None:
    """Put the cursor at `position`; the replica that tails notices, and its running round is void.

    What was missing above the new place is forgotten, since it is read again; so is what `holes` tells anew.
    """
    before = cursors.load(conn, site)
    cursors.place(conn, site, position, now=now)
    if before is not None and before.position < position:
        versions.skip(conn, site, before.position, position, now=now)
    known_until = min([position, *(first - 1 for first, _ in holes)])
    for gap in gaps.waiting(conn, site):
        if gap.last_id > known_until:
            gaps.replace(conn, site, [gap], cut(gap, known_until))
    gaps.remember(conn, site, holes, seen_at=now)
