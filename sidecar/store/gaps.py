"""Ids that were missing when the tail passed them: `mih_gaps`, one row a range."""

import base64
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from sidecar.model import Gap
from sidecar.store.tables import gaps

OPEN = "open"
CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A gap that is not asked for any more, since when and why."""

    gap: Gap
    closed_at: datetime
    reason: str


def waiting(conn: Connection, site: str, *, first_id: int = 0) -> list[Gap]:
    """Return the gaps from this id on that a late row may still fill, lowest first. Uses `mih_gaps_state`."""
    ours = (gaps.c.site == site) & (gaps.c.state == OPEN) & (gaps.c.first_id >= first_id)
    query = select(gaps).where(ours).order_by(gaps.c.first_id)
    return [_gap(row) for row in conn.execute(query)]


def remember(conn: Connection, site: str, ranges: Iterable[tuple[int, int]], *, seen_at: datetime) -> None:
    """Note ranges of missing ids, the first and the last id of each."""
    add(conn, site, [Gap(first, last, seen_at) for first, last in ranges])


def add(conn: Connection, site: str, found: Iterable[Gap]) -> None:
    """Note gaps: from now on they are asked for."""
    _insert(conn, site, found, state=OPEN)


def replace(conn: Connection, site: str, known: Iterable[Gap], by: Iterable[Gap]) -> None:
    """Put other gaps in the place of these: what is still missing of them, or all of them packed."""
    _delete(conn, known)
    add(conn, site, by)


def close(conn: Connection, given_up: Iterable[Gap], reason: str, *, now: datetime) -> None:
    """Stop asking for these gaps; they stay listed with the reason."""
    numbers = [gap.number for gap in given_up]
    if numbers:
        conn.execute(
            update(gaps).where(gaps.c.id.in_(numbers)).values(state=CLOSED, closed_at=now, reason=reason)
        )


def closed(conn: Connection, site: str, *, limit: int) -> list[GivenUp]:
    """Return the gaps given up last, with when and why."""
    query = select(gaps).where(gaps.c.site == site, gaps.c.state == CLOSED)
    found = conn.execute(query.order_by(gaps.c.id.desc()).limit(limit))
    return [GivenUp(_gap(row), row.closed_at, row.reason) for row in found]


def replace_given_up(conn: Connection, site: str, was: GivenUp, by: Iterable[Gap]) -> None:
    """Put what is still missing of a gap that was given up in its place."""
    _delete(conn, [was.gap])
    _insert(conn, site, by, state=CLOSED, closed_at=was.closed_at, reason=was.reason)


@dataclass(frozen=True, slots=True)
class Missing:
    """How many gaps of a log may still fill, and how many ids are missing in these and in those given up."""

    gaps_open: int = 0
    ids_open: int = 0
    ids_given_up: int = 0


def missing(conn: Connection, site: str) -> Missing:
    """Return what a log lacks, all of it in one look. Uses `mih_gaps_state`."""
    query = select(gaps.c.state, func.count(), func.sum(gaps.c.missing)).where(gaps.c.site == site)
    found = {state: (n, int(ids)) for state, n, ids in conn.execute(query.group_by(gaps.c.state))}
    (n, ids), (_, given_up) = found.get(OPEN, (0, 0)), found.get(CLOSED, (0, 0))
    return Missing(n, ids, given_up)


def prune(conn: Connection, *, before: datetime, limit: int) -> int:
    """Forget gaps that were given up before `before`, at most `limit`; return how many."""
    numbers = list(
        conn.execute(
            select(gaps.c.id).where(gaps.c.state == CLOSED, gaps.c.closed_at < before).limit(limit)
        ).scalars()
    )
    if numbers:
        conn.execute(delete(gaps).where(gaps.c.id.in_(numbers)))
    return len(numbers)


def _delete(conn: Connection, known: Iterable[Gap]) -> None:
    conn.execute(delete(gaps).where(gaps.c.id.in_([gap.number for gap in known])))


def _insert(conn: Connection, site: str, found: Iterable[Gap], **more: Any) -> None:
    rows = [
        {
            "site": site,
            "first_id": gap.first_id,
            "last_id": gap.last_id,
            "missing": gap.missing,
            "bits": _text(gap.bits),
            "seen_at": gap.seen_at,
            **more,
        }
        for gap in found
    ]
    if rows:
        conn.execute(insert(gaps), rows)


def _gap(row: Row[Any]) -> Gap:
    return Gap(row.first_id, row.last_id, row.seen_at, row.id, _bits(row.bits))


def _text(bits: int | None) -> str | None:
    """Return bits as text that every database keeps; a regular pattern becomes short."""
    if bits is None:
        return None
    raw = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    return base64.b64encode(zlib.compress(raw)).decode()


def _bits(text: str | None) -> int | None:
    return None if text is None else int.from_bytes(zlib.decompress(base64.b64decode(text)), "little")
