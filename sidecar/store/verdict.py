"""The first sentence of `mih status`: is all well, and if not, what is wrong, the worst first."""

from collections.abc import Iterator
from datetime import datetime

from sidecar.store.overview import Lot, Obstacle, Overview
from sidecar.store.words import count, span


def verdict(found: Overview) -> str:
    """Return how things stand, in words."""
    troubles = [*_of_processes(found), *_of_the_log(found), *_of_services(found)]
    dead = sum(n for _, _, n in found.letters)
    if troubles:
        return ". ".join(_capital(trouble) for trouble in troubles) + "."
    if dead:
        return (
            f"All runs, but {count(dead, 'dead letter waits', 'dead letters wait')} for you: `mih dlq list`."
        )
    waiting = sum(lot.pending + lot.sending for lot in found.lots)
    return (
        f"All is well: {_of_cursor(found)}, {count(waiting, 'delivery', 'deliveries')} on the way, none dead."
    )


def is_well(found: Overview) -> bool:
    """Whether nothing needs anybody."""
    return verdict(found).startswith("All is well")


def _of_processes(found: Overview) -> Iterator[str]:
    well = [process.role for process in found.processes if process.ailment is None]
    if not found.processes:
        yield "no process is running: start `mih run`"
        return
    covered = "all" in well or {"tail", "dispatch"} <= set(well)
    for process in found.processes:
        if process.ailment and (process.alive or not covered):
            yield f"process {process.pid} on {process.host} is ill: {process.ailment}"
    for role, verb in (("tail", "reads the log"), ("dispatch", "sends")):
        if well and not {role, "all"} & set(well):
            yield f"no process {verb}: start `mih run --role {role}`"


def _of_the_log(found: Overview) -> Iterator[str]:
    if found.cursor and found.cursor.problem:
        yield f"the tail stands still: {found.cursor.problem.rstrip('.')}"


def _of_services(found: Overview) -> Iterator[str]:
    for lot in sorted(found.lots, key=lambda lot: -lot.parked):
        if lot.obstacle is Obstacle.CIRCUIT or lot.parked:
            parked = f"{count(lot.parked, 'delivery', 'deliveries')} parked"
            yield ", ".join([_trouble(lot, found.at), parked, *_age(lot, found.at)])


def _trouble(lot: Lot, now: datetime) -> str:
    match lot.obstacle:
        case Obstacle.CIRCUIT:
            opened = lot.circuit.opened_at
            return f"{lot.service} is down" + (f" since {_at(opened, now)}" if opened else "")
        case _:
            return f"{lot.service} is {lot.obstacle}"


def _age(lot: Lot, now: datetime) -> Iterator[str]:
    if lot.oldest and lot.parked:
        yield f"oldest {span((now - lot.oldest).total_seconds())}"


def _at(moment: datetime, now: datetime) -> str:
    same_day = moment.date() == now.date()
    return f"{moment:%H:%M} UTC" if same_day else f"{moment:%Y-%m-%d %H:%M} UTC"


def _of_cursor(found: Overview) -> str:
    if found.cursor is None:
        return "the log is not read yet"
    behind = max((found.cursor.head or 0) - found.cursor.position, 0)
    return f"the log is {count(behind, 'row')} behind" if behind else "the log is read to its end"


def _capital(text: str) -> str:
    """Begin a sentence, unless it begins with a name."""
    return text[0].upper() + text[1:] if text.startswith(("no ", "process ", "the ")) else text
