"""Ids of Moodle's log that come again with other rows: found before these are taken for known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings
from sidecar.store import accounted
from sidecar.store.accounted import Known
from sidecar.store.engine import Database


@dataclass(frozen=True, slots=True)
class Reused:
    """An id under which `event` was queued, and which now has another row, or will have."""

    log_id: int
    event: str
    at: datetime


def reused(
    moodle: Database, store: Database, log: LogStore, settings: Settings, position: int
) -> Reused | None:
    """Return an id above `position` whose row was another one when it was queued; None: there is none.

    Looks at the lowest and the highest of them. An id beyond the log's end counts: it will be given again.
    """
    with store.read() as conn:
        known = accounted.above(conn, position)
    known = [one for one in known if one.delivery_id == settings.delivery_id(one.rule, one.log_id)]
    with moodle.read() as conn:
        return _first_other(conn, log, known)


def _first_other(conn: Connection, log: LogStore, known: Sequence[Known]) -> Reused | None:
    numbers = sorted({one.log_id for one in known})
    head = log.head(conn) or 0
    rows = {row.id: row for row in log.rows_in(conn, [(n, n) for n in numbers], None, len(numbers)).rows}
    for one in known:
        row = rows.get(one.log_id)
        other = one.log_id > head if row is None else _differs(one, row.eventname, row.timecreated)
        if other:
            return Reused(one.log_id, one.event, one.event_at)
    return None


def _differs(one: Known, event: str, timecreated: int) -> bool:
    return (one.event, one.event_at) != (event, datetime.fromtimestamp(timecreated, UTC))
