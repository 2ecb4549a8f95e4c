"""Database errors in words for people: what happened, where, and what to do about it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sidecar.errors import DatabaseUnavailable

_DENIED = "has no right to do that"

_MYSQL: dict[int, str] = {
    1040: "has too many connections: raise max_connections or lower dispatch.concurrency",
    1044: "the account may not use this database; `sql/grants/mysql.sql` has the GRANT statements",
    1045: "refused the user name or password: check the URL",
    1049: "there is no such database: check the end of the URL",
    1142: f"the account {_DENIED}; `sql/grants/mysql.sql` has the GRANT statements",
    1143: f"the account {_DENIED}; `sql/grants/mysql.sql` has the GRANT statements",
    1146: "a table is missing: check moodle.prefix and moodle.log_table, or run `mih migrate`",
    1205: "waited too long for a lock; it is tried again",
    1213: "resolved a deadlock; it is tried again",
    1290: "is read-only: give store.url a database that can be written to",
    1698: "refused this account: it signs in by other means than a password",
    1792: "is read-only: give store.url a database that can be written to",
    1836: "is read-only: give store.url a database that can be written to",
    2003: "cannot be reached: is it running, and are host and port right?",
    2006: "has gone away",
    2013: "has broken the connection",
}
_POSTGRESQL: dict[str, str] = {
    "08": "cannot be reached or has broken the connection",
    "25006": "is read-only: give store.url a database that can be written to",
    "28": "refused the user name or password: check the URL",
    "3D000": "there is no such database: check the end of the URL",
    "40": "had to undo a transaction because of others; it is tried again",
    "42501": f"the account {_DENIED}; `sql/grants/postgresql.sql` has the GRANT statements",
    "42P01": "a table is missing: check moodle.prefix and moodle.log_table, or run `mih migrate`",
    "53100": "its disk is full",
    "53300": "has too many connections: raise max_connections or lower dispatch.concurrency",
    "57P": "is shutting down or starting up",
}
_SQLITE: dict[str, str] = {
    "database or disk is full": "its disk is full: make room; nothing is lost, work goes on by itself",
    "database is locked": "another process has held its lock for 30 s",
    "readonly database": "the file or its folder cannot be written to by this user",
    "unable to open": "the file cannot be opened: check the path and its rights",
    "no such table": "a table is missing: check moodle.prefix and moodle.log_table, or run `mih migrate`",
    "not a database": "the file is no SQLite database",
    "disk I/O error": "its disk reports an error",
}


# What a database says of values that it cannot hold, whoever asks and however often.
UNSTORABLE = (DataError, IntegrityError, UnicodeError)

_AWAY = (
    "cannot be reached",
    "has gone away",
    "has broken",
    "has too many",
    "is shutting down",
    "another process",
)


def explain(error: SQLAlchemyError, where: str) -> str:
    """Return one sentence about a database error; `where` is the URL without its password."""
    known = _known(error)
    return f"{where} {known}" if known else f"{where}: {_first_line(error)}"


def is_passing(error: SQLAlchemyError) -> bool:
    """Whether waiting may help: the database is away, locked or full, not asked for nonsense."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout)


@contextmanager
def blame(where: str) -> Iterator[None]:
    """Raise DatabaseUnavailable, in words, for any database error inside."""
    try:
        yield
    except SQLAlchemyError as error:
        away = is_passing(error) and (_known(error) or "").startswith(_AWAY)
        raise DatabaseUnavailable(explain(error, where), away=away) from error


def _known(error: SQLAlchemyError) -> str | None:
    if not isinstance(error, DBAPIError) or error.orig is None:
        return None
    first = error.orig.args[0] if error.orig.args else None
    if isinstance(first, int):
        return _MYSQL.get(first)
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return next((text for code, text in _POSTGRESQL.items() if state.startswith(code)), None)
    said = str(error.orig)
    if said.startswith(("connection failed", "connection is bad", "consuming input failed")):
        return _postgresql_connection(said)
    return next((text for piece, text in _SQLITE.items() if piece in said), None)


def _postgresql_connection(said: str) -> str:
    """psycopg gives no SQLSTATE when it cannot connect, only the server's sentence."""
    for piece, code in (("password", "28"), ("does not exist", "3D000"), ("too many", "53300")):
        if piece in said:
            return _POSTGRESQL[code]
    return "cannot be reached: is it running, and are host and port right?"


def _first_line(error: SQLAlchemyError) -> str:
    origin = error.orig if isinstance(error, DBAPIError) and error.orig else error
    line = str(origin).strip().splitlines()[0] if str(origin).strip() else type(origin).__name__
    return re.sub(r"\s+", " ", line)[:500]
