"""Dead letters: `mih_dlq`, deliveries given up, each with its reason and all that a replay needs."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, case, func, select

from sidecar.errors import said
from sidecar.model import DeadLetter, DeadReason, Settlement
from sidecar.store.dialect import among, insert_new
from sidecar.store.tables import dlq

EXPIRED = said("it waited longer than the expires_after of its rule")
_TEXT_LENGTH = 16_000  # characters, of four bytes at most: MySQL's TEXT ends at 65,535 bytes


def bury(conn: Connection, letters: Sequence[DeadLetter], *, now: datetime) -> None:
    """Keep dead letters; one whose delivery is already there stays as it is."""
    insert_new(conn, dlq, [_values(letter, now) for letter in letters])


def letter_of(item: Settlement) -> DeadLetter:
    """Return the dead letter of a settlement that buries its delivery."""
    attempt = item.attempt
    return DeadLetter(
        delivery=item.claimed.delivery,
        reason=item.decision.reason or DeadReason.EXHAUSTED,
        error=(attempt.error if attempt else EXPIRED) or said("no error was given"),
        attempts=item.claimed.attempts + (1 if attempt else 0),
        status=attempt.status if attempt else None,
        response=attempt.response if attempt else None,
    )


def error_of(letter: DeadLetter) -> str:
    """Return what went wrong as a table can hold it: it may quote a row of Moodle's."""
    return letter.error.replace("\0", "\ufffd")[:_TEXT_LENGTH]


def count(
    conn: Connection,
    *,
    service: str | None = None,
    rule: str | None = None,
    reason: DeadReason | None = None,
    since: datetime | None = None,
) -> int:
    """Return how many dead letters match, by an index of what is named."""
    query = select(func.count()).select_from(dlq)
    for column, value in ((dlq.c.service, service), (dlq.c.rule, rule), (dlq.c.reason, reason)):
        if value is not None:
            query = query.where(column == value)
    return int(conn.execute(query if since is None else query.where(dlq.c.created_at >= since)).scalar_one())


def fresh(conn: Connection, recent: datetime, early: datetime) -> tuple[int, int]:
    """Return how many were given up since one moment, and since an earlier one. By `mih_dlq_created`."""
    since = func.coalesce(func.sum(case((dlq.c.created_at >= recent, 1), else_=0)), 0)
    recent_n, n = conn.execute(select(since, func.count()).where(dlq.c.created_at >= early)).one()
    return int(recent_n), int(n)


def by_reason(conn: Connection) -> Sequence[Row[Any]]:
    """Return the number of dead letters per service and reason."""
    query = select(dlq.c.service, dlq.c.reason, func.count().label("n")).group_by(dlq.c.service, dlq.c.reason)
    return conn.execute(query.order_by(dlq.c.service, dlq.c.reason)).all()


def groups(conn: Connection) -> Sequence[Row[Any]]:
    """Return (reason, service, status, n, oldest, newest) of all dead letters, the most first.

    All from `mih_dlq_reason`: no payload is read.
    """
    n = func.count().label("n")
    times = func.min(dlq.c.created_at).label("oldest"), func.max(dlq.c.created_at).label("newest")
    kinds = (dlq.c.reason, dlq.c.service, dlq.c.status)
    query = select(*kinds, n, *times).group_by(*kinds)
    return conn.execute(query.order_by(n.desc(), dlq.c.reason, dlq.c.service, dlq.c.status)).all()


def write_payload(conn: Connection, delivery_id: str, payload: str) -> None:
    """Have a dead letter show another payload; its delivery's own is another table's."""
    conn.execute(dlq.update().where(dlq.c.delivery_id == delivery_id).values(payload=payload))


def get(conn: Connection, delivery_id: str) -> Row[Any] | None:
    """Return the dead letter of a delivery."""
    return conn.execute(select(dlq).where(dlq.c.delivery_id == delivery_id)).one_or_none()


def standing(conn: Connection, numbers: Collection[int]) -> frozenset[int]:
    """Return which of these dead letters are still there. Whoever locks their deliveries keeps them there."""
    return frozenset(conn.execute(select(dlq.c.id).where(among(dlq.c.id, sorted(numbers)))).scalars())


def remove(conn: Connection, delivery_ids: Collection[str]) -> int:
    """Take dead letters out, because they are replayed or deleted; return how many there were."""
    return conn.execute(dlq.delete().where(dlq.c.delivery_id.in_(sorted(delivery_ids)))).rowcount


def _values(letter: DeadLetter, now: datetime) -> dict[str, Any]:
    delivery = letter.delivery
    return {
        "delivery_id": delivery.delivery_id,
        "rule": delivery.rule,
        "service": delivery.service,
        "event": delivery.event,
        "log_id": delivery.log_id,
        "method": delivery.method,
        "endpoint": delivery.endpoint,
        "headers": json.dumps(dict(delivery.headers), sort_keys=True) if delivery.headers else None,
        "payload": delivery.body,
        "content_type": delivery.content_type,
        "event_row": json.dumps(dict(letter.row), ensure_ascii=False) if letter.row is not None else None,
        "reason": letter.reason,
        "error": error_of(letter),
        "status": letter.status,
        "response": letter.response[:_TEXT_LENGTH] if letter.response else None,
        "attempts": letter.attempts,
        "created_at": now,
    }
