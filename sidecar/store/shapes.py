"""Rows of the tables become what scripts read: stable keys, no text inside text."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy

from sidecar.model import Circuit, CircuitState, Cursor, Level, Watched
from sidecar.settings import Flaw, Kind, Made, Rule, Service
from sidecar.store.overview import Lot, Obstacle, Overview, Process
from sidecar.store.sentences import remark_of, remedy, say, sentences
from sidecar.store.stats import Tally
from sidecar.store.trends import Point, Window
from sidecar.store.verdict import Remark, judge

View = dict[str, Any]
_Row = sqlalchemy.Row[Any]

_NOTHING_MADE = Made()
_POINT = ("begins_at", "delivered", "failed", "dead", "p50_ms", "p95_ms")
HEALTH = {CircuitState.CLOSED: "closed", CircuitState.OPEN: "open", CircuitState.HALF_OPEN: "half-open"}


def delivery(row: _Row, obstacle: Obstacle | None, *, waits_for: int | None = None) -> View:
    """Return a delivery of the queue, without its payload; it `waits_for` another of its order key."""
    parked = obstacle if row.state == "pending" else None
    return {
        "id": row.id,
        "delivery_id": row.delivery_id,
        "service": row.service,
        "rule": row.rule,
        "rule_version": row.rule_version,
        "event": row.event,
        "log_id": row.log_id,
        "state": row.state,
        "parked": parked,
        "waits_for": waits_for,
        "attempts": row.attempts,
        "due_at": row.due_at if row.state == "pending" else None,
        "last_status": row.last_status,
        "last_error": row.last_error,
        "event_at": row.event_at,
        "expires_at": row.expires_at,
        "created_at": row.created_at,
        "settled_at": row.settled_at,
        "leased_by": row.leased_by,
        "leased_until": row.leased_until,
    }


def letter(row: _Row, number: int | None) -> View:
    """Return a dead letter, without what is long; `id` is its delivery's number in the queue."""
    return {
        "id": number,
        "delivery_id": row.delivery_id,
        "service": row.service,
        "rule": row.rule,
        "event": row.event,
        "log_id": row.log_id,
        "reason": row.reason,
        "status": row.status,
        "attempts": row.attempts,
        "error": row.error,
        "created_at": row.created_at,
    }


def request(row: _Row) -> View:
    """Return what a delivery or dead letter sends."""
    return {
        "method": row.method,
        "endpoint": row.endpoint,
        "headers": json.loads(row.headers) if row.headers else {},
        "content_type": row.content_type,
        "payload": row.payload,
    }


def attempt(row: _Row) -> View:
    """Return one attempt, without the answer's text."""
    return {
        "id": row.id,
        "delivery_id": row.delivery_id,
        "service": row.service,
        "rule": row.rule,
        "method": row.method,
        "endpoint": row.endpoint,
        "attempt": row.attempt,
        "outcome": row.outcome,
        "status": row.status,
        "latency_ms": row.latency_ms,
        "error": row.error,
        "replica": row.replica,
        "created_at": row.created_at,
    }


def circuit(found: Circuit) -> View:
    """Return the health of a service."""
    return {
        "service": found.service,
        "state": found.state,
        "failures": found.failures,
        "opened_at": found.opened_at,
        "probe_at": found.probe_at,
        "last_error": found.last_error,
        "last_error_at": found.last_error_at,
    }


def process(found: Process) -> View:
    """Return one process that works on this store."""
    return {
        "name": found.name,
        "role": found.role,
        "host": found.host,
        "pid": found.pid,
        "version": found.version,
        "started_at": found.started_at,
        "seen_at": found.seen_at,
        "tail_at": found.tail_at,
        "dispatch_at": found.dispatch_at,
        "problem": found.problem,
        "alive": found.alive,
        "ailment": found.ailment,
    }


def lot(found: Lot) -> View:
    """Return what is owed to one service."""
    return {
        "service": found.service,
        "circuit": circuit(found.circuit),
        "obstacle": found.obstacle,
        "pending": found.pending,
        "parked": found.parked,
        "sending": found.sending,
        "dead": found.dead,
        "oldest": found.oldest,
    }


def health(found: Circuit) -> str:
    """Return the state of a circuit in one word."""
    return HEALTH[found.state]


def cursor(found: Cursor) -> View:
    """Return how far the log is read; `behind` counts ids up to the newest row that the tail saw."""
    return {
        "site": found.site,
        "position": found.position,
        "head": found.head,
        "behind": max((found.head or found.position) - found.position, 0),
        "leased_by": found.leased_by,
        "leased_until": found.leased_until,
        "caught_up_at": found.caught_up_at,
        "problem": found.problem,
    }


def service(found: Lot, settings: Service | None) -> View:
    """Return a service of the configuration, or one that is gone from it and still owed something."""
    return {
        "name": found.service,
        "type": settings.type if settings else None,
        "base_url": settings.base_url if settings else None,
        "auth": settings.auth.type if settings else None,
        "enabled": settings.enabled if settings else None,
        "source": settings.source if settings else None,
        "broken": settings.broken if settings else None,
        "health": health(found.circuit),
        **{key: value for key, value in lot(found).items() if key not in {"service", "circuit"}},
    }


def options(settings: Service | None) -> View | None:
    """Return a service's settings; pydantic prints stars for secrets."""
    if settings is None:
        return None
    return settings.model_dump(mode="json", exclude={"type", "base_url", "enabled"})


def overview(found: Overview) -> View:
    """Return everything on one page."""
    judged = judge(found)
    return {
        "well": judged.level is Level.WELL,
        "level": judged.level,
        "summary": sentences(judged),
        "remarks": [remark(one, found.at) for one in judged.remarks],
        "site": found.site,
        "ready": True,
        "at": found.at,
        "processes": [process(one) for one in found.processes],
        "cursor": cursor(found.cursor) if found.cursor else None,
        "polled_at": found.polled_at,
        "gaps": {"open": found.gaps_open, "open_ids": found.ids_open, "given_up_ids": found.ids_given_up},
        "queue": {
            "waiting": sum(one.pending + one.sending for one in found.lots),
            "parked": sum(one.parked for one in found.lots),
            "oldest": found.oldest,
        },
        "services": [lot(one) for one in found.lots],
        "definitions": [flaw(one) for one in found.flaws],
        "moodle": [watched(one, found.at) for one in found.watched],
        "held": [{"rule": rule, "reason": what, "count": n} for rule, what, n in found.held],
        "dead_letters": {
            "total": sum(n for _, _, n in found.letters),
            "last_hour": found.letters_last_hour,
            "last_day": found.letters_last_day,
            "by_reason": [
                {"service": name, "reason": reason, "count": n} for name, reason, n in found.letters
            ],
        },
    }


def remark(found: Remark, now: datetime) -> View:
    """Return one thing that is said of how things stand: `code` and `params` to translate, `text` to read."""
    params = {
        name: {"code": value.code, "params": dict(value.params)} if isinstance(value, Remark) else value
        for name, value in found.params.items()
    }
    text, mend = say(found, now), remedy(found)
    return {"level": found.level, "code": found.code, "text": text, "remedy": mend, "params": params}


def watched(found: Watched, now: datetime) -> View:
    """Return one thing that is watched of Moodle."""
    said = remark_of(found)
    return {
        "subject": found.subject,
        "level": found.level,
        "code": found.code,
        "since": found.since_at,
        "text": say(said, now),
        "remedy": remedy(said),
    }


def flaw(found: Flaw) -> View:
    """Return why a service or rule is not in force."""
    return {
        "kind": found.kind,
        "name": found.name,
        "reason": found.reason,
        "shadowed": found.shadowed,
    }


def change(row: _Row) -> View:
    """Return one line of the audit."""
    return {
        "id": row.id,
        "done_at": row.done_at,
        "who": row.who,
        "via": row.via,
        "action": row.action,
        "object": row.object,
        "detail": row.detail,
    }


def tally(found: Tally) -> View:
    """Return what one service came to in a window of time."""
    return {
        "service": found.service,
        "delivered": found.delivered,
        "failed": found.failed,
        "dead": found.dead,
        "success": None if found.success is None else round(found.success, 4),
        "mean_ms": found.latencies.mean_ms,
        "p50_ms": found.latencies.quantile(0.5),
        "p95_ms": found.latencies.quantile(0.95),
    }


def stats(window: Window, tallies: Iterable[Tally], points: Iterable[Point]) -> View:
    """Return how services fared, and the points of a chart."""
    return {
        "span": window,
        "step_s": int(window.step.total_seconds()),
        "services": [tally(one) for one in tallies],
        "points": [{name: getattr(one, name) for name in _POINT} for one in points],
    }


def rules(
    rows: Iterable[_Row], written: Mapping[str, tuple[Rule, str]], made: Made = _NOTHING_MADE
) -> list[View]:
    """Return the rules that are `written`, each with its version, and those in force that are not.

    Those `made` here that are broken are among them, with the reason.
    """
    versions = {row.name: row for row in rows}
    found = [_rule(rule, version, versions.pop(name, None)) for name, (rule, version) in written.items()]
    for view in found:
        view["source"] = "here" if view["name"] in made.rules else "file"
    left = [
        {
            "name": row.name,
            "event": row.event.split(", "),
            "service": row.service,
            "method": row.method,
            "endpoint": row.endpoint,
            "enabled": row.enabled,
            "state": None,
            "in_force": "gone from the file" if row.source == "file" else "gone",
            "source": row.source,
        }
        for row in versions.values()
        if made.flaw(Kind.RULE, row.name) is None
    ]
    broken = [_broken_rule(one) for one in made.flaws if one.kind is Kind.RULE and not one.shadowed]
    return sorted([*found, *left, *broken], key=lambda view: str(view["name"]))


def _broken_rule(found: Flaw) -> View:
    return {
        "name": found.name,
        "event": [],
        "service": "",
        "method": "",
        "endpoint": "",
        "enabled": False,
        "state": None,
        "in_force": f"broken: {found.reason}",
        "source": "here",
    }


def _rule(rule: Rule, version: str, row: _Row | None) -> View:
    return {
        "name": rule.name,
        "event": list(rule.events),
        "service": rule.service,
        "method": rule.method,
        "endpoint": rule.endpoint,
        "enabled": rule.enabled,
        "state": rule.state,
        "in_force": _in_force(rule, version, row.version if row else None),
    }


def _in_force(rule: Rule, version: str, written: str | None) -> str:
    """Compare the file with what the last started or reloaded process wrote down."""
    if not rule.enabled:
        return "switched off" if written is None else "not yet switched off"
    if written is None:
        return "not yet"
    return "yes" if written == version else "an older version"
