"""Which ids of a window no row has: counted piece by piece, looked at only where a count falls short."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Dialect,
    func,
    literal,
    literal_column,
    select,
    text,
    union_all,
)

Range = tuple[int, int]  # first and last id, both inside

_WIDEST, _MOST_SHORT = 1_048_576, 150  # ids, and ranges: beyond, the database itself lists what is missing
_PIECE_BITS = 8
_APART_WIDTH = 128
_GROUP_BITS = 5
_GROUP = 1 << _GROUP_BITS
_WHOLE_GROUP = (1 << _GROUP) - 1


def missing(conn: Connection, id_: ColumnElement[int], lo: int, hi: int) -> list[Range]:
    """Return the ranges of ids that no row has, of those with lo < id <= hi.

    Work and answer grow with the rows, hardly with the ids.
    """
    if hi <= lo:
        return []
    if conn.dialect.name == "postgresql" and hi - lo <= _WIDEST:
        return list(_joined(_lacking_apart(conn, id_, lo, hi)))
    short = _short(conn, id_, lo, hi)
    if short is None:
        return _listed(conn, id_, lo, hi)
    return list(_joined(_lacking(short, _bits(conn, id_, short)))) if short else []


# PostgreSQL takes longer to put each row into a group than to count each piece for itself. The limits are for
# its planner, which takes such a range for a good part of the table and compiles the query then, for longer.
_APART = """
SELECT first, last, CASE WHEN n > 0 THEN ARRAY(
    SELECT generate_series(first, last) EXCEPT (SELECT {id} FROM {inside})
) END
FROM (
    SELECT first, least(first + {width} - 1, :hi) AS last
    FROM generate_series(CAST(:lo AS BIGINT) + 1, CAST(:hi AS BIGINT), {width}) AS first
) AS pieces, LATERAL (SELECT count(*) AS n FROM (SELECT FROM {inside}) AS found) AS counted
WHERE n <= last - first
"""


def _lacking_apart(conn: Connection, id_: ColumnElement[int], lo: int, hi: int) -> Iterator[Range]:
    """Yield what is missing, in order: pieces without any row, and the single ids that others lack."""
    assert isinstance(id_, Column)
    column, table = id_.name, id_.table.description
    inside = f"{table} WHERE {column} BETWEEN first AND last LIMIT {_APART_WIDTH}"
    query = text(_APART.format(id=column, inside=inside, width=_APART_WIDTH))
    for first, last, lacking in sorted(conn.execute(query, {"lo": lo, "hi": hi}).tuples()):
        if lacking is None:
            yield first, last
        else:
            yield from ((number, number) for number in sorted(lacking))


def _short(conn: Connection, id_: ColumnElement[int], lo: int, hi: int) -> list[Range] | None:
    """Return the pieces with missing ids, joined; None where they are many, or the range is wide."""
    if hi - lo > _WIDEST:
        return None
    piece = _shifted(id_, _PIECE_BITS).label("piece")
    counted = select(piece, func.count()).where((id_ > lo) & (id_ <= hi)).group_by("piece")
    counts = {int(number): n for number, n in conn.execute(counted)}
    pieces = (
        (number, max(number << _PIECE_BITS, lo + 1), min(((number + 1) << _PIECE_BITS) - 1, hi))
        for number in range((lo + 1) >> _PIECE_BITS, (hi >> _PIECE_BITS) + 1)
    )
    short = list(
        _joined((first, last) for at, first, last in pieces if counts.get(at, 0) != last - first + 1)
    )
    return short if len(short) <= _MOST_SHORT else None


def _bits(conn: Connection, id_: ColumnElement[int], ranges: Sequence[Range]) -> dict[int, int]:
    """Return which ids are there in these ranges: the number of a group, and a bit for each of its ids."""
    one = _grouped(id_, conn.dialect)
    query = text(" UNION ALL ".join(one.format(first, last) for first, last in ranges))
    return {int(at): int(found) for at, found in conn.execute(query)}


@lru_cache(maxsize=8)
def _grouped(id_: ColumnElement[int], dialect: Dialect) -> str:
    """Return the question for the bits of one range, to be written out: compiled each would take longer."""
    place = id_.bitwise_and(literal_column(str(_GROUP - 1)))
    bits = func.sum(literal_column("1").bitwise_lshift(place))
    within = id_.between(literal_column("{0}"), literal_column("{1}"))
    query = select(_shifted(id_, _GROUP_BITS).label("at"), bits).where(within).group_by("at")
    return str(query.compile(dialect=dialect))


def _shifted(id_: ColumnElement[int], bits: int) -> ColumnElement[int]:
    return id_.bitwise_rshift(literal_column(str(bits)))


def _listed(conn: Connection, id_: ColumnElement[int], lo: int, hi: int) -> list[Range]:
    """Return the missing ranges, found by the database row by row."""
    # A row past the end makes the right edge, and the whole of an empty window, an ordinary hole.
    ids = union_all(select(id_).where((id_ > lo) & (id_ <= hi)), select(literal(hi + 1))).subquery()
    # No third argument of LAG: MariaDB has none.
    before = func.coalesce(func.lag(ids.c.id).over(order_by=ids.c.id), lo).label("before")
    steps = select(ids.c.id, before).subquery()
    holes = select(steps.c.before + 1, steps.c.id - 1).where(steps.c.id > steps.c.before + 1)
    return [(first, last) for first, last in conn.execute(holes.order_by(steps.c.id))]


def _lacking(ranges: Iterable[Range], bits: Mapping[int, int]) -> Iterator[Range]:
    """Yield what these ranges lack, in order and in small pieces."""
    for first, last in ranges:
        for at in range(first >> _GROUP_BITS, (last >> _GROUP_BITS) + 1):
            lowest, there = at << _GROUP_BITS, bits.get(at, 0)
            begin, end = max(lowest, first), min(lowest + _GROUP - 1, last)
            if there == 0:
                yield begin, end
            elif there != _WHOLE_GROUP:
                yield from ((n, n) for n in range(begin, end + 1) if not there >> (n - lowest) & 1)


def _joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """Yield ranges that are in order, those that touch as one."""
    before: Range | None = None
    for first, last in ranges:
        if before and before[1] == first - 1:
            before = before[0], last
            continue
        if before:
            yield before
        before = first, last
    if before:
        yield before
