"""How things stand, judged: remarks with a level, the worst first, which sentences.py puts into words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sidecar.model import Level
from sidecar.store.overview import Lot, Obstacle, Overview, Process

_BEHIND = timedelta(minutes=5)
_OLD = timedelta(hours=1)
_MANY_LETTERS = 10
_HELD_UP = {
    Obstacle.GONE: "service.unknown",
    Obstacle.BROKEN: "service.broken",
    Obstacle.OFF: "service.off",
    Obstacle.PAUSED: "service.paused",
    Obstacle.CIRCUIT: "service.down",
}


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say. Not yet words: `code` names the sentence, `params` what stands in it.

    Parameters are numbers, names, moments, lengths of time (their names end with `_s`) and other remarks.
    """

    code: str
    level: Level = Level.WELL
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How things stand. `level` is that of the worst remark."""

    at: datetime
    remarks: tuple[Remark, ...]

    @property
    def level(self) -> Level:
        """How well all of it is."""
        return max((remark.level for remark in self.remarks), key=lambda level: level.rank)


def judge(found: Overview) -> Verdict:
    """Return what is to be said of how things stand."""
    troubles = [
        *_of_processes(found),
        *_of_the_log(found),
        *_of_services(found),
        *_of_definitions(found),
        *_of_moodle(found),
    ]
    troubles += _of_letters(found, alone=not troubles)
    if not troubles:
        return Verdict(found.at, (_all_well(found),))
    troubles.sort(key=lambda remark: -remark.level.rank)
    return Verdict(found.at, (*troubles, *_healthy(found)))


def is_well(found: Overview) -> bool:
    """Whether nothing needs anybody."""
    return judge(found).level is Level.WELL


def _ill(code: str, **params: Any) -> Remark:
    return Remark(code, Level.ILL, params)


def _attention(code: str, **params: Any) -> Remark:
    return Remark(code, Level.ATTENTION, params)


def _of_processes(found: Overview) -> Iterator[Remark]:
    well = {process.role for process in found.processes if process.ailment is None}
    if not found.processes:
        yield _ill("process.none")
        return
    covered = "all" in well or well >= {"tail", "dispatch"}
    for process in found.processes:
        if process.ailment and (process.alive or not covered):
            yield _ailing(process, found.at)
        elif process.alive and process.problem:
            yield _ill("process.waiting", **_which(process), problem=process.problem.rstrip("."))
    for role in ("tail", "dispatch"):
        if well and not {role, "all"} & well:
            yield _ill(f"process.no_{role}")


def _ailing(process: Process, now: datetime) -> Remark:
    which = _which(process)
    if not process.alive:
        return _ill("process.silent", **which, silent_s=(now - process.seen_at).total_seconds())
    idle = {**which, "loop": process.idle_loop, "idle_s": process.idle_s}
    if process.problem:
        return _ill("process.stuck", **idle, problem=process.problem.rstrip("."))
    return _ill("process.idle", **idle)


def _which(process: Process) -> dict[str, str]:
    return {"pid": str(process.pid), "host": process.host}


def _of_the_log(found: Overview) -> Iterator[Remark]:
    cursor = found.cursor
    if cursor is None:
        return
    if cursor.problem:
        yield _ill("tail.stopped", problem=cursor.problem)
    elif found.behind and cursor.caught_up_at and found.at - cursor.caught_up_at > _BEHIND:
        yield _attention("tail.behind", n=found.behind, since=cursor.caught_up_at)


def _of_services(found: Overview) -> Iterator[Remark]:
    for lot in sorted(found.lots, key=lambda lot: -lot.parked):
        if lot.obstacle is not None:
            yield from _held_up(lot, lot.obstacle, found.at)
        elif lot.pending and lot.oldest and found.at - lot.oldest > _OLD:
            yield _attention("service.slow", service=lot.service, n=lot.pending, age_s=_age_s(lot, found.at))


def _held_up(lot: Lot, obstacle: Obstacle, now: datetime) -> Iterator[Remark]:
    """Say what stands in the way, unless it was put there and holds nothing up."""
    parked = _parked(lot, now)
    if obstacle is Obstacle.CIRCUIT:
        since = lot.circuit.opened_at or now
        yield _ill("service.down", service=lot.service, since=since, parked=parked)
    elif lot.answered_gone:
        yield _attention("service.gone", service=lot.service, parked=parked)
    elif lot.parked:
        yield _attention(_HELD_UP[obstacle], service=lot.service, parked=parked)


def _parked(lot: Lot, now: datetime) -> Remark:
    if not lot.parked:
        return Remark("parked.none")
    return Remark("parked", params={"n": lot.parked, "age_s": _age_s(lot, now)})


def _age_s(lot: Lot, now: datetime) -> float:
    return (now - lot.oldest).total_seconds() if lot.oldest else 0.0


def _of_definitions(found: Overview) -> Iterator[Remark]:
    for flaw in found.flaws:
        if not flaw.shadowed:
            named = {"name": flaw.name, "reason": flaw.reason}
            yield _attention(f"{flaw.kind}.not_in_force", **named)


def _of_moodle(found: Overview) -> Iterator[Remark]:
    for one in found.watched:
        if one.level.rank > Level.UNKNOWN.rank:
            yield Remark(f"moodle.{one.code}", one.level, {**one.detail, "since": one.since_at})


def _of_letters(found: Overview, *, alone: bool) -> list[Remark]:
    dead = sum(n for _, _, n in found.letters)
    if not dead:
        return []
    if found.letters_last_hour >= _MANY_LETTERS:
        return [_attention("dead.growing", n=dead, fresh=found.letters_last_hour)]
    return [_attention("dead.only" if alone else "dead.waiting", n=dead)]


def _healthy(found: Overview) -> list[Remark]:
    """Say what is well beside what is not, where it is the services that are not."""
    held_up = [lot for lot in found.lots if lot.obstacle is not None]
    healthy = len(found.lots) - len(held_up)
    return [Remark("service.healthy", params={"n": healthy})] if held_up and healthy else []


def _all_well(found: Overview) -> Remark:
    waiting = Remark("queue.waiting", params={"n": sum(lot.pending + lot.sending for lot in found.lots)})
    if found.cursor is None:
        log = Remark("log.unread")
    else:
        log = Remark("log.behind", params={"n": found.behind}) if found.behind else Remark("log.read")
    return Remark("all.well", params={"log": log, "waiting": waiting})
