"""The story of one delivery, moment by moment: what happened, what holds it, what comes next and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row

from sidecar.bridge.letters import advice
from sidecar.model import DeadReason, DeliveryState
from sidecar.settings import Settings
from sidecar.store import circuits, dlq, log
from sidecar.store.overview import Obstacle, obstacles

_MOST_ATTEMPTS = 200


class Kind(StrEnum):
    """What a moment is; its parameters are named behind it. Whoever shows it says it in words."""

    LOGGED = "logged"  # Moodle wrote the row: event, log_id
    QUEUED = "queued"  # rule, version, rule_now
    ATTEMPTED = "attempted"  # number, attempt, outcome, status, latency_ms, error
    SENDING = "sending"  # ends_at
    DELIVERED = "delivered"  # status
    DIED = "died"  # reason, status, advice
    CANCELLED = "cancelled"
    # What lies ahead:
    PARKED = "parked"  # obstacle: what has to go; `at` is the next probe, where one is due
    DUE = "due"  # left: how many tries it has
    FORGOTTEN = "forgotten"  # until then it is kept


class RuleNow(StrEnum):
    """What has become of the rule since the delivery was rendered."""

    SAME = "same"
    CHANGED = "changed"
    GONE = "gone"
    NONE = "none"  # a direct call: no rule made it


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened, or will: then `ahead`. Without `at` nobody can know when."""

    at: datetime | None
    kind: Kind
    parameters: Mapping[str, Any] = field(default_factory=dict)
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """A delivery's row of the queue, what has become of its rule, and its moments in their order.

    `edited`: a person has changed the payload; what was rendered is in the row's `original`.
    """

    row: Row[Any]
    rule_now: RuleNow
    moments: Sequence[Moment]
    edited: bool


def story(
    conn: Connection, settings: Settings, row: Row[Any], versions: Mapping[str, str], *, now: datetime
) -> Story:
    """Return the story of a delivery. `versions`: of the rules in force, by name.

    Every query is for this one delivery, by an index, or for tables that have a row for each service.
    """
    rule_now = _rule_now(row, versions)
    told = [
        *_beginning(row, rule_now),
        *_attempts(conn, row),
        *_end(conn, row),
        *_ahead(conn, settings, row, now),
    ]
    return Story(row, rule_now, told, row.original is not None)


def _rule_now(row: Row[Any], versions: Mapping[str, str]) -> RuleNow:
    if row.rule is None:
        return RuleNow.NONE
    if row.rule not in versions:
        return RuleNow.GONE
    return RuleNow.SAME if versions[row.rule] == row.rule_version else RuleNow.CHANGED


def _beginning(row: Row[Any], rule_now: RuleNow) -> list[Moment]:
    queued = {"rule": row.rule, "version": row.rule_version, "rule_now": rule_now}
    moments = [Moment(row.created_at, Kind.QUEUED, queued)]
    if row.log_id is not None:
        moments.insert(0, Moment(row.event_at, Kind.LOGGED, {"event": row.event, "log_id": row.log_id}))
    return moments


def _attempts(conn: Connection, row: Row[Any]) -> list[Moment]:
    tries = log.find(conn, delivery_id=row.delivery_id, limit=_MOST_ATTEMPTS)
    names = ("attempt", "outcome", "status", "latency_ms", "error")
    return [
        Moment(
            one.created_at,
            Kind.ATTEMPTED,
            {"number": one.id, **{name: getattr(one, name) for name in names}},
        )
        for one in reversed(tries)
    ]


def _end(conn: Connection, row: Row[Any]) -> list[Moment]:
    match row.state:
        case DeliveryState.DELIVERED:
            return [Moment(row.settled_at, Kind.DELIVERED, {"status": row.last_status})]
        case DeliveryState.CANCELLED:
            return [Moment(row.settled_at, Kind.CANCELLED)]
        case DeliveryState.DEAD:
            return [_death(dlq.get(conn, row.delivery_id), row)]
        case DeliveryState.SENDING:
            return [Moment(None, Kind.SENDING, {"ends_at": row.leased_until})]
    return []


def _death(letter: Row[Any] | None, row: Row[Any]) -> Moment:
    if letter is None:
        return Moment(row.settled_at, Kind.DIED, {"reason": None, "status": row.last_status, "advice": None})
    why = DeadReason(letter.reason)
    named = {"reason": why, "status": letter.status, "advice": advice(why, letter.status)}
    return Moment(row.settled_at or letter.created_at, Kind.DIED, named)


def _ahead(conn: Connection, settings: Settings, row: Row[Any], now: datetime) -> list[Moment]:
    if row.state in {DeliveryState.DELIVERED, DeliveryState.CANCELLED} and row.settled_at is not None:
        return [Moment(_kept_until(row.settled_at, settings), Kind.FORGOTTEN, ahead=True)]
    if row.state != DeliveryState.PENDING:
        return []
    waits = obstacles(conn, settings.services, {row.service: None}).get(row.service)
    due = Moment(max(row.due_at, now), Kind.DUE, {"left": _left(settings, row)}, ahead=True)
    if waits is None:
        return [due]
    probe_at = circuits.load_all(conn)[row.service].probe_at if waits is Obstacle.CIRCUIT else None
    return [Moment(probe_at, Kind.PARKED, {"obstacle": waits}, ahead=True)]


def _kept_until(settled_at: datetime, settings: Settings) -> datetime | None:
    try:
        return settled_at + timedelta(days=settings.retention.delivered_days)
    except OverflowError:
        return None


def _left(settings: Settings, row: Row[Any]) -> int | None:
    """Return how many tries are left, by the policy of today."""
    service = settings.services.get(row.service)
    if service is None:
        return None
    own = {(rule.service, rule.name): rule.retry for rule in settings.rules}.get((row.service, row.rule))
    policy = own.over(service.retry) if own is not None else service.retry
    retries = policy.max_retries if policy.schedule is None else len(policy.schedule)
    return max(retries + 1 - int(row.attempts), 0)
