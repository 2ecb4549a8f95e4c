"""Moodle's log as a table to read: bounded ranges of ids, in order, and which ids are missing in them.

The order of the calls keeps rows from being lost: ask `missing` first and `rows` afterwards. A row that is
committed between the two is then in both answers and comes twice, into a unique key; the other way round it
would be in neither.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Row,
    Select,
    Table,
    Text,
    bindparam,
    func,
    literal,
    select,
    union_all,
)

from sidecar.model import EVENT_COLUMNS, Gap
from sidecar.moodle.missing import Range, missing
from sidecar.moodle.names import NameFilter

_T = TypeVar("_T")

_TEXTS = frozenset(
    ("eventname", "component", "action", "target", "objecttable", "crud", "other", "origin", "ip")
)
_RECENT_IDS = 200_000
_IDS_PER_QUERY = 1000
_RANGES_PER_QUERY = 200
_NARROW = 50
_ROWS_ASKED_FOR_TIME = 20
_IDS_ASKED_FOR_TIME = 10_000


@dataclass(frozen=True, slots=True)
class Found:
    """What has appeared in gaps: every id, and the rows of the wanted ones among them.

    Not `complete`: there is more than was asked for. Take these ids out of the gaps and ask again.
    """

    ids: tuple[int, ...] = ()
    rows: tuple[Row[Any], ...] = ()
    complete: bool = True


class LogStore:
    """The log table of one Moodle. Every query is a SELECT on a range of ids unless it says so."""

    def __init__(self, prefix: str = "mdl_", log_table: str = "logstore_standard_log") -> None:
        self.name = prefix + log_table
        self._table = Table(
            self.name,
            MetaData(),
            *(Column(name, Text() if name in _TEXTS else BigInteger()) for name in EVENT_COLUMNS),
        )
        self._id: ColumnElement[int] = self._table.c.id

    def head(self, conn: Connection) -> int | None:
        """Return the highest id that can be seen; None in an empty table."""
        return conn.execute(select(func.max(self._id))).scalar()

    def next_id(self, conn: Connection, after: int) -> int | None:
        """Return the smallest id above `after`; None if there is none."""
        return conn.execute(select(func.min(self._id)).where(self._id > after)).scalar()

    def count(self, conn: Connection, lo: int, hi: int) -> int:
        """Return how many rows there are with lo < id <= hi."""
        return conn.execute(
            select(func.count()).select_from(self._table).where(self._within(lo, hi))
        ).scalar_one()

    def count_of(self, conn: Connection, lo: int, hi: int, names: NameFilter | None) -> int:
        """Return how many rows with lo < id <= hi are of the events in `names` (None: of all)."""
        query = select(func.count()).select_from(self._table).where(self._within(lo, hi))
        if names is not None:
            query = query.where(names.condition(self._table.c.eventname))
        return conn.execute(query).scalar_one()

    def missing(self, conn: Connection, lo: int, hi: int) -> list[Range]:
        """Return the ranges of ids that no row has, of those with lo < id <= hi.

        Ask before `rows`.
        """
        return missing(conn, self._id, lo, hi)

    def rows(
        self, conn: Connection, lo: int, hi: int, names: NameFilter | None, limit: int
    ) -> Sequence[Row[Any]]:
        """Return the first `limit` rows with lo < id <= hi of the events in `names` (None: of all), by id.

        There is no index on eventname: keep the window small. Ask `missing` before.
        """
        return conn.execute(self._select(names).where(self._within(lo, hi)).limit(limit)).all()

    def rows_in(
        self, conn: Connection, ranges: Sequence[Range], names: NameFilter | None, limit: int
    ) -> Found:
        """Return what is there now inside `ranges`: at most `limit` ids, the lowest, and their wanted rows.

        The rows are read after the ids, by id: what `ids` names can be taken out of the gaps.
        Costs one query per thousand ids of narrow ranges or 200 wide ones while nothing has appeared.
        """
        present = [
            number for query in self._present(ranges, limit + 1) for number in conn.execute(query).scalars()
        ]
        return self._found(conn, present, names, limit)

    def appeared(self, conn: Connection, gaps: Sequence[Gap], names: NameFilter | None, limit: int) -> Found:
        """Return like `rows_in` what is there now of the ids that `gaps` lack.

        Where only some ids of a range are missing its rows are counted, and read if there are more.
        """
        whole = [(gap.first_id, gap.last_id) for gap in gaps if gap.bits is None]
        present = [
            number for query in self._present(whole, limit + 1) for number in conn.execute(query).scalars()
        ]
        for chunk in _chunks([gap for gap in gaps if gap.bits is not None], _RANGES_PER_QUERY):
            for gap in self._fuller(conn, chunk):
                present += self._new_in(conn, gap)
        return self._found(conn, present, names, limit)

    def _fuller(self, conn: Connection, gaps: Sequence[Gap]) -> Iterator[Gap]:
        """Yield the gaps in whose range there are not just the rows that were there."""
        counts = [
            select(literal(at).label("at"), func.count().label("n")).where(
                self._id.between(gap.first_id, gap.last_id)
            )
            for at, gap in enumerate(gaps)
        ]
        for at, n in conn.execute(union_all(*counts)):
            if n != gaps[at].width - gaps[at].missing:
                yield gaps[at]

    def _new_in(self, conn: Connection, gap: Gap) -> list[int]:
        query = select(self._id).where(self._id.between(gap.first_id, gap.last_id))
        return [id_ for id_ in conn.execute(query).scalars() if gap.lacks(id_)]

    def _found(self, conn: Connection, present: Iterable[int], names: NameFilter | None, limit: int) -> Found:
        there = sorted(present)
        ids = tuple(there[:limit])
        rows = tuple(
            row
            for chunk in _chunks(ids, _IDS_PER_QUERY)
            for row in conn.execute(self._select(names).where(self._among(chunk)))
        )
        return Found(ids, rows, complete=len(there) <= limit)

    def recent(self, conn: Connection, name: str, n: int) -> Sequence[Row[Any]]:
        """Return the newest `n` rows of an event name or pattern, the newest first; for previews.

        Looks at the newest 200,000 ids only.
        """
        head = self.head(conn) or 0
        query = self._select(NameFilter.of([name])).where(self._within(head - _RECENT_IDS, head))
        return conn.execute(query.order_by(None).order_by(self._id.desc()).limit(n)).all()

    def first_id_at(self, conn: Connection, timecreated: int) -> int | None:
        """Return the smallest id of a row created at `timecreated` (Unix seconds) or later; None if none is.

        No row of that time or later has a smaller id. Rows between may be older: they waited in PHP's memory,
        or a restored course brought them. Reads the index of timecreated from there to its end, so ask once.
        A transaction that is open right now can still bring a smaller id, if the time is that recent.
        """
        # "+ 0": else PostgreSQL may walk up the primary key through all older rows to find the minimum.
        first = func.min(self._id + literal(0))
        return conn.execute(select(first).where(self._table.c.timecreated >= timecreated)).scalar()

    def row(self, conn: Connection, log_id: int) -> Row[Any] | None:
        """Return one row; None if it is not there (any more)."""
        return conn.execute(select(self._table).where(self._id == log_id)).one_or_none()

    def last_id(self, conn: Connection, upto: int) -> int | None:
        """Return the highest id of at most `upto`; None if there is none."""
        return conn.execute(select(func.max(self._id)).where(self._id <= upto)).scalar()

    def newest(
        self,
        conn: Connection,
        lo: int,
        hi: int,
        names: NameFilter | None = None,
        *,
        columns: Mapping[str, int] = MappingProxyType({}),
        times: tuple[int | None, int | None] = (None, None),
        limit: int | None = None,
    ) -> Sequence[Row[Any]]:
        """Return rows with lo < id <= hi, the newest first, whose `columns` have these values.

        `times`: only those created since the one and before the other. Keep the window small: within it every
        row is looked at.
        """
        query = self._select(names).where(self._within(lo, hi)).order_by(None).order_by(self._id.desc())
        wanted = [self._table.c[name] == value for name, value in columns.items()]
        since, until = times
        wanted += [self._table.c.timecreated >= since] if since is not None else []
        wanted += [self._table.c.timecreated < until] if until is not None else []
        return conn.execute(query.where(*wanted).limit(limit)).all()

    def tally(self, conn: Connection, lo: int, hi: int) -> Sequence[tuple[str, int, int]]:
        """Return (event name, rows, highest id) of the rows with lo < id <= hi."""
        name = self._table.c.eventname
        query = select(name, func.count(), func.max(self._id)).where(self._within(lo, hi)).group_by(name)
        return [(found, rows, last) for found, rows, last in conn.execute(query)]

    def time_after(self, conn: Connection, lo: int, hi: int) -> int | None:
        """Return the latest timecreated of the first 20 rows above `lo`; None where none says.

        Rows without an origin were brought by a restored course: their times are of long ago. Looks at
        10,000 ids from the first row on.
        """
        first = self.next_id(conn, lo)
        if first is None or first > hi:
            return None
        times = (
            select(self._table.c.timecreated)
            .where(self._id.between(first, first + _IDS_ASKED_FOR_TIME), self._table.c.origin.is_not(None))
            .order_by(self._id)
            .limit(_ROWS_ASKED_FOR_TIME)
        ).subquery()
        return conn.execute(select(func.max(times.c.timecreated))).scalar()

    def times(self, conn: Connection, lo: int, hi: int) -> Sequence[tuple[int, int]]:
        """Return (id, timecreated) of the rows with lo < id <= hi, in order, without those that a restored
        course brought: these have no origin.
        """
        query = select(self._id, self._table.c.timecreated).where(
            self._within(lo, hi), self._table.c.origin.is_not(None)
        )
        return [(log_id, at) for log_id, at in conn.execute(query.order_by(self._id))]

    def _among(self, ids: Sequence[int]) -> ColumnElement[bool]:
        # Written out: drivers take long over a thousand parameters.
        return self._id.in_(bindparam(None, ids, expanding=True, literal_execute=True))

    def _within(self, lo: int, hi: int) -> ColumnElement[bool]:
        return (self._id > lo) & (self._id <= hi)

    def _select(self, names: NameFilter | None) -> Select[Any]:
        query = select(self._table).order_by(self._id)
        return query if names is None else query.where(names.condition(self._table.c.eventname))

    def _present(self, ranges: Sequence[Range], limit: int) -> Iterator[Select[Any]]:
        """Yield the queries for the ids that are there inside `ranges`.

        Not one condition with many ORs: PostgreSQL may answer that by walking the whole index between.
        """
        narrow = [id_ for lo, hi in ranges if hi - lo < _NARROW for id_ in range(lo, hi + 1)]
        for ids in _chunks(narrow, _IDS_PER_QUERY):
            yield select(self._id).where(self._among(ids)).order_by(self._id).limit(limit)
        wide = [(lo, hi) for lo, hi in ranges if hi - lo >= _NARROW]
        for some in _chunks(wide, _RANGES_PER_QUERY):
            parts = [self._first_ids(lo, hi, limit) for lo, hi in some]
            yield select(union_all(*parts).subquery().c.id)

    def _first_ids(self, first: int, last: int, limit: int) -> Select[Any]:
        # Wrapped once more, since SQLite allows no ORDER BY in the parts of a UNION.
        part = select(self._id).where(self._id.between(first, last)).order_by(self._id).limit(limit)
        return select(part.subquery().c.id)


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
