"""What came of sending, written down: request log, queue and dead letters together."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, update

from sidecar.model import DeliveryState, Settlement, Step
from sidecar.store import dlq, leases, log, order
from sidecar.store.dialect import among
from sidecar.store.tables import queue as table

_ERROR_LENGTH = 2_000
# The token of what a broker has handed out: its rows stay pending.
RELAYED_TOKEN = "relayed"  # noqa: S105 - it says who, it is no secret


def settle(
    conn: Connection, settlements: Sequence[Settlement], *, replica: str, now: datetime
) -> list[Settlement]:
    """Write what happened to claimed deliveries: log, queue and dead letters together.

    Every attempt is logged. A delivery whose lease was lost meanwhile is otherwise left alone: whoever
    holds it now settles it. But what was delivered and is back in the line, in nobody's hands, is not
    sent again. Of what a broker has handed out there may be two: it counts for the one that is first, as the
    number of attempts shows. Returns those settlements that were in force.
    """
    log.record(conn, [item for item in settlements if item.attempt], replica=replica)
    rows = leases.locked(conn, [item.claimed for item in settlements])
    valid = [item for item in settlements if _in_force(item, rows.get(item.claimed.number))]
    by_step: dict[Step, list[Settlement]] = defaultdict(list)
    for item in valid:
        by_step[item.decision.step].append(item)
    _settle_done(conn, by_step[Step.DONE], now)
    _settle_later(conn, by_step[Step.RETRY], spent=1)
    _settle_later(conn, by_step[Step.PARK], spent=0)
    _settle_dead(conn, by_step[Step.BURY], now)
    return valid


def _in_force(item: Settlement, row: Row[Any] | None) -> bool:
    if row is None:
        return False
    waits = row.state == DeliveryState.PENDING and item.decision.step is Step.DONE
    if item.claimed.token == RELAYED_TOKEN:
        relayed = row.state == DeliveryState.PENDING and row.lane in order.RELAYED
        return waits or (relayed and row.attempts == item.claimed.attempts)
    return waits or (row.leased_by == item.claimed.token and row.state == DeliveryState.SENDING)


def _settle_done(conn: Connection, items: Sequence[Settlement], now: datetime) -> None:
    by_status: dict[int | None, list[int]] = defaultdict(list)
    for item in items:
        by_status[item.attempt.status if item.attempt else None].append(item.claimed.number)
    for status, numbers in by_status.items():
        conn.execute(
            update(table)
            .where(among(table.c.id, numbers))
            .values(
                state=DeliveryState.DELIVERED,
                attempts=table.c.attempts + 1,
                last_status=status,
                last_error=None,
                settled_at=now,
                leased_by=None,
                leased_until=None,
                expires_at=None,
            )
        )


def _settle_later(conn: Connection, items: Sequence[Settlement], *, spent: int) -> None:
    if not items:
        return
    statement = (
        update(table)
        .where(table.c.id == bindparam("number"))
        .values(
            state=DeliveryState.PENDING,
            attempts=table.c.attempts + spent,
            due_at=func.coalesce(bindparam("at", type_=table.c.due_at.type), table.c.due_at),
            last_status=func.coalesce(
                bindparam("status", type_=table.c.last_status.type), table.c.last_status
            ),
            last_error=func.coalesce(bindparam("error", type_=table.c.last_error.type), table.c.last_error),
            leased_by=None,
            leased_until=None,
        )
    )
    conn.execute(
        statement,
        [{"number": item.claimed.number, "at": item.decision.at, **_outcome(item)} for item in items],
    )


def _settle_dead(conn: Connection, items: Sequence[Settlement], now: datetime) -> None:
    if not items:
        return
    statement = (
        update(table)
        .where(table.c.id == bindparam("number"))
        .values(
            state=DeliveryState.DEAD,
            attempts=table.c.attempts + bindparam("spent", type_=table.c.attempts.type),
            last_status=bindparam("status"),
            last_error=bindparam("error"),
            settled_at=now,
            leased_by=None,
            leased_until=None,
            expires_at=None,
        )
    )
    buried = [
        {"number": item.claimed.number, "spent": 1 if item.attempt else 0, **_outcome(item)} for item in items
    ]
    conn.execute(statement, buried)
    dlq.bury(conn, [dlq.letter_of(item) for item in items], now=now)


def _outcome(item: Settlement) -> dict[str, Any]:
    attempt = item.attempt
    return {
        "status": attempt.status if attempt else None,
        "error": attempt.error[:_ERROR_LENGTH] if attempt and attempt.error else None,
    }
