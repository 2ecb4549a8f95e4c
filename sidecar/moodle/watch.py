"""What is watched of a Moodle while the sidecar runs: cron, silence, cleanup, clocks, log store, log format.

Every question is answered by a primary key or from a table of few rows: once a minute is no load.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from sidecar.errors import said
from sidecar.model import Level, Watched
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.site import AHEAD_S, SKEW_S, STANDARD_STORE, Fact, SiteFacts, facts, last_cron, skew_s

_STALE = timedelta(minutes=15)
_CHANGE_SHOWN = timedelta(days=1)

# Whether an hour that begins then is one in which the log is never silent; None: too little is known.
Busy = Callable[[datetime], bool | None]


@dataclass(frozen=True, slots=True)
class Reach:
    """How near Moodle's cleanup is to a cursor."""

    first: int | None
    overtaken: bool
    unread_age_s: float = 0.0

    def is_late(self, days: int | None) -> bool:
        """Whether the next row to read has lived half of the days that Moodle keeps rows; 0 is for ever."""
        return bool(days) and self.unread_age_s > (days or 0) * 86_400 / 2


def reach(conn: Connection, log: LogStore, position: int, *, now: datetime) -> Reach:
    """Compare where the log begins with a cursor. Three looks into the primary key."""
    first, unread = log.next_id(conn, 0), log.next_id(conn, position)
    overtaken = first is not None and position > 0 and first > position + 1
    row = log.row(conn, unread) if unread is not None else None
    return Reach(first, overtaken, max(now.timestamp() - row.timecreated, 0.0) if row else 0.0)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What it takes to look: the log, how far it is read, what was seen before, which hours are busy."""

    log: LogStore
    prefix: str
    position: int | None
    before: Mapping[str, Watched]
    busy: Busy


def look(conn: Connection, outlook: Outlook, clock: Callable[[], datetime]) -> list[Watched]:
    """Return what is to be seen now, one of each subject; what was seen before keeps its beginning."""
    asked_at = clock()
    site = facts(conn, outlook.prefix)
    now = clock()
    head = outlook.log.head(conn)
    row = outlook.log.row(conn, head) if head is not None else None
    newest = row.timecreated if row is not None else None
    found = [
        _cron(last_cron(conn, outlook.prefix), now),
        _silence(outlook, head, newest, now),
        _cleanup(conn, outlook, site.loglifetime_days, now),
        _clock(site, newest, asked_at, now),
        _log_store(outlook, site.log_stores, now),
        _json_format(outlook.before.get("json_format"), site.jsonformat, now),
    ]
    return [_since(one, outlook.before.get(one.subject)) for one in found]


def _since(one: Watched, before: Watched | None) -> Watched:
    """Keep since when it is so."""
    same = before is not None and before.code == one.code
    return replace(one, since_at=before.since_at) if before is not None and same else one


def _well(subject: str, now: datetime, **detail: Any) -> Watched:
    return Watched(subject, Level.WELL, "well", now, detail)


def _unknown(subject: str, now: datetime, reason: str) -> Watched:
    text, _, remedy = reason.partition("Mend: ")
    detail = {"reason": text.strip().rstrip("."), "remedy": remedy.strip() or None}
    return Watched(subject, Level.UNKNOWN, "unknown", now, detail)


def _attention(subject: str, code: str, since: datetime, **detail: Any) -> Watched:
    return Watched(subject, Level.ATTENTION, code, since, detail)


def _cron(ran: Fact[datetime], now: datetime) -> Watched:
    if ran.value is None:
        return _unknown("cron", now, str(ran.unknown))
    if now - ran.value > _STALE:
        return _attention("cron", "cron_stale", ran.value)
    return _well("cron", now)


def _silence(outlook: Outlook, head: int | None, newest: int | None, now: datetime) -> Watched:
    """Judge by when the newest id was first seen: a restored course brings old rows with new ids."""
    before = outlook.before.get("silence")
    moved_at = now.timestamp()
    if before is not None and before.detail.get("head") == head:
        moved_at = before.detail["moved_at"]
    elif before is None and newest is not None:
        moved_at = min(newest, moved_at)
    detail = {"head": head, "moved_at": moved_at}
    since = datetime.fromtimestamp(moved_at, UTC)
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    if since < hour and outlook.busy(hour):
        return _attention("silence", "log_silent", since, **detail)
    return _well("silence", now, **detail)


def overtaken(*, position: int, first: int, now: datetime) -> Watched:
    """Return what is to be said when rows were deleted before they were read; it is told for a day."""
    return Watched("cleanup", Level.ILL, "cleanup_overtook", now, {"first": first, "position": position})


def _told(before: Watched | None, code: str, now: datetime) -> Watched | None:
    """Return what was seen before, while it is still to be told."""
    told = before is not None and before.code == code and now - before.since_at < _CHANGE_SHOWN
    return before if told else None


def _cleanup(conn: Connection, outlook: Outlook, days: Fact[int], now: datetime) -> Watched:
    if outlook.position is None:
        return _well("cleanup", now)
    found = reach(conn, outlook.log, outlook.position, now=now)
    if found.overtaken and found.first is not None:
        return overtaken(position=outlook.position, first=found.first, now=now)
    if (told := _told(outlook.before.get("cleanup"), "cleanup_overtook", now)) is not None:
        return told
    if found.is_late(days.value):
        return _attention("cleanup", "cleanup_near", now, age_s=round(found.unread_age_s), days=days.value)
    return _unknown("cleanup", now, days.unknown) if days.unknown else _well("cleanup", now)


def _clock(site: SiteFacts, newest: int | None, before: datetime, now: datetime) -> Watched:
    skew = skew_s(site.now.value, before, now) if site.now.value else 0.0
    if abs(skew) > SKEW_S:
        return _attention("clock", "clock_differs", now, apart_s=round(abs(skew)))
    ahead = newest - now.timestamp() if newest is not None else 0.0
    if ahead > AHEAD_S:
        return _attention("clock", "rows_from_ahead", now, ahead_s=round(ahead))
    return _well("clock", now)


def _log_store(outlook: Outlook, stores: Fact[tuple[str, ...]], now: datetime) -> Watched:
    if not outlook.log.name.endswith("logstore_standard_log"):
        return _unknown("log_store", now, said("%(table)s is no standard log", table=outlook.log.name))
    if stores.value is None:
        return _unknown("log_store", now, str(stores.unknown))
    if STANDARD_STORE not in stores.value:
        return Watched("log_store", Level.ILL, "log_store_off", now)
    return _well("log_store", now)


def _json_format(before: Watched | None, enabled: Fact[bool], now: datetime) -> Watched:
    """Tell a change for a day: what was written before it stays in the old format, and both are read."""
    if enabled.value is None:
        return _unknown("json_format", now, str(enabled.unknown))
    known = before.detail.get("json") if before is not None else None
    changed = known is not None and known != enabled.value
    if changed or _told(before, "json_changed", now):
        written = "JSON" if enabled.value else "PHP serialize()"
        return _attention("json_format", "json_changed", now, json=enabled.value, format=written)
    return _well("json_format", now, json=enabled.value)
