"""How things stand: what all tables say at one moment, for a page or a command that shows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row

from sidecar.model import Circuit, CircuitState, Cursor, Held, Watched
from sidecar.settings import Flaw, Service, Settings
from sidecar.store import circuits, counts, cursors, deliveries, dlq, gaps, log, replicas, services, watch
from sidecar.store.deliveries import Owed

_SEEN_WITHIN_S = 30
_ROUND_WITHIN_S = 60
_GONE = 410
_HELD_SINCE = timedelta(hours=24)


class Obstacle(StrEnum):
    """Why pending deliveries of a service are parked."""

    GONE = "not configured"
    BROKEN = "broken"
    OFF = "switched off"
    PAUSED = "paused"
    CIRCUIT = "circuit open"


@dataclass(frozen=True, slots=True)
class Rounds:
    """When the loops of one process last made their round, and since when it runs."""

    tail_at: datetime | None
    dispatch_at: datetime | None
    started_at: datetime
    problem: str | None = None  # what keeps one of them from it

    def idle(self, role: str, settings: Settings, *, now: datetime) -> tuple[str, float] | None:
        """Return which loop of this role has made no round for too long, and for how many seconds."""
        polls = {"tail": settings.tail.poll, "dispatch": settings.dispatch.poll}
        for name, made_at in (("tail", self.tail_at), ("dispatch", self.dispatch_at)):
            idle_s = (now - (made_at or self.started_at)).total_seconds()
            if role in {"all", name} and idle_s > _ROUND_WITHIN_S + polls[name]:
                return name, idle_s
        return None

    def ailment(self, role: str, settings: Settings, *, now: datetime) -> str | None:
        """Say which loop of this role has made no round for too long; None: all is well."""
        idle = self.idle(role, settings, now=now)
        why = self.problem or "its log says why"
        return f"its {idle[0]} has made no round for {idle[1]:.0f} s: {why}" if idle else None


@dataclass(frozen=True, slots=True)
class Process:
    """One signed-in process; `ailment` says in words what is wrong with it, None when nothing is.

    `problem` is what keeps one of its loops from its work, said before it is ill.

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
    problem: str | None
    alive: bool
    ailment: str | None
    idle_loop: str | None = None  # which loop has made no round, and for how long
    idle_s: float = 0.0


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
    answered_gone: bool = False  # it is paused because it answered 410

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
    letters_last_hour: int = 0
    letters_last_day: int = 0
    watched: Sequence[Watched] = ()
    flaws: Sequence[Flaw] = ()

    @property
    def behind(self) -> int:
        """How many ids the log goes on after the cursor, when the tail last looked."""
        return max((self.cursor.head or 0) - self.cursor.position, 0) if self.cursor else 0

    @property
    def polled_at(self) -> datetime | None:
        """When any living process last looked into the log."""
        return max((one.tail_at for one in self.processes if one.alive and one.tail_at), default=None)

    @property
    def oldest(self) -> datetime | None:
        """Since when the oldest delivery waits that is not delivered."""
        return min((lot.oldest for lot in self.lots if lot.oldest), default=None)


def look(
    conn: Connection,
    settings: Settings,
    *,
    now: datetime,
    owed: Callable[[Connection], Sequence[Owed]] = deliveries.totals,
) -> Overview:
    """Return how things stand. Reads every table once, the queue by what is not delivered yet.

    `owed` says what is owed to each service; it is asked last, as it may be counted beside all the rest.
    """
    missing = gaps.missing(conn, settings.site)
    last_hour, last_day = dlq.fresh(conn, now - timedelta(hours=1), now - timedelta(hours=24))
    return Overview(
        at=now,
        site=settings.site,
        processes=processes(conn, settings, now=now),
        cursor=cursors.load(conn, settings.site),
        gaps_open=missing.gaps_open,
        ids_open=missing.ids_open,
        ids_given_up=missing.ids_given_up,
        held=[one for one in counts.totals(conn, since=now - _HELD_SINCE) if one[1] in set(Held)],
        letters=[(row.service, row.reason, row.n) for row in dlq.by_reason(conn)],
        letters_last_hour=last_hour,
        letters_last_day=last_day,
        watched=tuple(watch.load(conn, settings.site).values()),
        flaws=settings.made.flaws,
        lots=lots(conn, settings.services, owed),
    )


def processes(conn: Connection, settings: Settings, *, now: datetime) -> list[Process]:
    """Return the signed-in processes, each with what is wrong with it."""
    return [_process(row, settings, now) for row in replicas.all_rows(conn)]


def lots(
    conn: Connection,
    wanted: Mapping[str, Service],
    owed: Callable[[Connection], Sequence[Owed]] = deliveries.totals,
) -> list[Lot]:
    """Return what is owed to each service, of the configuration or with deliveries left, by name."""
    paused, health = services.paused(conn), circuits.load_all(conn)
    found = {one.service: one for one in owed(conn)}
    made = [
        _lot(
            found.get(name, Owed(name)),
            health.get(name, Circuit(name)),
            _obstacle(wanted.get(name), name in paused, health.get(name)),
        )
        for name in sorted({*wanted, *found})
    ]
    return _with_notices(conn, made)


def _with_notices(conn: Connection, made: Sequence[Lot]) -> list[Lot]:
    """Tell pauses that a person made from those that the service asked for with 410."""
    paused = [lot.service for lot in made if lot.obstacle is Obstacle.PAUSED]
    answered = log.last_statuses(conn, paused)
    return [replace(lot, answered_gone=answered.get(lot.service) == _GONE) for lot in made]


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
    if service.broken:
        return Obstacle.BROKEN
    if not service.enabled:
        return Obstacle.OFF
    if paused:
        return Obstacle.PAUSED
    closed = circuit is None or circuit.state is CircuitState.CLOSED
    return None if closed else Obstacle.CIRCUIT


def _lot(owed: Owed, circuit: Circuit, obstacle: Obstacle | None) -> Lot:
    return Lot(circuit.service, circuit, obstacle, owed.pending, owed.sending, owed.dead, owed.oldest)


def _process(row: Row[Any], settings: Settings, now: datetime) -> Process:
    known = {name: value for name, value in row._mapping.items() if name in Process.__dataclass_fields__}
    alive = (now - row.seen_at).total_seconds() <= _SEEN_WITHIN_S
    rounds = _rounds(row)
    loop, idle_s = rounds.idle(row.role, settings, now=now) or (None, 0.0)
    ailment = _ailment(row, settings, now)
    return Process(**known, alive=alive, ailment=ailment, idle_loop=loop, idle_s=idle_s)


def _ailment(row: Row[Any], settings: Settings, now: datetime) -> str | None:
    silent_s = (now - row.seen_at).total_seconds()
    if silent_s > _SEEN_WITHIN_S:
        return f"it was last seen {silent_s:.0f} s ago"
    return _rounds(row).ailment(row.role, settings, now=now)


def _rounds(row: Row[Any]) -> Rounds:
    return Rounds(row.tail_at, row.dispatch_at, row.started_at, row.problem)
