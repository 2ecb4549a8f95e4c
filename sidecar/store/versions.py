"""Which version of each rule judged which rows of the log: `mih_rule_versions`, written by the tail."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, delete, select

from sidecar.store.dialect import upsert
from sidecar.store.tables import rule_versions

OFF = "off"
SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Version:
    """What a rule said from one row of the log on; without a definition it was off, or gone.

    It judged the rows above `from_id`, and of those below it down to `late_from_id` whatever came late.
    """

    rule: str
    from_id: int
    late_from_id: int
    version: str
    definition: str | None
    since: datetime


def history(conn: Connection, site: str) -> list[Version]:
    """Return all versions of all rules, the oldest first. By the primary key."""
    table = rule_versions.c
    query = select(rule_versions).where(table.site == site).order_by(table.rule, table.from_id)
    return [
        Version(row.rule, row.from_id, row.late_from_id, row.version, row.definition, row.since)
        for row in conn.execute(query)
    ]


def newest(found: Iterable[Version]) -> dict[str, Version]:
    """Return the last version of each rule."""
    return {one.rule: one for one in found}


def write(
    conn: Connection,
    site: str,
    wanted: Mapping[str, tuple[str, str]],
    *,
    position: int,
    late_from: int,
    now: datetime,
) -> None:
    """Note the rules (name: version, definition) that judge the rows above `position`, where they are new.

    What was noted above it is void: the cursor was moved back, and those rows are judged anew.
    """
    _rewind(conn, site, position)
    last = newest(history(conn, site))
    gone = [name for name, one in last.items() if one.definition is not None and name not in wanted]
    said: dict[str, tuple[str, str | None]] = {**wanted, **dict.fromkeys(gone, (OFF, None))}
    fresh = [
        Version(name, position, late_from, version, definition, now)
        for name, (version, definition) in sorted(said.items())
        if name not in last or last[name].version != version
    ]
    _put(conn, site, fresh)


def skip(conn: Connection, site: str, after: int, position: int, *, now: datetime) -> None:
    """Note that the rows above `after` up to `position` are judged by no rule: somebody passed them over."""
    _rewind(conn, site, after)
    in_force = [one for one in newest(history(conn, site)).values() if one.definition is not None]
    _put(
        conn,
        site,
        [Version(one.rule, after, after + 1, SKIPPED, None, now) for one in in_force],
    )
    _put(
        conn,
        site,
        [replace(one, from_id=position, late_from_id=position + 1, since=now) for one in in_force],
    )


def _rewind(conn: Connection, site: str, position: int) -> None:
    table = rule_versions.c
    conn.execute(delete(rule_versions).where(table.site == site, table.from_id > position))


def _put(conn: Connection, site: str, versions: Sequence[Version]) -> None:
    """Write versions; another of the same rule at the same place never judged anything."""
    rows = [
        {
            "site": site,
            "rule": one.rule,
            "from_id": one.from_id,
            "late_from_id": one.late_from_id,
            "version": one.version,
            "definition": one.definition,
            "since": one.since,
        }
        for one in versions
    ]
    upsert(
        conn, rule_versions, rows, {name: name for name in ("late_from_id", "version", "definition", "since")}
    )
