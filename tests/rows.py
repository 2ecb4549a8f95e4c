"""Rows for the log: a factory with Moodle's usual values, and an insert for tests that let the log grow."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    NullPool,
    Table,
    Text,
    create_engine,
    insert,
    text,
)

from sidecar.clock import FakeClock
from sidecar.model import EVENT_COLUMNS
from sidecar.store.pour import poured

LOG_TABLE = "mdl_logstore_standard_log"

_TEXTS = {"eventname", "component", "action", "target", "objecttable", "crud", "other", "origin", "ip"}
LOG = Table(
    LOG_TABLE,
    MetaData(),
    *(
        Column(name, Text if name in _TEXTS else BigInteger, primary_key=name == "id")
        for name in EVENT_COLUMNS
    ),
)


def log_row(**changes: Any) -> dict[str, Any]:
    """Return a row of somebody viewing a course at the FakeClock's first moment, with changes.

    There is no id in it: the database gives the next one, unless `changes` names it.
    """
    row: dict[str, Any] = {
        "eventname": r"\core\event\course_viewed",
        "component": "core",
        "action": "viewed",
        "target": "course",
        "objecttable": None,
        "objectid": None,
        "crud": "r",
        "edulevel": 2,
        "contextid": 12,
        "contextlevel": 50,
        "contextinstanceid": 2,
        "userid": 4,
        "courseid": 2,
        "relateduserid": None,
        "anonymous": 0,
        "other": "null",
        "timecreated": int(FakeClock().now().timestamp()),
        "origin": "web",
        "ip": "127.0.0.1",
        "realuserid": None,
    }
    unknown = changes.keys() - set(EVENT_COLUMNS)
    assert not unknown, f"Moodle's log has no column {sorted(unknown)}"
    return row | changes


def insert_rows(where: str | Connection, rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Insert rows into the log and return their ids, in order.

    With a URL they are committed; with a connection the caller's transaction decides, for late commits.
    Either all rows carry an id or none does. Ids given by hand are taken from the sequence too.
    """
    wanted = [dict(row) for row in rows]
    if not wanted:
        return []
    with _connected(where) as connection:
        ids = [row["id"] for row in wanted if "id" in row]
        # A connection that was lent may commit each statement, and then has no transaction to pour into.
        columns = {name: [row[name] for row in wanted] for name in wanted[0]}
        if not ids or isinstance(where, Connection) or not poured(connection, LOG, columns):
            statement = insert(LOG).returning(LOG.c.id, sort_by_parameter_order=True)
            ids = list(connection.scalars(statement, wanted))
        if "id" in wanted[0] and connection.dialect.name == "postgresql":
            connection.execute(
                text(
                    f"SELECT setval('{LOG_TABLE}_id_seq', greatest(last_value, :id)) FROM {LOG_TABLE}_id_seq"
                ),
                {"id": max(ids)},
            )
        return ids


@contextmanager
def _connected(where: str | Connection) -> Iterator[Connection]:
    if isinstance(where, Connection):
        yield where
        return
    with create_engine(where, poolclass=NullPool).begin() as connection:
        yield connection
