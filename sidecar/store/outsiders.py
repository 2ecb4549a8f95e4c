"""Whom a session belongs to: one of our users, or somebody whom Moodle or a provider vouched for."""

import hashlib
import json
from typing import Literal, cast

from sqlalchemy import Connection

from sidecar.settings import Settings, UserRole
from sidecar.store import users
from sidecar.store.sessions import Session
from sidecar.store.users import User

Voucher = Literal["moodle", "oidc"]


def user_of(conn: Connection, settings: Settings, session: Session) -> User | None:
    """Return who has this session; None if they may not sign in any more."""
    if session.via in ("moodle", "oidc"):
        via, role = cast("Voucher", session.via), cast("UserRole", session.role)
        return user(settings, via, session.user_name, role)
    return users.find(conn, settings.web, session.user_name) if settings.web.local_login else None


def user(settings: Settings, via: Voucher, name: str, role: UserRole) -> User | None:
    """Return somebody whom Moodle or the provider vouches for; None where that way in is closed.

    The session is bound to the settings by which the role was found: a change of them ends it, as nobody
    can be asked again.
    """
    web = settings.web
    section = web.moodle_login if via == "moodle" else web.oidc
    if section is None:
        return None
    # Stars stand for the secret: another one changes nothing about who may come in.
    known = [via, settings.site_url, name, role, section.model_dump(mode="json")]
    seal = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    return User(name, role, seal, via)
