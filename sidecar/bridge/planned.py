"""From what somebody wants replayed to a replay: its range of ids, counted, checked, noted, stopped again."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from sidecar.bridge import ids
from sidecar.bridge.backfill import held_back, is_over, read, rendered, sendable
from sidecar.bridge.harvest import Harvester
from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.bridge.sources import Sources
from sidecar.errors import HubError, NotFound
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.missing import Range
from sidecar.moodle.names import NameFilter
from sidecar.moodle.timeline import id_before
from sidecar.store import accounted, audit, replays
from sidecar.store.audit import Author
from sidecar.store.engine import Database
from sidecar.store.find import known
from sidecar.store.replays import Replay, ReplayState

_IDS_AT_ONCE = 20_000
_ROWS_AT_ONCE = 200
# Rows are only nearly in the order of their times: as far as `id_before` may err, on the other side.
_BEYOND = 5_000
Edge = int | datetime | None


class NotReplayable(HubError):
    """Nothing can be replayed as it was asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants replayed: ids, or all between two edges, each an id or a time.

    Both ids are inside; of times the first is inside and the second is not.
    """

    rule: str
    ids: str | None = None
    begin: Edge = None
    end: Edge = None
    rate: float | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows of the rule's events there are; not `complete`: it took too long, there may be more."""

    rows: int
    complete: bool


@dataclass(slots=True)
class Rehearsal:
    """What a replay would come to, so far."""

    replay: Replay
    queued: int = 0
    known: int = 0
    dead: int = 0
    held: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)


def planned(sources: Sources, book: RuleBook, wanted: Wanted, by: Author) -> Replay:
    """Return the replay that is wanted, not noted yet. Raises NotReplayable for what cannot be replayed."""
    compiled = _rule(book, wanted.rule)
    with sources.moodle.read() as conn:
        head = sources.log.head(conn) or 0
        ranges = _ranges(conn, sources.log, wanted, head)
    if not ranges:
        raise NotReplayable("There is no such row in Moodle's log: nothing to replay.")
    since = wanted.begin if isinstance(wanted.begin, datetime) else None
    until = wanted.end if isinstance(wanted.end, datetime) else None
    return Replay(
        site=sources.settings.site,
        rule=compiled.rule.name,
        ids=ids.text_of(ranges),
        expected=0,
        created_by=by.who[:100],
        created_at=sources.clock.now(),
        event_since=since,
        event_until=until,
        again=wanted.again,
        rate=wanted.rate,
        position=ranges[0][0] - 1,
    )


def counted(sources: Sources, book: RuleBook, replay: Replay, *, seconds: float = 20.0) -> Count:
    """Count the rows of the rule's events, before age, columns and conditions are looked at."""
    compiled = _rule(book, replay.rule)
    names = None if "*" in compiled.rule.events else NameFilter.of(compiled.rule.events)
    stop_at, rows = sources.clock.monotonic() + seconds, 0
    with sources.moodle.read() as conn:
        for first, last in ids.ranges_of(replay.ids):
            for low in range(first - 1, last, _IDS_AT_ONCE):
                if sources.clock.monotonic() > stop_at:
                    return Count(rows, complete=False)
                rows += sources.log.count_of(conn, low, min(low + _IDS_AT_ONCE, last), names)
    return Count(rows, complete=True)


def rehearsed(sources: Sources, book: RuleBook, replay: Replay) -> Iterator[Rehearsal]:
    """Yield what a replay would come to, piece by piece. Renders all of it, and writes nothing."""
    harvester, so_far = Harvester(sources.settings, book), Rehearsal(replay)
    compiled = _rule(book, replay.rule)
    while not is_over(replay, so_far.replay.position):
        with sources.moodle.read() as conn:
            piece = read(conn, sources.log, compiled, so_far.replay, _ROWS_AT_ONCE)
            harvest = rendered(conn, harvester, compiled, piece, now=sources.clock.now())
        keys = [item.delivery_id for item in harvest.deliveries]
        keys += [item.delivery.delivery_id for item in harvest.letters]
        with sources.store.read() as conn:
            states = {} if replay.again else accounted.known(conn, keys)
        so_far.queued += sum(item.delivery_id not in states for item in harvest.deliveries)
        so_far.known += len(states)
        so_far.dead += sum(item.delivery.delivery_id not in states for item in harvest.letters)
        so_far.errors += [item.error for item in harvest.letters]
        for (_, what), n in harvest.tally.items():
            so_far.held[what] = so_far.held.get(what, 0) + n
        looked_at = so_far.replay.looked_at + len(piece.events)
        filtered = so_far.replay.filtered + held_back(harvest)
        so_far.replay = replace(
            so_far.replay, position=piece.position, looked_at=looked_at, filtered=filtered
        )
        yield so_far


def begin(store: Database, replay: Replay, by: Author) -> int:
    """Note a replay: from now on it runs. Returns its number."""
    with store.write() as conn:
        number = replays.create(conn, replay)
        detail = f"ids {replay.ids}"[:200] + (", again" if replay.again else "")
        audit.note(conn, by, "replay.create", f"rule {replay.rule}", detail, now=replay.created_at)
    return number


def found(store: Database, number: int) -> Replay:
    """Return a replay. Raises NotFound."""
    with store.read() as conn:
        replay = replays.get(conn, number)
    if replay is None:
        raise NotFound(f"There is no replay {number}: `mih replay list` shows those that there are.")
    return replay


_FROM = {
    ReplayState.PAUSED: (ReplayState.RUNNING,),
    ReplayState.RUNNING: (ReplayState.PAUSED,),
    ReplayState.CANCELLED: (ReplayState.RUNNING, ReplayState.PAUSED),
}
_DEEDS = {
    ReplayState.PAUSED: "replay.pause",
    ReplayState.RUNNING: "replay.resume",
    ReplayState.CANCELLED: "replay.cancel",
}


def switched(store: Database, number: int, to: ReplayState, by: Author, *, now: datetime) -> Replay:
    """Pause, resume or cancel a replay. Raises NotFound, and NotReplayable where it is past that."""
    with store.write() as conn:
        if replays.switch(conn, number, _FROM[to], to, now=now):
            audit.note(conn, by, _DEEDS[to], f"replay {number}", now=now)
    after = found(store, number)
    if after.state is not to:
        raise NotReplayable(f"The replay {number} is {after.state}: it cannot become {to}.")
    return after


def _rule(book: RuleBook, name: str) -> CompiledRule:
    known(name, [one.rule.name for one in book.all], "rule")
    compiled = sendable(book, name)
    if compiled is None:
        raise NotReplayable(
            f'The rule "{name}" is off or in the shadow, so it sends nothing: switch it on first.'
        )
    return compiled


def _ranges(conn: Connection, log: LogStore, wanted: Wanted, head: int) -> list[Range]:
    if wanted.ids is not None:
        try:
            named = ids.ranges_of(wanted.ids)
        except ValueError as error:
            raise NotReplayable(f"ids: {error}.") from None
        return [(max(first, 1), min(last, head)) for first, last in named if first <= head and last > 0]
    lowest = log.next_id(conn, 0) or 1
    first = _first(conn, log, wanted.begin, lowest)
    last = _last(conn, log, wanted.end, head)
    return [(max(first, lowest), min(last, head))] if max(first, lowest) <= min(last, head) else []


def _first(conn: Connection, log: LogStore, edge: Edge, lowest: int) -> int:
    if isinstance(edge, datetime):
        return id_before(conn, log, int(edge.timestamp())) + 1
    return lowest if edge is None else edge


def _last(conn: Connection, log: LogStore, edge: Edge, head: int) -> int:
    if isinstance(edge, datetime):
        return id_before(conn, log, int(edge.timestamp())) + _BEYOND
    return head if edge is None else edge
