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

from sidecar.errors import DatabaseUnavailable, said

_NO_TABLE = said("a table is missing: check moodle.prefix and moodle.log_table, or run `mih migrate`")
_NO_COLUMN = said("a column is missing: this is another version of Moodle, or another prefix's table")
_NO_RIGHT_IN_MYSQL = said(
    "the account has no right to do that: `mih check` prints the GRANT, `sql/grants/mysql.sql` has all"
)
_NO_RIGHT_IN_POSTGRESQL = said(
    "the account has no right to do that: `mih check` prints the GRANT, `sql/grants/postgresql.sql` has all"
)
# Of these the server says which table or column.
_NAMED = (_NO_TABLE, _NO_COLUMN, _NO_RIGHT_IN_MYSQL, _NO_RIGHT_IN_POSTGRESQL)
_FULL = said("its disk is full: make room there; nothing is lost")
_NOT_FROM_HERE = said("lets this account in from other machines only")
_OTHER_SIGN_IN = said("refused this account: it signs in by other means than a password")
_MYSQL: dict[int, str] = {
    0: said("has broken the connection"),  # pymysql's own, of a connection that it has given up
    1021: _FULL,
    1040: said("has too many connections: raise max_connections or lower dispatch.concurrency"),
    1044: said("the account may not use this database; `sql/grants/mysql.sql` has the GRANT statements"),
    1045: said("refused the user name or password: check the URL"),
    1049: said("there is no such database: check the end of the URL"),
    1054: _NO_COLUMN,
    1114: _FULL,
    1129: said("has blocked this machine for its failed connections: run `mariadb-admin flush-hosts` there"),
    1130: _NOT_FROM_HERE,
    1142: _NO_RIGHT_IN_MYSQL,
    1143: _NO_RIGHT_IN_MYSQL,
    1146: _NO_TABLE,
    1205: said("waited too long for a lock; it is tried again"),
    1213: said("resolved a deadlock; it is tried again"),
    1290: said("is read-only: give store.url a database that can be written to"),
    1698: _OTHER_SIGN_IN,
    1792: said("is read-only: give store.url a database that can be written to"),
    1836: said("is read-only: give store.url a database that can be written to"),
    2003: said("cannot be reached: it does not run, or host or port are wrong"),
    2006: said("has gone away"),
    2013: said("has broken the connection"),
}
_POSTGRESQL: dict[str, str] = {
    "08": said("cannot be reached or has broken the connection"),
    "25006": said("is read-only: give store.url a database that can be written to"),
    "28": said("refused the user name or password: check the URL"),
    "3D000": said("there is no such database: check the end of the URL"),
    "40": said("had to undo a transaction because of others; it is tried again"),
    "42703": _NO_COLUMN,
    "42501": _NO_RIGHT_IN_POSTGRESQL,
    "42P01": _NO_TABLE,
    "53100": _FULL,
    "53300": said("has too many connections: raise max_connections or lower dispatch.concurrency"),
    "57P": said("is shutting down or starting up"),
}
_SQLITE: dict[str, str] = {
    "database or disk is full": _FULL,
    "database is locked": said("another process has held its lock for 30 s"),
    "readonly database": said("the file or its folder cannot be written to by this user"),
    "unable to open": said("the file cannot be opened: check the path and its rights"),
    "no such table": _NO_TABLE,
    "no such column": _NO_COLUMN,
    "not a database": said("the file is no SQLite database"),
    "disk I/O error": said("its disk reports an error"),
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


_ORIGIN = "mih_origin"


def sign(error: SQLAlchemyError, where: str) -> None:
    """Write on an error which database it came from; the innermost signs first and is right."""
    vars(error).setdefault(_ORIGIN, where)


def explain(error: SQLAlchemyError, where: str) -> str:
    """Return one sentence about a database error; `where` has the URL, without its password, that was meant.

    Work on Moodle's database often ends in the store: the one that the error came from is named then.
    """
    origin = vars(error).get(_ORIGIN, where)
    where = where if origin in where else origin
    known = _known(error)
    if known is None:
        return f"{where}: {_first_line(error)}"
    if known in _NAMED:
        known = said("%(what)s; its words: %(text)s", what=known, text=_first_line(error))
    return said("%(where)s %(what)s", where=where, what=known)


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
    line = str(error.orig)
    if line.startswith(("connection failed", "connection is bad", "consuming input failed")):
        return _postgresql_connection(line)
    return next((text for piece, text in _SQLITE.items() if piece in line), None)


# psycopg gives no SQLSTATE when it cannot connect, only the server's sentence.
_POSTGRESQL_CONNECTION: dict[str, str] = {
    r"pg_hba\.conf": said("does not let this account in from here: its pg_hba.conf needs a line for it"),
    "(Peer|Ident) authentication failed": _OTHER_SIGN_IN,
    "permission denied for database": said(
        "the account may not use this database; `sql/grants/postgresql.sql` has the GRANT statements"
    ),
    "password|role .* does not exist": _POSTGRESQL["28"],
    "does not exist": _POSTGRESQL["3D000"],
    "too many": _POSTGRESQL["53300"],
    "database system is": _POSTGRESQL["57P"],
}


def _postgresql_connection(line: str) -> str | None:
    for pattern, text in _POSTGRESQL_CONNECTION.items():
        if re.search(pattern, line):
            return text
    if re.search("FATAL|SSL|certificate", line):
        return None  # it was reached: its own words say more
    return said("cannot be reached: it does not run, or host or port are wrong")


def _first_line(error: SQLAlchemyError) -> str:
    origin = error.orig if isinstance(error, DBAPIError) and error.orig else error
    if len(origin.args) > 1 and isinstance(origin.args[0], int):
        origin = Exception(origin.args[1])  # pymysql's: a number, and the sentence
    line = str(origin).strip().splitlines()[0] if str(origin).strip() else type(origin).__name__
    return re.sub(r"\s+", " ", line)[:500]
