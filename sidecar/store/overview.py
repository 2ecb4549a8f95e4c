"""How things stand: what all tables say at one moment, for a page or a command that shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row

from sidecar.model import Circuit, CircuitState, Cursor, Held
from sidecar.settings import Service, Settings
from sidecar.store import circuits, counts, cursors, deliveries, dlq, gaps, replicas, services

_SEEN_WITHIN_S = 30
_ROUND_WITHIN_S = 60
_HELD_SINCE = timedelta(hours=24)


class Obstacle(StrEnum):
    """Why pending deliveries of a service are parked."""

    GONE = "not configured"
    OFF = "switched off"
    PAUSED = "paused"
    CIRCUIT = "circuit open"


@dataclass(frozen=True, slots=True)
class Rounds:
    """When the loops of one process last made their round, and since when it runs."""

    tail_at: datetime | None
    dispatch_at: datetime | None
    started_at: datetime

    def ailment(self, role: str, settings: Settings, *, now: datetime) -> str | None:
        """Say which loop of this role has made no round for too long; None: all is well."""
        polls = {"tail": settings.tail.poll, "dispatch": settings.dispatch.poll}
        for name, made_at in (("tail", self.tail_at), ("dispatch", self.dispatch_at)):
            idle_s = (now - (made_at or self.started_at)).total_seconds()
            if role in {"all", name} and idle_s > _ROUND_WITHIN_S + polls[name]:
                return f"its {name} has made no round for {idle_s:.0f} s: its log says why"
        return None


@dataclass(frozen=True, slots=True)
class Process:
    """One signed-in process; `ailment` says in words what is wrong with it, None when nothing is.

    Not `alive`: it has fallen silent. It stays listed for a day, whoever has taken its work over.
    """

    name: str
    role: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    tail_at: datetime | None
    dispatch_at: datetime | None
    alive: bool
    ailment: str | None


@dataclass(frozen=True, slots=True)
class Lot:
    """All deliveries owed to one service, and what is in their way."""

    service: str
    circuit: Circuit
    obstacle: Obstacle | None
    pending: int
    sending: int
    dead: int
    oldest: datetime | None

    @property
    def parked(self) -> int:
        """How many wait for something else than their turn."""
        return self.pending if self.obstacle else 0


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on one page."""

    at: datetime
    site: str
    processes: Sequence[Process]
    cursor: Cursor | None
    gaps_open: int
    ids_open: int
    ids_given_up: int
    lots: Sequence[Lot]
    held: Sequence[tuple[str, str, int]]
    letters: Sequence[tuple[str, str, int]]


def look(conn: Connection, settings: Settings, *, now: datetime) -> Overview:
    """Return how things stand. Reads every table once, the queue by what is not delivered yet."""
    return Overview(
        at=now,
        site=settings.site,
        processes=processes(conn, settings, now=now),
        cursor=cursors.load(conn, settings.site),
        gaps_open=len(gaps.waiting(conn, settings.site)),
        ids_open=gaps.missing_ids(conn, settings.site, gaps.OPEN),
        ids_given_up=gaps.missing_ids(conn, settings.site, gaps.CLOSED),
        lots=lots(conn, settings.services),
        held=[one for one in counts.totals(conn, since=now - _HELD_SINCE) if one[1] in set(Held)],
        letters=[(row.service, row.reason, row.n) for row in dlq.by_reason(conn)],
    )


def processes(conn: Connection, settings: Settings, *, now: datetime) -> list[Process]:
    """Return the signed-in processes, each with what is wrong with it."""
    return [_process(row, settings, now) for row in replicas.all_rows(conn)]


def lots(conn: Connection, wanted: Mapping[str, Service]) -> list[Lot]:
    """Return what is owed to each service, of the configuration or with deliveries left, by name."""
    found = {row.service: row for row in deliveries.totals(conn)}
    health, waiting = circuits.load_all(conn), obstacles(conn, wanted, found)
    names = sorted({*wanted, *found})
    return [_lot(found.get(name), health.get(name, Circuit(name)), waiting.get(name)) for name in names]


def obstacles(
    conn: Connection, wanted: Mapping[str, Service], others: Mapping[str, object] | None = None
) -> dict[str, Obstacle]:
    """Return what keeps deliveries from being sent, by service; those of `others` may be gone."""
    paused, health = services.paused(conn), circuits.load_all(conn)
    found = {
        name: _obstacle(wanted.get(name), name in paused, health.get(name))
        for name in {*wanted, *(others or ())}
    }
    return {name: obstacle for name, obstacle in found.items() if obstacle is not None}


def _obstacle(service: Service | None, paused: bool, circuit: Circuit | None) -> Obstacle | None:
    if service is None:
        return Obstacle.GONE
    if not service.enabled:
        return Obstacle.OFF
    if paused:
        return Obstacle.PAUSED
    closed = circuit is None or circuit.state is CircuitState.CLOSED
    return None if closed else Obstacle.CIRCUIT


def _lot(row: Row[Any] | None, circuit: Circuit, obstacle: Obstacle | None) -> Lot:
    if row is None:
        return Lot(circuit.service, circuit, obstacle, 0, 0, 0, None)
    return Lot(
        circuit.service, circuit, obstacle, int(row.pending), int(row.sending), int(row.dead), row.oldest
    )


def _process(row: Row[Any], settings: Settings, now: datetime) -> Process:
    known = {name: value for name, value in row._mapping.items() if name in Process.__dataclass_fields__}
    alive = (now - row.seen_at).total_seconds() <= _SEEN_WITHIN_S
    return Process(**known, alive=alive, ailment=_ailment(row, settings, now))


def _ailment(row: Row[Any], settings: Settings, now: datetime) -> str | None:
    silent_s = (now - row.seen_at).total_seconds()
    if silent_s > _SEEN_WITHIN_S:
        return f"it was last seen {silent_s:.0f} s ago"
    return Rounds(row.tail_at, row.dispatch_at, row.started_at).ailment(row.role, settings, now=now)
