"""What one look at Moodle's log shows: new rows, holes between them, and late rows in holes of before."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row

from sidecar.bridge.holes import left_of
from sidecar.model import Event, Gap
from sidecar.moodle.decode import decode
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.missing import Range
from sidecar.moodle.names import NameFilter
from sidecar.moodle.proof import Proof, horizon
from sidecar.settings import TailSettings
from sidecar.store.gaps import GivenUp


@dataclass(frozen=True, slots=True)
class Ahead:
    """What lies after the cursor: the wanted events up to `position`, and the ids missing on the way."""

    events: Sequence[Event]
    position: int
    holes: Sequence[Range]
    cleaned_up_to: int | None = (
        None  # the log begins after it, and after the cursor: what was between is gone
    )


@dataclass(frozen=True, slots=True)
class Due:
    """Which gaps are to be asked for in this round; with `prove`, the open ones may be given up."""

    gaps: Sequence[Gap] = ()
    given_up: Sequence[GivenUp] = ()
    prove: bool = False


@dataclass(frozen=True, slots=True)
class Behind:
    """What became of the gaps: late events, gaps with what is still missing of them, and gaps given up.

    `reappeared` are those that had been given up before and have got a row all the same: one of `late`.
    """

    events: Sequence[Event] = ()
    filled: Sequence[tuple[Gap, Sequence[Gap]]] = ()
    given_up: Sequence[tuple[Gap, str]] = ()
    reappeared: Sequence[tuple[GivenUp, Sequence[Gap]]] = ()
    late: frozenset[int] = frozenset()
    complete: bool = True

    @property
    def changes(self) -> bool:
        """Whether there is anything to write down."""
        return bool(self.filled or self.given_up or self.reappeared)


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
    cleaned = _cleaned_up_to(conn, log, position, holes)
    if holes == [(position + 1, end)] and end < head:
        return replace(_jump(conn, log, position, end), cleaned_up_to=cleaned)
    rows = log.rows(conn, position, end, names, limit)
    if len(rows) == limit:
        end = rows[-1].id
    return Ahead(_events(rows), end, list(_up_to(end, holes)), cleaned)


def look_behind(
    conn: Connection,
    log: LogStore,
    names: NameFilter | None,
    due: Due,
    settings: TailSettings,
    *,
    now: datetime,
    limit: int,
) -> Behind:
    """Ask for gaps again; where that is due, give up those that provably or probably stay empty.

    The proof is taken before the question: what was committed before the proof is then seen by the question.
    """
    proof = horizon(conn, now) if due.prove else None
    found = log.appeared(conn, [*due.gaps, *(was.gap for was in due.given_up)], names, limit)
    filled, given_up, reappeared, late = [], [], [], set[int]()
    for gap in due.gaps:
        if here := _lacking(gap, found.ids):
            filled.append((gap, left_of(gap, here)))
        elif found.complete and (reason := _hopeless(gap, proof, settings.gap_patience, now)):
            given_up.append((gap, reason))
    for was in due.given_up:
        if here := _lacking(was.gap, found.ids):
            reappeared.append((was, left_of(was.gap, here)))
            late.update(here)
    return Behind(_events(found.rows), filled, given_up, reappeared, frozenset(late), found.complete)


def _hopeless(gap: Gap, proof: Proof | None, patience_s: float, now: datetime) -> str | None:
    """Return why a gap that is still empty will stay so, or None."""
    if proof is None:
        return None
    if proof.final(gap.seen_at):
        return f"no transaction that could fill it is open ({proof.method})"
    if now - gap.seen_at > timedelta(seconds=patience_s):
        return f"not filled within {patience_s:g} s"
    return None


def _cleaned_up_to(conn: Connection, log: LogStore, position: int, holes: Sequence[Range]) -> int | None:
    """Return up to where Moodle's cleanup has deleted rows that were not read; None: it has not.

    Then nothing is left below the cursor either. Asked only where a hole begins right at the cursor.
    """
    if position == 0 or not holes or holes[0][0] != position + 1:
        return None
    first = log.next_id(conn, 0)
    return first - 1 if first is not None and first > position else None


def _jump(conn: Connection, log: LogStore, position: int, end: int) -> Ahead:
    """Pass a window without any row, and all that is empty behind it, in one step."""
    following = log.next_id(conn, end)
    end = following - 1 if following is not None else end
    return Ahead((), end, [(position + 1, end)])


def _up_to(end: int, holes: Iterable[Range]) -> Iterator[Range]:
    return ((first, min(last, end)) for first, last in holes if first <= end)


def _lacking(gap: Gap, ids: Sequence[int]) -> list[int]:
    """Return those of `ids`, which are in order, that the gap lacks."""
    inside = ids[bisect_left(ids, gap.first_id) : bisect_right(ids, gap.last_id)]
    return [id_ for id_ in inside if gap.lacks(id_)]


def _events(rows: Iterable[Row[tuple[object, ...]]]) -> list[Event]:
    return [decode(row) for row in rows]
