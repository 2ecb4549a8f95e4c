"""The places where the databases differ in SQL, each with its reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Insert, LargeBinary, Table, bindparam, cast, func
from sqlalchemy.dialects import mysql, postgresql, sqlite

from sidecar.store.pour import poured


def octets(conn: Connection, text: ColumnElement[Any]) -> ColumnElement[int]:
    """Return the bytes of a text as UTF-8. SQLite before 3.43 counts characters only, but bytes of a BLOB."""
    if conn.dialect.name == "sqlite":
        return func.length(cast(text, LargeBinary))
    return func.octet_length(text)


def among(column: Column[int], numbers: Sequence[int]) -> ColumnElement[bool]:
    """Whether a column is one of these, which stand in the statement: drivers take long over parameters."""
    return column.in_(bindparam(None, numbers, expanding=True, literal_execute=True))


def insert_new(conn: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert `rows`; those whose unique key is there already change nothing.

    Not MySQL's INSERT IGNORE: it would also swallow truncation and broken values.
    """
    if rows:
        insert_columns(conn, table, {name: [row[name] for row in rows] for name in rows[0]})


def insert_columns(conn: Connection, table: Table, columns: Mapping[str, Sequence[Any]]) -> None:
    """Insert rows like `insert_new`, given column by column, with a value for each row."""
    there_are = any(columns.values())
    if there_are and not poured(conn, table, columns):
        rows = zip(*columns.values(), strict=True)
        conn.execute(_insert_new(conn, table), [dict(zip(columns, row, strict=True)) for row in rows])


def _insert_new(conn: Connection, table: Table) -> Insert:
    match conn.dialect.name:
        case "mysql":
            unchanged = next(iter(table.primary_key.columns))
            return mysql.insert(table).on_duplicate_key_update({unchanged.name: unchanged})
        case "postgresql":
            return postgresql.insert(table).on_conflict_do_nothing()
        case _:
            return sqlite.insert(table).on_conflict_do_nothing()


def upsert(conn: Connection, table: Table, rows: Sequence[dict[str, Any]], changes: dict[str, Any]) -> None:
    """Insert `rows` by primary key; where one is there, set `changes`.

    A value in `changes` is a column name (take the new row's value) or `"+name"` (add it to the old value).
    """
    if not rows:
        return
    keys = [column.name for column in table.primary_key.columns]
    statement: Any
    if conn.dialect.name == "mysql":
        # VALUES() and not the row alias of MySQL 8.0.19: MariaDB does not know the alias.
        statement = mysql.insert(table)
        statement = statement.on_duplicate_key_update(_merged(table, statement.inserted, changes))
    else:
        statement = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(table)
        statement = statement.on_conflict_do_update(
            index_elements=keys, set_=_merged(table, statement.excluded, changes)
        )
    conn.execute(statement, list(rows))


def _merged(table: Table, new: Any, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: table.c[name] + new[name] if source == f"+{name}" else new[source]
        for name, source in changes.items()
    }
