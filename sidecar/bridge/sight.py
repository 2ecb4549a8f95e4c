"""What one look at Moodle's log shows: new rows, holes between them, and late rows in holes of before."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row

from sidecar.model import Event, Gap
from sidecar.moodle.decode import decode
from sidecar.moodle.logstore import LogStore, Range
from sidecar.moodle.names import NameFilter
from sidecar.moodle.proof import horizon
from sidecar.settings import TailSettings


@dataclass(frozen=True, slots=True)
class Ahead:
    """What lies after the cursor: the wanted events up to `position`, and the ids missing on the way."""

    events: Sequence[Event]
    position: int
    holes: Sequence[Range]


@dataclass(frozen=True, slots=True)
class Behind:
    """What became of the gaps: late events, gaps with what is still missing of them, and gaps given up."""

    events: Sequence[Event] = ()
    filled: Sequence[tuple[Gap, Sequence[Range]]] = ()
    given_up: Sequence[tuple[Gap, str]] = ()
    complete: bool = True


def look_ahead(
    conn: Connection,
    log: LogStore,
    names: NameFilter | None,
    *,
    position: int,
    head: int,
    window: int,
    limit: int,
) -> Ahead:
    """Read the next window of ids, or as much of it as holds `limit` wanted rows.

    The holes are asked for before the rows: a row that commits in between is then taken for a hole and asked
    again, instead of being lost.
    """
    end = min(head, position + window)
    holes = log.missing(conn, position, end)
    if holes == [(position + 1, end)] and end < head:
        return _jump(conn, log, position, end)
    rows = log.rows(conn, position, end, names, limit)
    if len(rows) == limit:
        end = rows[-1].id
    return Ahead(_events(rows), end, list(_up_to(end, holes)))


def look_behind(
    conn: Connection,
    log: LogStore,
    names: NameFilter | None,
    gaps: Sequence[Gap],
    settings: TailSettings,
    *,
    now: datetime,
    prove: bool,
    limit: int,
) -> Behind:
    """Ask for the gaps again; with `prove`, give up those that provably or probably stay empty.

    The proof is taken before the question: what was committed before the proof is then seen by the question.
    """
    proof = horizon(conn, now) if prove else None
    found = log.rows_in(conn, [(gap.first_id, gap.last_id) for gap in gaps], names, limit)
    patience = timedelta(seconds=settings.gap_patience)
    filled, given_up = [], []
    for gap in gaps:
        here = [id_ for id_ in found.ids if gap.first_id <= id_ <= gap.last_id]
        if here:
            filled.append((gap, list(_without(gap, here))))
        elif proof is not None and found.complete and proof.final(gap.seen_at):
            given_up.append((gap, f"no transaction that could fill it is open ({proof.method})"))
        elif proof is not None and found.complete and now - gap.seen_at > patience:
            given_up.append((gap, f"not filled within {settings.gap_patience:g} s"))
    return Behind(_events(found.rows), filled, given_up, found.complete)


def _jump(conn: Connection, log: LogStore, position: int, end: int) -> Ahead:
    """Pass a window without any row, and all that is empty behind it, in one step."""
    following = log.next_id(conn, end)
    end = following - 1 if following is not None else end
    return Ahead((), end, [(position + 1, end)])


def _up_to(end: int, holes: Iterable[Range]) -> Iterator[Range]:
    return ((first, min(last, end)) for first, last in holes if first <= end)


def _without(gap: Gap, present: Sequence[int]) -> Iterator[Range]:
    """Yield the ranges of a gap that are left when the ids `present`, in order, are taken out."""
    first = gap.first_id
    for id_ in present:
        if first < id_:
            yield first, id_ - 1
        first = id_ + 1
    if first <= gap.last_id:
        yield first, gap.last_id


def _events(rows: Iterable[Row[tuple[object, ...]]]) -> list[Event]:
    return [decode(row) for row in rows]
