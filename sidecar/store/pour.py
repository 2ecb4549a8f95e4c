"""Many new rows go into a table here, as fast as the driver takes them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

_MANY = 20  # rows from which on it makes good for the two round trips of a savepoint
_STATEMENT = 500_000  # characters of rows; MySQL takes 4 MB where it takes least


def poured(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Insert rows, which all have the same columns, and return whether that was done.

    Where it was not nothing has changed. An ordinary INSERT then does it, or says what is wrong without
    showing values as the driver does. So go in rows of which PostgreSQL has one already: COPY makes no
    exceptions.
    """
    pour = _POURS.get(conn.dialect.name)
    if pour is None or len(rows) < _MANY:
        return False
    columns = dict(_columns(conn, table, rows))
    savepoint = conn.begin_nested()
    raw: Any = conn.connection.dbapi_connection
    try:
        pour(raw, table, columns)
    except _error(conn):
        savepoint.rollback()  # raises where the whole transaction is gone, as after a deadlock
        return False
    savepoint.commit()
    return True


def _columns(
    conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, list[Any]]]:
    """Yield each column's values as the driver wants them; what is null in all rows is left out."""
    for name in rows[0]:
        column, values = table.c[name], [row[name] for row in rows]
        if column.nullable and values.count(None) == len(values):
            continue
        process = column.type.dialect_impl(conn.dialect).bind_processor(conn.dialect)
        yield name, [process(value) for value in values] if process else values


def _error(conn: Connection) -> type[Exception]:
    found: type[Exception] = conn.dialect.loaded_dbapi.Error
    return found


def _copied(raw: Any, table: Table, columns: Mapping[str, list[Any]]) -> None:
    """PostgreSQL's COPY: no statement to plan, no parameter to describe."""
    with (
        raw.cursor() as cursor,
        cursor.copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        for row in zip(*columns.values(), strict=True):
            copy.write_row(row)


def _written_out(raw: Any, table: Table, columns: Mapping[str, list[Any]]) -> None:
    """One INSERT as text, in which a value that many rows have is escaped once."""
    unchanged = next(iter(table.primary_key.columns)).name
    head = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES"
    literals = (map(_Literals(raw.escape).__getitem__, values) for values in columns.values())
    with raw.cursor() as cursor:
        for some in _statements("(" + ",".join(row) + ")" for row in zip(*literals, strict=True)):
            cursor.execute(f"{head} {some} ON DUPLICATE KEY UPDATE {unchanged} = {table.name}.{unchanged}")


class _Literals(dict[Any, str]):
    """How the values of one column are written in SQL."""

    def __init__(self, escape: Callable[[Any], str]) -> None:
        super().__init__()
        self._escape = escape

    def __missing__(self, value: Any) -> str:
        written = self[value] = self._escape(value)
        return written


def _statements(rows: Iterator[str]) -> Iterator[str]:
    """Yield the rows joined, as many at once as a statement may hold."""
    some, length = list[str](), 0
    for row in rows:
        if some and length + len(row) > _STATEMENT:
            yield ",".join(some)
            some, length = [], 0
        some.append(row)
        length += len(row)
    if some:
        yield ",".join(some)


_POURS: Mapping[str, Callable[[Any, Table, Mapping[str, list[Any]]], None]] = {
    "postgresql": _copied,
    "mysql": _written_out,
}
