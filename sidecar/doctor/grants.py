"""Which GRANT is missing: proven by trying without effect, and written out for this very account."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, column, false, select, table, text
from sqlalchemy.exc import DBAPIError

_ACCOUNT = {
    "mysql": text("SELECT CURRENT_USER(), DATABASE()"),
    "postgresql": text("SELECT current_user, current_schema()"),
}
# What the servers say for "you may not" and "there is none": PostgreSQL's SQLSTATE, MySQL's number.
_DENIED = ("42501", 1044, 1142, 1143)
_ABSENT = ("42P01", 1146)


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are to a database server, quoted as its GRANT wants it; `home` is the database or schema."""

    dialect: str
    who: str
    home: str

    def grant(self, privilege: str, name: str, columns: Sequence[str] = ()) -> str:
        """Return the statement that gives this account a privilege on a table, or on columns of it."""
        of = f" ({', '.join(columns)})" if columns else ""
        return f"GRANT {privilege}{of} ON {self.quoted(name)} TO {self.who};"

    def quoted(self, name: str) -> str:
        """Return the full name of a table in this dialect's quotes."""
        quote = "`" if self.dialect == "mysql" else '"'
        return f"{quote}{self.home}{quote}.{quote}{name}{quote}"


def account(conn: Connection) -> Account | None:
    """Return who this connection belongs to; None for SQLite, which knows no accounts."""
    if conn.dialect.name not in _ACCOUNT:
        return None
    who, home = conn.execute(_ACCOUNT[conn.dialect.name]).one()
    if conn.dialect.name == "postgresql":
        return Account("postgresql", f'"{who}"', home or "public")
    user, _, host = who.rpartition("@")
    return Account("mysql", f"'{user}'@'{host}'", home)


def readable(conn: Connection, name: str, columns: Iterable[str]) -> str | None:
    """Try to read no row of `columns`; return None, or how the database refuses, as `refusal` does."""
    source = table(name, *map(column, columns))
    return refusal(lambda: conn.execute(select(source).where(false())))


def refusal(work: Callable[[], object]) -> str | None:
    """Return how the database refuses `work`: `denied`, `absent` or `columns`; None if it does not.

    What is neither about rights nor about names is raised again.
    """
    try:
        work()
    except DBAPIError as error:
        kind = _kind(error)
        if kind is None:
            raise
        return kind
    return None


def _kind(error: DBAPIError) -> str | None:
    # pymysql's newer errors have a SQLSTATE too, a coarser one than their number.
    said = (getattr(error.orig, "sqlstate", None), *(error.orig.args[:1] if error.orig else ()))
    for code in said:
        if code in _DENIED:
            return "denied"
        if code in _ABSENT or "no such table" in str(code):
            return "absent"
        if code in ("42703", 1054) or "no such column" in str(code):
            return "columns"
    return None


def may_write(conn: Connection, name: str) -> bool:
    """Tell whether this account could change a table of Moodle's. Changes and locks nothing."""
    if conn.dialect.name == "postgresql":
        asked = text("SELECT has_table_privilege(CAST(:name AS text), 'INSERT, UPDATE, DELETE')")
        return bool(conn.execute(asked, {"name": f'"{name}"'}).scalar())
    if conn.dialect.name != "mysql":
        return False
    # EXPLAIN needs the right to do what it explains, and does not do it.
    explained = text(f"EXPLAIN DELETE FROM `{name}` WHERE 1 = 0")  # noqa: S608 - a checked name
    try:
        conn.execute(explained)
    except DBAPIError:
        return False
    return True
