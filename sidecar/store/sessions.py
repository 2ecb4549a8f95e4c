"""Who is signed in to the dashboard: `mih_sessions`, one row a browser, found by the hash of its token."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from sidecar.store.tables import sessions

_BYTES = 32
# A row is not written at each request: `seen_at` may lag by this much.
_TOUCH_AFTER = timedelta(minutes=1)
_PRUNED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Opened:
    """A new session, as its browser gets it. The table has only the token's hash."""

    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One row: who signed in, how, and when. `csrf` goes into each form of its pages."""

    key: str = field(repr=False)
    user_name: str
    role: str
    via: str
    csrf: str = field(repr=False)
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


def begin(
    conn: Connection, user_name: str, *, role: str, via: str, seal: str, lasts: timedelta, now: datetime
) -> Opened:
    """Begin a session and forget some that are over.

    `seal` is what the session is bound to, the hash of the user's password: see `is_sealed`.
    """
    _prune(conn, now)
    token = secrets.token_hex(_BYTES)
    conn.execute(
        insert(sessions).values(
            token_hash=_hash(token),
            user_name=user_name,
            role=role,
            via=via,
            csrf=_csrf(token, seal),
            created_at=now,
            seen_at=now,
            expires_at=now + lasts,
        )
    )
    return Opened(token, now + lasts)


def find(conn: Connection, token: str, *, idle: timedelta, now: datetime) -> Session | None:
    """Return the session of that token unless it is over: by its end, or for want of use. By primary key."""
    row = conn.execute(select(sessions).where(sessions.c.token_hash == _hash(token))).first()
    if row is None or row.expires_at <= now or row.seen_at + idle <= now:
        return None
    return _session(row)


def is_sealed(session: Session, token: str, seal: str) -> bool:
    """Whether the session began with this very password: a changed one ends it, wherever it is kept."""
    return hmac.compare_digest(session.csrf, _csrf(token, seal))


def touch(conn: Connection, session: Session, *, now: datetime) -> None:
    """Say that somebody uses it."""
    conn.execute(update(sessions).where(sessions.c.token_hash == session.key).values(seen_at=now))


def wants_touch(session: Session, now: datetime) -> bool:
    """Whether its last use was written down long enough ago to write it again."""
    return now - session.seen_at >= _TOUCH_AFTER


def end(conn: Connection, token: str) -> None:
    """End one session."""
    conn.execute(delete(sessions).where(sessions.c.token_hash == _hash(token)))


def end_all(conn: Connection, user_name: str) -> int:
    """End all sessions of a user; return how many."""
    return conn.execute(delete(sessions).where(sessions.c.user_name == user_name)).rowcount


def _prune(conn: Connection, now: datetime) -> None:
    """Forget sessions that are over. Uses mih_sessions_expires."""
    over = select(sessions.c.token_hash).where(sessions.c.expires_at < now).limit(_PRUNED_AT_ONCE)
    hashes = conn.execute(over).scalars().all()
    if hashes:
        conn.execute(delete(sessions).where(sessions.c.token_hash.in_(hashes)))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _csrf(token: str, seal: str) -> str:
    return hmac.new(token.encode("utf-8", "surrogateescape"), seal.encode(), hashlib.sha256).hexdigest()


def _session(row: Row[Any]) -> Session:
    return Session(
        row.token_hash,
        row.user_name,
        row.role,
        row.via,
        row.csrf,
        row.created_at,
        row.seen_at,
        row.expires_at,
    )
