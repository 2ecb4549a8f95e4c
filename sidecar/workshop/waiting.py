"""What becomes of the deliveries that wait when their service or rule ends: somebody says."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from sidecar.errors import said
from sidecar.settings import Kind
from sidecar.store.waiting import bury_waiting, cancel_waiting, count_waiting
from sidecar.store.words import count
from sidecar.workshop.refusals import StillWaiting


class Waiting(StrEnum):
    """What shall become of waiting deliveries.

    `park` leaves them: those of a service are sent when there is one of that name again, those of a rule are
    sent as they are.
    """

    PARK = "park"
    CANCEL = "cancel"
    BURY = "bury"


def decide(
    conn: Connection, kind: Kind, name: str, waiting: Waiting | None, *, deleted: bool, now: datetime
) -> int:
    """Do with what waits as was said, and return how many that were. Raises StillWaiting if nothing was."""
    owed = count_waiting(conn, kind, name)
    if owed and waiting is None:
        raise StillWaiting(_question(kind, name, owed), owed)
    if owed and waiting is Waiting.CANCEL:
        cancel_waiting(conn, kind, name, now=now)
    elif owed and waiting is Waiting.BURY:
        bury_waiting(conn, kind, name, error=_ended(kind, name, deleted=deleted), now=now)
    return owed


def decision(owed: int, waiting: Waiting | None) -> str | None:
    """Return for the audit what was decided of how many; None: nothing waited."""
    return f"{count(owed, 'waiting delivery', 'waiting deliveries')}: {waiting}" if owed else None


def _question(kind: Kind, name: str, owed: int) -> str:
    thing = said("service %(name)s", name=name) if kind is Kind.SERVICE else said("rule %(name)s", name=name)
    waits = (
        said("1 delivery waits for the %(thing)s", thing=thing)
        if owed == 1
        else said("%(n)s deliveries wait for the %(thing)s", n=f"{owed:,}", thing=thing)
    )
    return said(
        "%(waits)s: say what becomes of them with waiting=park (they stay),"
        " cancel (they are never sent) or bury (they become dead letters).",
        waits=waits,
    )


def _ended(kind: Kind, name: str, *, deleted: bool) -> str:
    if kind is Kind.SERVICE:
        if deleted:
            return said("the service %(name)s was deleted before this was sent", name=name)
        return said("the service %(name)s was switched off before this was sent", name=name)
    if deleted:
        return said("the rule %(name)s was deleted before this was sent", name=name)
    return said("the rule %(name)s was switched off before this was sent", name=name)
