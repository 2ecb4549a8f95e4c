"""Who changed what, when and by which door: `mih_audit`, written in the transaction of the change itself."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from sidecar.store.tables import audit

# Characters; of four bytes at most, MySQL's TEXT ends at 65,535 bytes.
_LONGEST_DETAIL = 4_000
_LONGEST_OBJECT = 200
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Author:
    """Somebody who changes something: a token, a user or an account of this machine, and by which door."""

    who: str
    via: str  # api, dashboard, command


def write(
    conn: Connection,
    *,
    who: str,
    via: str,
    action: str,
    object: str,  # noqa: A002 - the column's name
    detail: str | None = None,
    now: datetime,
) -> None:
    """Write down one change. `detail` is for people: never a secret, never a payload."""
    row = {
        "done_at": now,
        "who": _kept(who, _LONGEST_NAME),
        "via": via,
        "action": action,
        "object": _kept(object, _LONGEST_OBJECT),
        "detail": _kept(detail, _LONGEST_DETAIL) if detail else None,
    }
    conn.execute(audit.insert(), row)


def note(
    conn: Connection, by: Author | None, action: str, thing: str, detail: str | None = None, *, now: datetime
) -> None:
    """Write down a change by its author; one that nobody asked for leaves no trace."""
    if by is not None:
        write(conn, who=by.who, via=by.via, action=action, object=thing, detail=detail, now=now)


def find(
    conn: Connection,
    *,
    who: str | None = None,
    action: str | None = None,
    thing: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Row[Any]]:
    """Return changes, the newest first, a page at a time: `before` is the last number of the page before."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    for column, value in ((audit.c.who, who), (audit.c.action, action), (audit.c.object, thing)):
        if value is not None:
            query = query.where(column == value)
    if since is not None:
        query = query.where(audit.c.done_at >= since)
    if until is not None:
        query = query.where(audit.c.done_at < until)
    if before is not None:
        query = query.where(audit.c.id < before)
    return conn.execute(query).all()


def last_of(conn: Connection, action: str, things: Collection[str]) -> dict[str, Row[Any]]:
    """Return the last change of that kind to each of these objects. By `mih_audit_object`."""
    if not things:
        return {}
    newest = select(func.max(audit.c.id)).where(audit.c.object.in_(sorted(things)), audit.c.action == action)
    numbers = list(conn.execute(newest.group_by(audit.c.object)).scalars())
    return {row.object: row for row in conn.execute(select(audit).where(audit.c.id.in_(numbers)))}


def prune(conn: Connection, *, before: datetime, limit: int) -> int:
    """Delete changes before `before`, at most `limit`, by `mih_audit_done`; return how many."""
    query = select(audit.c.id).where(audit.c.done_at < before).order_by(audit.c.done_at).limit(limit)
    numbers = list(conn.execute(query).scalars())
    if numbers:
        conn.execute(audit.delete().where(audit.c.id.in_(numbers)))
    return len(numbers)


def _kept(text: str, length: int) -> str:
    """Return what every database takes, on one line."""
    sound = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return sound[:length]
