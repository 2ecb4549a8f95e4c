"""What becomes of the deliveries that wait when their service or rule ends: somebody says."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

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
    conn: Connection, kind: Kind, name: str, waiting: Waiting | None, *, done: str, now: datetime
) -> int:
    """Do with what waits as was said, and return how many that were. Raises StillWaiting if nothing was."""
    owed = count_waiting(conn, kind, name)
    if owed and waiting is None:
        raise StillWaiting(_question(kind, name, owed), owed)
    if owed and waiting is Waiting.CANCEL:
        cancel_waiting(conn, kind, name, now=now)
    elif owed and waiting is Waiting.BURY:
        bury_waiting(conn, kind, name, error=f"the {kind} {name} was {done} before this was sent", now=now)
    return owed


def decision(owed: int, waiting: Waiting | None) -> str | None:
    """Return for the audit what was decided of how many; None: nothing waited."""
    return f"{count(owed, 'waiting delivery', 'waiting deliveries')}: {waiting}" if owed else None


def _question(kind: Kind, name: str, owed: int) -> str:
    waits = "delivery waits" if owed == 1 else "deliveries wait"
    return (
        f"{owed:,} {waits} for the {kind} {name}: say what becomes of them with waiting=park (they stay),"
        " cancel (they are never sent) or bury (they become dead letters)."
    )
