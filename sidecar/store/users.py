"""Who may sign in to the dashboard: `mih_users`, and `web.users` of the configuration, which wins."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from sidecar.settings import UserRole, WebSettings
from sidecar.store import sessions
from sidecar.store.tables import users

Source = Literal["file", "here", "moodle", "oidc"]


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in; `source` says where that is known.

    Of somebody whom others vouch for, `password_hash` stands for the settings by which they do.
    """

    name: str
    role: UserRole
    password_hash: str = field(repr=False)
    source: Source


def find(conn: Connection, web: WebSettings, name: str) -> User | None:
    """Return the user of that name, upper and lower case told apart."""
    written = of_file(web, name)
    if written is not None:
        return written
    row = conn.execute(select(users).where(users.c.name == name)).first()
    return None if row is None else _user(row)


def of_file(web: WebSettings, name: str) -> User | None:
    """Return the user of that name in the configuration."""
    for one in web.users:
        if one.name == name:
            return User(name, one.role, one.password_hash.get_secret_value(), "file")
    return None


def all_of(conn: Connection, web: WebSettings) -> list[User]:
    """Return everybody by name; somebody of the table whose name is in the file is left out."""
    named = {one.name for one in web.users}
    written = [User(one.name, one.role, one.password_hash.get_secret_value(), "file") for one in web.users]
    here = [_user(row) for row in _rows(conn) if row.name not in named]
    return sorted([*written, *here], key=lambda user: user.name)


def any_in_table(conn: Connection) -> bool:
    """Whether the table has a user at all."""
    return bool(conn.execute(select(func.count()).select_from(users)).scalar_one())


def add(conn: Connection, name: str, *, role: UserRole, password_hash: str, now: datetime) -> bool:
    """Add a user; return whether the name was free."""
    # Asked first, as an insert that fails would end the transaction on PostgreSQL; the key is the last word.
    if conn.execute(select(users.c.name).where(users.c.name == name)).first() is not None:
        return False
    conn.execute(
        insert(users).values(
            name=name, role=role, password_hash=password_hash, created_at=now, updated_at=now
        )
    )
    return True


def set_password(conn: Connection, name: str, *, password_hash: str, now: datetime) -> bool:
    """Change a password and end all sessions of that user; return whether there is one."""
    changed = conn.execute(
        update(users).where(users.c.name == name).values(password_hash=password_hash, updated_at=now)
    )
    sessions.end_all(conn, name)
    return changed.rowcount == 1


def remove(conn: Connection, name: str) -> bool:
    """Remove a user and end all sessions; return whether there was one."""
    removed = conn.execute(delete(users).where(users.c.name == name))
    sessions.end_all(conn, name)
    return removed.rowcount == 1


def _rows(conn: Connection) -> Sequence[Row[Any]]:
    return conn.execute(select(users).order_by(users.c.name)).all()


def _user(row: Row[Any]) -> User:
    return User(row.name, row.role, row.password_hash, "here")
