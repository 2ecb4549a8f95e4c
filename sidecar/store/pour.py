"""Many new rows go into a table here, as fast as the driver takes them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count, repeat
from typing import Any

from sqlalchemy import Connection, Table

_MANY = 20  # rows from which on it makes good for the two round trips of a savepoint
_STATEMENT = 500_000  # characters of rows; MySQL takes 4 MB where it takes least


def poured(conn: Connection, table: Table, columns: Mapping[str, Sequence[Any]]) -> bool:
    """Insert rows, given column by column, and return whether that was done.

    Where it was not nothing has changed. An ordinary INSERT then does it, or says what is wrong without
    showing values as the driver does. So go in rows of which PostgreSQL has one already: COPY makes no
    exceptions.
    """
    pour = _POURS.get(conn.dialect.name)
    if pour is None or len(next(iter(columns.values()))) < _MANY:
        return False
    block = _block(conn, table, columns)
    savepoint = conn.begin_nested()
    raw: Any = conn.connection.dbapi_connection
    try:
        pour(raw, table, block)
    except _error(conn):
        savepoint.rollback()  # raises where the whole transaction is gone, as after a deadlock
        return False
    savepoint.commit()
    return True


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows as columns, their values as the driver wants them: one value where all rows have the same."""

    length: int
    same: Mapping[str, Any]
    varied: Mapping[str, Sequence[Any]]

    @property
    def columns(self) -> str:
        """Their names as a statement lists them."""
        return ", ".join([*self.same, *self.varied])

    def lines(self, separator: str, writers: Iterable[Callable[[Any], str]]) -> Iterator[str]:
        """Yield the rows as text; what they have in common is written once. Each column has its writer."""
        write = iter(writers)
        common = separator.join([next(write)(value) for value in self.same.values()])
        columns = [map(next(write), values) for values in self.varied.values()]
        begins = [repeat(common, self.length)] if self.same else []
        return map(separator.join, zip(*begins, *columns, strict=True))


def _block(conn: Connection, table: Table, columns: Mapping[str, Sequence[Any]]) -> _Block:
    """Return columns as they are written; one that is null in all rows is left out."""
    same, varied, length = dict[str, Any](), dict[str, Sequence[Any]](), 0
    for name, values in columns.items():
        column, length = table.c[name], len(values)
        process = column.type.dialect_impl(conn.dialect).bind_processor(conn.dialect)
        if values.count(values[0]) < length:
            varied[name] = [process(value) for value in values] if process else values
        elif values[0] is not None or not column.nullable:
            same[name] = process(values[0]) if process else values[0]
    return _Block(length, same, varied)


def _error(conn: Connection) -> type[Exception]:
    found: type[Exception] = conn.dialect.loaded_dbapi.Error
    return found


def _copied(raw: Any, table: Table, block: _Block) -> None:
    """PostgreSQL's COPY: no statement to plan, no parameter to describe."""
    with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({block.columns}) FROM STDIN") as copy:
        for some in _pieces(block.lines("\t", repeat(_field)), "\n"):
            copy.write(some + "\n")


def _field(value: Any) -> str:
    """Return a value as COPY's text format has it."""
    if isinstance(value, str):
        return value.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n").replace("\r", r"\r")
    if value is None:
        return r"\N"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _written_out(raw: Any, table: Table, block: _Block) -> None:
    """One INSERT as text, in which a value that many rows have is escaped once."""
    unchanged = next(iter(table.primary_key.columns)).name
    head = f"INSERT INTO {table.name} ({block.columns}) VALUES"
    literals = (_Literals(raw.escape).__getitem__ for _ in count())
    with raw.cursor() as cursor:
        for some in _pieces(block.lines(",", literals), "),("):
            cursor.execute(f"{head} ({some}) ON DUPLICATE KEY UPDATE {unchanged} = {table.name}.{unchanged}")


class _Literals(dict[Any, str]):
    """How the values of one column are written in SQL."""

    def __init__(self, escape: Callable[[Any], str]) -> None:
        super().__init__()
        self._escape = escape

    def __missing__(self, value: Any) -> str:
        written = self[value] = self._escape(value)
        return written


def _pieces(rows: Iterator[str], between: str) -> Iterator[str]:
    """Yield the rows joined, as many at once as a statement may hold."""
    some, length = list[str](), 0
    for row in rows:
        if some and length + len(row) > _STATEMENT:
            yield between.join(some)
            some, length = [], 0
        some.append(row)
        length += len(row)
    if some:
        yield between.join(some)


_POURS: Mapping[str, Callable[[Any, Table, _Block], None]] = {
    "postgresql": _copied,
    "mysql": _written_out,
}
