"""Replays from Moodle's log: `mih_replays`, a row each, moved on by the replica that holds its lease."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from sidecar.errors import LeaseLost
from sidecar.store.tables import replays


class ReplayState(StrEnum):
    """Where a replay stands."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Replay:
    """Rows of Moodle's log that are delivered again, or for the first time, by one rule.

    `ids` are ranges such as 5-9,12; all up to `position` are done. `known` were left out, since the queue or
    the request log has them already.
    """

    site: str
    rule: str
    ids: str
    expected: int
    created_by: str
    created_at: datetime
    event_since: datetime | None = None
    event_until: datetime | None = None
    again: bool = False
    rate: float | None = None
    id: int = 0
    state: ReplayState = ReplayState.RUNNING
    position: int = 0
    next_at: datetime | None = None
    looked_at: int = 0
    queued: int = 0
    known: int = 0
    filtered: int = 0
    dead: int = 0
    problem: str | None = None
    finished_at: datetime | None = None
    fence: int = 0
    leased_by: str | None = None
    leased_until: datetime | None = None


def create(conn: Connection, replay: Replay) -> int:
    """Note a replay; return its number."""
    values = asdict(replay) | {"updated_at": replay.created_at}
    del values["id"]
    key = conn.execute(insert(replays).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def get(conn: Connection, number: int) -> Replay | None:
    """Return a replay by its number."""
    row = conn.execute(select(replays).where(replays.c.id == number)).one_or_none()
    return _replay(row) if row else None


def find(conn: Connection, site: str, *, before: int | None = None, limit: int = 50) -> list[Replay]:
    """Return replays, the newest first, a page at a time: `before` is the last number of the page before."""
    query = select(replays).where(replays.c.site == site).order_by(replays.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(replays.c.id < before)
    return [_replay(row) for row in conn.execute(query)]


def running(conn: Connection, site: str) -> Sequence[int]:
    """Return the numbers of the replays that are to go on, the oldest first. Uses `mih_replays_state`."""
    query = select(replays.c.id).where(replays.c.site == site, replays.c.state == ReplayState.RUNNING)
    return list(conn.execute(query.order_by(replays.c.id)).scalars())


def take_turns(conn: Connection, site: str, rule: str) -> None:
    """Wait until no other replay of a rule queues anything; those that come later wait for this transaction.

    They may be about the same rows, and each counts what it has queued itself. Locks the running ones, by
    number. Uses `mih_replays_state`.
    """
    query = select(replays.c.id).where(
        replays.c.site == site, replays.c.state == ReplayState.RUNNING, replays.c.rule == rule
    )
    conn.execute(query.order_by(replays.c.id).with_for_update()).all()


def lease(conn: Connection, number: int, replica: str, *, now: datetime, lease_s: float) -> Replay | None:
    """Take or extend the lease on a running replay; None while another replica holds it or it does not run.

    Locks the row. A takeover raises the fence, so that what the former holder still writes is refused. A
    lease that ends later than a lease can last is void: the clock was set back after it was given.
    """
    row = conn.execute(select(replays).where(replays.c.id == number).with_for_update()).one_or_none()
    if row is None or row.state != ReplayState.RUNNING:
        return None
    found, until = _replay(row), now + timedelta(seconds=lease_s)
    if found.leased_by not in {None, replica} and found.leased_until and now < found.leased_until <= until:
        return None
    fence = found.fence if found.leased_by == replica else found.fence + 1
    conn.execute(
        update(replays)
        .where(replays.c.id == number)
        .values(fence=fence, leased_by=replica, leased_until=until, updated_at=now)
    )
    return replace(found, fence=fence, leased_by=replica, leased_until=until)


def advance(conn: Connection, before: Replay, after: Replay, *, now: datetime) -> None:
    """Write how far a replay has got. Raises LeaseLost if anybody took, paused or moved it meanwhile."""
    changed = conn.execute(
        update(replays)
        .where(
            replays.c.id == before.id,
            replays.c.fence == before.fence,
            replays.c.position == before.position,
            replays.c.state == ReplayState.RUNNING,
        )
        .values(
            state=after.state,
            position=after.position,
            next_at=after.next_at,
            looked_at=after.looked_at,
            queued=after.queued,
            known=after.known,
            filtered=after.filtered,
            dead=after.dead,
            problem=after.problem,
            finished_at=after.finished_at,
            updated_at=now,
        )
    )
    if changed.rowcount != 1:
        raise LeaseLost(f"The replay {before.id} was paused, cancelled or taken over; this step is void.")


def release(conn: Connection, number: int, replica: str) -> None:
    """Let another process go on at once."""
    mine = (replays.c.id == number) & (replays.c.leased_by == replica)
    conn.execute(update(replays).where(mine).values(leased_by=None, leased_until=None))


def switch(
    conn: Connection, number: int, known: Sequence[ReplayState], to: ReplayState, *, now: datetime
) -> bool:
    """Put a replay that is in one of the `known` states into another; return whether it was in one.

    What is being done of it at this moment is void.
    """
    finished = now if to is ReplayState.CANCELLED else None
    changed = conn.execute(
        update(replays)
        .where(replays.c.id == number, replays.c.state.in_(known))
        .values(
            state=to,
            problem=None,
            fence=replays.c.fence + 1,
            leased_by=None,
            leased_until=None,
            finished_at=finished,
            updated_at=now,
        )
    )
    return changed.rowcount == 1


def prune(conn: Connection, *, before: datetime) -> int:
    """Forget replays that ended before `before`; return how many."""
    return conn.execute(replays.delete().where(replays.c.finished_at < before)).rowcount


def _replay(row: Row[Any]) -> Replay:
    found = {name: row._mapping[name] for name in Replay.__dataclass_fields__}
    return Replay(**found | {"state": ReplayState(row.state)})
