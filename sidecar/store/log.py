"""The request log: `mih_log`, one row an attempt."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, select, union_all

from sidecar.model import Settlement
from sidecar.store.dialect import insert_new
from sidecar.store.tables import log

_MOST_BYTES = 65_535  # where MySQL's TEXT ends


def record(conn: Connection, settlements: Sequence[Settlement], *, replica: str) -> None:
    """Write one row for each attempt."""
    insert_new(conn, log, [_values(item, replica) for item in settlements])


def _values(item: Settlement, replica: str) -> dict[str, Any]:
    attempt, delivery = item.attempt, item.claimed.delivery
    assert attempt is not None
    return {
        "delivery_id": delivery.delivery_id,
        "rule": delivery.rule,
        "service": delivery.service,
        "method": delivery.method,
        "endpoint": delivery.endpoint,
        "attempt": item.claimed.attempts + 1,
        "outcome": attempt.outcome,
        "status": attempt.status,
        "latency_ms": round(attempt.latency_ms, 1),
        "error": _fitting(attempt.error),
        "request": _fitting(attempt.request),
        "response": _fitting(attempt.response),
        "replica": replica,
        "created_at": attempt.started_at,
    }


def _fitting(text: str | None) -> str | None:
    return text.encode("utf-8", "replace")[:_MOST_BYTES].decode("utf-8", "ignore") if text else None


def find(
    conn: Connection,
    *,
    service: str | None = None,
    rule: str | None = None,
    delivery_id: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> Sequence[Row[Any]]:
    """Return attempts, newest first, a page at a time: `before` is the last number of the page before."""
    query = select(log).order_by(log.c.id.desc()).limit(limit)
    for column, value in ((log.c.service, service), (log.c.rule, rule), (log.c.delivery_id, delivery_id)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(log.c.id < before)
    return conn.execute(query).all()


def get(conn: Connection, number: int) -> Row[Any] | None:
    """Return one attempt by its number."""
    return conn.execute(select(log).where(log.c.id == number)).one_or_none()


def newest_of(conn: Connection, service: str, *columns: Column[Any]) -> Select[Any]:
    """Return the query for these columns of the last try of a service: one step back in `mih_log_service`.

    MariaDB sorts all tries of the service if that is in the order too. PostgreSQL may go back by
    `mih_log_created`, past all tries of others, if it is not, or if it is only said to be equal.
    """
    query = select(*columns).limit(1)
    if conn.dialect.name == "mysql":
        query = query.with_hint(log, "FORCE INDEX (mih_log_service)", "mysql")
        return query.where(log.c.service == service).order_by(log.c.created_at.desc())
    query = query.where(log.c.service.between(service, service))
    return query.order_by(log.c.service.desc(), log.c.created_at.desc())


def last_statuses(conn: Connection, names: Sequence[str]) -> dict[str, int | None]:
    """Return the status of the last try of each of these services that was tried. Uses `mih_log_service`."""
    if not names:
        return {}
    last = [newest_of(conn, name, log.c.service, log.c.status).subquery() for name in names]
    query = union_all(*(select(one.c.service, one.c.status) for one in last))
    return {row.service: row.status for row in conn.execute(query)}


def prune(conn: Connection, *, before: datetime, limit: int) -> int:
    """Delete attempts made before `before`, at most `limit`; return how many. Uses `mih_log_created`."""
    return _delete(
        conn, list(conn.execute(select(log.c.id).where(log.c.created_at < before).limit(limit)).scalars())
    )


def prune_over(conn: Connection, *, keep: int, limit: int) -> int:
    """Delete the oldest attempts beyond the newest `keep`, at most `limit`; return how many."""
    last = conn.execute(select(log.c.id).order_by(log.c.id.desc()).offset(keep).limit(1)).scalar_one_or_none()
    if last is None:
        return 0
    numbers = conn.execute(select(log.c.id).where(log.c.id <= last).order_by(log.c.id).limit(limit)).scalars()
    return _delete(conn, list(numbers))


def _delete(conn: Connection, numbers: list[int]) -> int:
    if numbers:
        conn.execute(log.delete().where(log.c.id.in_(numbers)))
    return len(numbers)
