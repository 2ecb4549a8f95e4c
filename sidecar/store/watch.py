"""What was last seen of Moodle: `mih_watch`, a row a site and subject, for all replicas and pages."""

import json
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, func, select

from sidecar.model import Level, Watched
from sidecar.store.dialect import upsert
from sidecar.store.tables import watch

_NEWS = ("level", "code", "detail", "since_at", "seen_at")


def load(conn: Connection, site: str) -> dict[str, Watched]:
    """Return what was last seen, by subject."""
    found = conn.execute(select(watch).where(watch.c.site == site).order_by(watch.c.subject))
    return {
        row.subject: Watched(row.subject, Level(row.level), row.code, row.since_at, json.loads(row.detail))
        for row in found
    }


def seen_at(conn: Connection, site: str) -> datetime | None:
    """Return when any replica looked last."""
    found: datetime | None = conn.execute(
        select(func.max(watch.c.seen_at)).where(watch.c.site == site)
    ).scalar_one()
    return found


def save(conn: Connection, site: str, found: Iterable[Watched], *, now: datetime) -> None:
    """Write down what is seen now."""
    rows = [
        {
            "site": site,
            "subject": one.subject,
            "level": one.level,
            "code": one.code,
            "detail": json.dumps(dict(one.detail), sort_keys=True, ensure_ascii=False),
            "since_at": one.since_at,
            "seen_at": now,
        }
        for one in found
    ]
    upsert(conn, watch, rows, {name: name for name in _NEWS})
