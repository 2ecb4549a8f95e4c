"""A service that says it is gone for good (410) is paused, with a notice: only a person knows what then."""

import logging
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from sidecar.model import Attempt, Outcome
from sidecar.store import services

_log = logging.getLogger("mih.gateway")

_GONE = 410


def is_gone(attempt: Attempt) -> bool:
    """Whether the service says that it is no longer there, and 410 is not to be tried again."""
    return attempt.outcome is Outcome.REJECTED and attempt.status == _GONE


def pause(conn: Connection, names: Iterable[str], *, now: datetime) -> frozenset[str]:
    """Pause services; return those that were not paused before."""
    gone = frozenset(names)
    new = gone - services.paused(conn) if gone else gone
    return frozenset(name for name in sorted(new) if services.pause(conn, name, pause=True, now=now))


def tell(names: Iterable[str]) -> None:
    """Write the notice, once the pause is committed."""
    for name in sorted(names):
        _log.warning("service.paused service=%s: it answered 410 Gone; mih services resume %s", name, name)
