"""What of the queue is in whose hands: claimed for a time, kept, given back, set free when that is over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, select, update

from sidecar.model import Claimed, DeliveryState
from sidecar.store import order, queue
from sidecar.store.dialect import among
from sidecar.store.tables import queue as table

_MORE = (200,) * 50  # rows, asked for again and again where so many had to be held
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_NUMBERS = 5_000  # in one IN; SQLite's limit is 32,766, PostgreSQL's protocol ends at 65,535
# What a sender needs of a row: the others cost as much to read, and are of no use to it.
_TO_SEND = [
    table.c.id,
    table.c.attempts,
    table.c.delivery_id,
    table.c.rule,
    table.c.rule_version,
    table.c.service,
    table.c.event,
    table.c.log_id,
    table.c.method,
    table.c.endpoint,
    table.c.headers,
    table.c.payload,
    table.c.content_type,
    table.c.created_at,
    table.c.event_at,
    table.c.order_key,
    table.c.expires_at,
]


@dataclass(frozen=True, slots=True)
class Due:
    """When a delivery was due that is wanted: a backlog and what came after it are claimed apart."""

    after: datetime | None = None
    upto: datetime | None = None

    def within(self, now: datetime) -> ColumnElement[bool]:
        """What was due then, and is by now."""
        latest = now if self.upto is None else min(self.upto, now)
        due = table.c.due_at <= latest
        return due if self.after is None else due & (table.c.due_at > self.after)


ANY_TIME = Due()


# Built once: it is asked for each service. Uses `mih_queue_due`, by force on MySQL and MariaDB: by any other
# index they lock every row that they look at, and the other replicas skip those, too.
_DUE = (
    select(*_TO_SEND)
    .with_hint(table, "FORCE INDEX (mih_queue_due)", "mysql")
    .where(
        queue.pending(bindparam("of", type_=table.c.service.type)),
        table.c.lane == bindparam("in_lane"),
        table.c.due_at > bindparam("after"),
        table.c.due_at <= bindparam("upto"),
        queue.unexpired(bindparam("now", type_=table.c.expires_at.type)),
    )
    .order_by(table.c.due_at, table.c.id)
    .limit(bindparam("asked"))
    .with_for_update(skip_locked=True)
)


def claim(
    conn: Connection,
    limits: Mapping[str, int],
    *,
    token: str,
    now: datetime,
    lease_s: float,
    probe: bool = False,
    due: Due = ANY_TIME,
) -> list[Claimed]:
    """Take due deliveries into this process's hands until the lease ends, of each service up to its limit.

    Skips rows that another replica is claiming, and what has expired; the slow lane gets what the live one
    leaves. What has to wait for another of its key is held.
    """
    lease = {"leased_by": token, "leased_until": now + timedelta(seconds=lease_s)}
    when = {"now": now, "after": due.after or _LONG_AGO, "upto": min(due.upto or now, now)}
    rows = [
        row
        for service, limit in limits.items()
        for row in _lock_due(conn, {"of": service, **when}, limit, lease)
    ]
    _lease(conn, [row for row in rows if row.order_key is None], lease)
    return [Claimed(row.id, queue.delivery_of(row), row.attempts, token, probe) for row in rows]


def _lock_due(
    conn: Connection, wanted: Mapping[str, Any], limit: int, lease: Mapping[str, Any]
) -> list[Row[Any]]:
    """Lock what is due of one service. What has a key is leased at once: others of its key look for it."""
    rows: list[Row[Any]] = []
    for lane in queue.LANES:
        for asked in (limit - len(rows), *_MORE):
            if len(rows) >= limit:
                break
            found = conn.execute(_DUE, {**wanted, "in_lane": lane, "asked": asked}).all()
            behind = _behind(conn, found)
            mine = [row for row in found if row.id not in behind][: limit - len(rows)]
            _lease(conn, [row for row in mine if row.order_key is not None], lease)
            rows += mine
            if not order.hold(conn, behind) or len(found) < asked:
                break
    return rows


def _lease(conn: Connection, rows: Sequence[Row[Any]], lease: Mapping[str, Any]) -> None:
    if rows:
        ours = update(table).where(among(table.c.id, [row.id for row in rows]))
        conn.execute(ours.values(state=DeliveryState.SENDING, **lease))


def _behind(conn: Connection, rows: Sequence[Row[Any]]) -> set[int]:
    """Return the numbers of those among locked rows that have to wait for another of their key."""
    turns = [turn for row in rows if (turn := order.turn_of(row))]
    return {turn.number for turn in turns} - order.ready(conn, turns)


def renew(conn: Connection, claimed: Iterable[Claimed], *, until: datetime) -> set[tuple[int, str]]:
    """Extend the leases of what this process holds; return (number, token) of what it still held."""
    held = set()
    for piece in _pieces(claimed):
        ours = _still_held(conn, piece)
        numbers = [number for number, _ in ours]
        if numbers:
            conn.execute(update(table).where(among(table.c.id, numbers)).values(leased_until=until))
        held |= ours
    return held


def _pieces(claimed: Iterable[Claimed]) -> Iterator[Sequence[Claimed]]:
    """Yield all of them, lowest first, in pieces that a statement can name."""
    wanted = sorted(claimed, key=lambda item: item.number)
    return (wanted[start : start + _MOST_NUMBERS] for start in range(0, len(wanted), _MOST_NUMBERS))


def _still_held(conn: Connection, claimed: Iterable[Claimed]) -> set[tuple[int, str]]:
    """Lock the rows of `claimed` and return those whose lease nobody else has taken."""
    wanted = list(claimed)
    rows = locked(conn, wanted)
    return {(item.number, item.token) for item in wanted} & {(n, row.leased_by) for n, row in rows.items()}


def locked(conn: Connection, claimed: Iterable[Claimed]) -> dict[int, Row[Any]]:
    """Lock the rows of `claimed`, lowest first.

    Looked up by the primary key alone: another index would wait for rows that other replicas hold.
    """
    numbers = sorted({item.number for item in claimed})
    query = select(table.c.id, table.c.state, table.c.leased_by, table.c.lane, table.c.attempts)
    query = query.where(among(table.c.id, numbers))
    rows = conn.execute(query.order_by(table.c.id).with_for_update())
    return {row.id: row for row in rows}


def rescue(conn: Connection, *, now: datetime, lease_s: float, limit: int = 1000) -> int:
    """Set free what dead processes held; return how many. A lease too long to be true is void, too."""
    query = _overdue(now, lease_s).limit(limit).with_for_update(skip_locked=True)
    return _set_pending(conn, list(conn.execute(query).scalars()))


def has_overdue(conn: Connection, *, now: datetime, lease_s: float) -> bool:
    """Whether `rescue` would find anything; locks nothing. Uses `mih_queue_lease`."""
    return conn.execute(_overdue(now, lease_s).limit(1)).first() is not None


def _overdue(now: datetime, lease_s: float) -> Select[tuple[int]]:
    latest = now + timedelta(seconds=lease_s * 2)
    return select(table.c.id).where(
        table.c.state == DeliveryState.SENDING,
        (table.c.leased_until < now) | (table.c.leased_until > latest),
    )


def release(conn: Connection, claimed: Iterable[Claimed]) -> None:
    """Give back unsent deliveries of a process that stops."""
    for piece in _pieces(claimed):
        _set_pending(conn, [number for number, _ in _still_held(conn, piece)])


def _set_pending(conn: Connection, numbers: Sequence[int]) -> int:
    if numbers:
        conn.execute(
            update(table)
            .where(among(table.c.id, numbers))
            .values(state=DeliveryState.PENDING, leased_by=None, leased_until=None)
        )
    return len(numbers)
