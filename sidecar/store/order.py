"""Whose turn it is among deliveries of one key: the first goes, others are held in a lane of their own."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, case, select, update

from sidecar.model import DeliveryState
from sidecar.store.tables import circuits, queue

# The lanes of what is held, one for each of the others: nobody claims there, so a claim never wades through
# it. Below zero, as a scan on MySQL also locks what follows its end.
HELD, HELD_SLOW = -1, -2
# The lanes of what a broker carries, two beyond the others for the same reason.
RELAYED = RELAYED_LIVE, RELAYED_SLOW = 2, 3

_other_side = -1 - queue.c.lane
_ahead = queue.alias("ahead")
_same = (_ahead.c.order_key == queue.c.order_key) & _ahead.c.order_key.is_not(None)
_earlier = _same & (_ahead.c.state == DeliveryState.PENDING) & (_ahead.c.log_id < queue.c.log_id)
_under_way = _same & (_ahead.c.state == DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class Turn:
    """A delivery that would like to go out; `run` is how many of its key can go together."""

    number: int
    key: str
    log_id: int
    run: int = 1


def turn_of(row: Row[Any], *, run: int = 1) -> Turn | None:
    """Return the place of a row in its line; None for one that needs no order."""
    return Turn(row.id, row.order_key, row.log_id, run) if row.order_key and row.log_id is not None else None


def ready(conn: Connection, turns: Collection[Turn]) -> set[int]:
    """Return the numbers of those whose turn it is: the first of each key, while none of it is being sent.

    Where several of a key can go together also those that follow at once. Asked by a statement of its own
    after the rows were locked: on MySQL the one that locks does not see all that was queued together with
    what it finds. Uses the primary key and `mih_queue_order`, locks nothing.
    """
    lines: dict[str, list[Turn]] = defaultdict(list)
    for turn in sorted(turns, key=lambda turn: turn.log_id):
        lines[turn.key].append(turn)
    numbers = [turn.number for line in lines.values() for turn in line[: line[0].run]]
    if not numbers:
        return set()
    query = select(queue.c.id).where(
        queue.c.id.in_(numbers), _none(_under_way), _none(_earlier & _ahead.c.id.not_in(numbers))
    )
    return set(conn.execute(query).scalars())


def unheld() -> ColumnElement[int]:
    """Return the lane that a delivery is in when it is neither held nor carried by a broker."""
    here = queue.c.lane - RELAYED_LIVE
    return case((queue.c.lane <= HELD, _other_side), (queue.c.lane >= RELAYED_LIVE, here), else_=queue.c.lane)


def hold_back(conn: Connection, numbers: Collection[int]) -> None:
    """Hold those of them that nobody has taken meanwhile and whose turn it still is not."""
    query = select(queue.c.id, queue.c.order_key, queue.c.log_id)
    query = query.where(queue.c.id.in_(sorted(numbers)), queue.c.state == DeliveryState.PENDING)
    rows = conn.execute(query.with_for_update(skip_locked=True)).all() if numbers else []
    turns = [turn for row in rows if (turn := turn_of(row))]
    hold(conn, {turn.number for turn in turns} - ready(conn, turns))


def hold(conn: Connection, behind: Collection[int]) -> int:
    """Let locked deliveries wait for their turn, out of the way of others; return how many do."""
    if not behind:
        return 0
    change = update(queue).where(queue.c.id.in_(sorted(behind)), queue.c.lane > HELD)
    return conn.execute(change.values(lane=_other_side)).rowcount


def pass_on(conn: Connection, gone: Sequence[int]) -> None:
    """Let those come forward that are next after deliveries which have left their line, as many as left it.

    Best in a transaction of its own, when that which settled them is committed: whoever holds one back at
    that moment still has it locked, is waited for, and found. Uses the primary key and `mih_queue_order`.
    """
    if not gone:
        return
    left: dict[str, int] = defaultdict(int)
    keys = select(queue.c.order_key).where(queue.c.id.in_(gone), queue.c.order_key.is_not(None))
    for key in conn.execute(keys).scalars():
        left[key] += 1
    singles = [key for key, count in left.items() if count == 1]
    numbers = [*_next_of(conn, gone, singles)] if singles else []
    for key, count in left.items():
        if count > 1:
            numbers += _line(conn, key, count)
    free(conn, numbers)


def stranded(conn: Connection, *, limit: int = 1000) -> Sequence[int]:
    """Return those that are first of their key and yet held; locks nothing.

    After a process died between settling one and letting the next come forward, or after what was done by
    hand. Uses `mih_queue_due`, lane by lane, and `mih_queue_order`.
    """
    query = select(queue.c.id).where(
        queue.c.service.in_(select(circuits.c.service)),
        queue.c.state == DeliveryState.PENDING,
        queue.c.lane.in_([HELD, HELD_SLOW]),
        _none(_under_way),
        _none(_earlier),
    )
    return conn.execute(query.limit(limit)).scalars().all()


def waits_for(conn: Connection, rows: Iterable[Row[Any]]) -> dict[int, int]:
    """Return for each that waits behind others of its key the number of the one that holds it up."""
    return _ahead_of(conn, [row.id for row in rows if row.order_key and row.state == DeliveryState.PENDING])


def _ahead_of(conn: Connection, numbers: Collection[int]) -> dict[int, int]:
    if not numbers:
        return {}
    first = select(_ahead.c.id).order_by(_ahead.c.log_id).limit(1)
    under_way = first.where(_under_way).scalar_subquery().label("under_way")
    earlier = first.where(_earlier).scalar_subquery().label("earlier")
    query = select(queue.c.id, under_way, earlier).where(queue.c.id.in_(sorted(numbers)))
    found = {row.id: row.under_way or row.earlier for row in conn.execute(query)}
    return {number: ahead for number, ahead in found.items() if ahead is not None}


def _none(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether there is none. Not NOT EXISTS: PostgreSQL may join that by reading the whole table."""
    found: ScalarSelect[Any] = select(_ahead.c.id).where(which).limit(1).scalar_subquery()
    return found.is_(None)


def _next_of(conn: Connection, gone: Sequence[int], keys: Collection[str]) -> list[int]:
    """Return the first that waits of each key, in one statement for all."""
    waits = (_ahead.c.order_key == queue.c.order_key) & (_ahead.c.state == DeliveryState.PENDING)
    first = select(_ahead.c.id).where(waits).order_by(_ahead.c.log_id).limit(1).scalar_subquery()
    query = select(first).where(queue.c.id.in_(gone), queue.c.order_key.in_(keys))
    return [number for number in conn.execute(query).scalars() if number is not None]


def _line(conn: Connection, key: str, count: int) -> Sequence[int]:
    waits = (queue.c.order_key == key) & (queue.c.state == DeliveryState.PENDING)
    return conn.execute(select(queue.c.id).where(waits).order_by(queue.c.log_id).limit(count)).scalars().all()


def free(conn: Connection, numbers: Collection[int]) -> int:
    """Take them out of the held lane.

    Locked first and changed then: PostgreSQL would pass over a row which somebody is just about to hold.
    """
    if not numbers:
        return 0
    which = queue.c.id.in_(sorted(numbers))
    conn.execute(select(queue.c.id).where(which).order_by(queue.c.id).with_for_update())
    freed = update(queue).where(which, queue.c.lane <= HELD)
    return conn.execute(freed.values(lane=_other_side)).rowcount
