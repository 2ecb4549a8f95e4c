"""Replay from the source: rows of Moodle's log that somebody names go through a rule into the slow lane."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from sidecar.bridge import ids
from sidecar.bridge.harvest import Harvest, Harvester, unstorable
from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.clock import Clock
from sidecar.errors import LeaseLost
from sidecar.model import Delivery, DeliveryState, Event, Held
from sidecar.moodle.decode import decode
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.names import NameFilter
from sidecar.store import accounted, dlq, queue, replays
from sidecar.store.engine import Database
from sidecar.store.faults import UNSTORABLE
from sidecar.store.replays import Replay, ReplayState

_log = logging.getLogger("mih.replay")

# Waiting in the slow lane of a service at most: a pause is felt at once, a sick service is not drowned.
MOST_WAITING = 500
_ROWS_AT_ONCE = 200
_IDS_AT_ONCE = 5_000
_WINDOWS_AT_ONCE = 20
_AHEAD_S = 1.0
# Age holds nothing back that somebody asks for by name.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_ON_THE_WAY = (DeliveryState.PENDING, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of a replay, and up to which id they are all there are."""

    events: Sequence[Event]
    position: int


@dataclass(frozen=True, slots=True)
class _Sorted:
    """What a piece comes to: what is new, what is sent once more, and how many are known already."""

    fresh: Sequence[Delivery]
    again: Sequence[Delivery]
    letters: Harvest
    known: int


class Backfill:
    """One for each process that reads the log. A replay is in one process's hands at a time, by its lease.

    Killed at any instruction it queues nothing twice and leaves nothing out: how far it has got and what it
    queued change in one transaction, which is refused when another process took over meanwhile.
    """

    def __init__(
        self,
        moodle: Database,
        store: Database,
        log: LogStore,
        *,
        replica: str,
        clock: Clock,
        lease_s: float,
        most_waiting: int | None = MOST_WAITING,
    ) -> None:
        self._moodle, self._store, self._log = moodle, store, log
        self._replica, self._clock, self._lease_s = replica, clock, lease_s
        self._most_waiting = most_waiting
        self._row_by_row: set[int] = set()

    def run_once(self, harvester: Harvester) -> int:
        """Move every running replay of the site on by a piece; return how many deliveries were queued."""
        with self._store.read() as conn:
            numbers = replays.running(conn, harvester.settings.site)
        return sum(self.step(number, harvester) for number in numbers)

    def step(self, number: int, harvester: Harvester) -> int:
        """Move one replay on by a piece; return how many deliveries were queued. Safe to call again."""
        with self._store.write() as conn:
            held = replays.lease(conn, number, self._replica, now=self._clock.now(), lease_s=self._lease_s)
        if held is None:
            return 0
        try:
            return self._step(held, harvester)
        except LeaseLost as lost:
            _log.info("replay.void replay=%d reason=%r", number, str(lost))
            return 0

    def release(self, number: int) -> None:
        """Let another process go on with it at once."""
        with self._store.write() as conn:
            replays.release(conn, number, self._replica)

    def _step(self, held: Replay, harvester: Harvester) -> int:
        compiled = sendable(harvester.book, held.rule)
        if compiled is None:
            self._stand(held)
            return 0
        limit = self._room(held, compiled)
        if limit == 0:
            return 0
        with self._moodle.read() as conn:
            piece = read(conn, self._log, compiled, held, limit)
            harvest = rendered(conn, harvester, compiled, piece, now=self._clock.now())
        try:
            return self._commit(held, piece, harvest)
        except UNSTORABLE as error:
            if len(piece.events) > 1:
                self._row_by_row.add(held.id)  # until the one row is found, so that only it is given up
                return 0
            return self._commit(held, piece, unstorable(harvest, error))

    def _stand(self, held: Replay) -> None:
        """Stop where it is: there is nothing to render with."""
        problem = f'there is no rule "{held.rule}" switched on: `mih replay resume {held.id}` when there is'
        with self._store.write() as conn:
            stopped = replace(held, state=ReplayState.PAUSED, problem=problem)
            replays.advance(conn, held, stopped, now=self._clock.now())
        _log.warning("replay.stopped replay=%d reason=%r", held.id, problem)

    def _room(self, held: Replay, compiled: CompiledRule) -> int:
        """Return how many rows may be taken now: for the lane, and for the rate."""
        room = 1 if held.id in self._row_by_row else _ROWS_AT_ONCE
        if self._most_waiting is not None:
            with self._store.read() as conn:
                waiting = queue.slow_waiting(conn, compiled.rule.service, self._most_waiting)
            room = min(room, self._most_waiting - waiting)
        if held.rate is not None:
            now = self._clock.now()
            ahead_s = (now + timedelta(seconds=_AHEAD_S) - _from(held, now)).total_seconds()
            least = 1 if held.next_at is None or held.next_at <= now else 0
            room = min(room, max(math.floor(ahead_s * held.rate), least))
        return room

    def _commit(self, held: Replay, piece: Piece, harvest: Harvest) -> int:
        with self._store.write() as conn:
            replays.take_turns(conn, held.site, held.rule)
            now = self._clock.now()
            found = _sorted(conn, harvest, again=held.again)
            slow = _paced([*found.fresh, *found.again], held, now)
            fresh, more = slow[: len(found.fresh)], slow[len(found.fresh) :]
            after = _moved(held, piece, harvest, found, now)
            replays.advance(conn, held, after, now=now)
            queue.enqueue(conn, fresh, now=now)
            for delivery in more:
                queue.queue_again(conn, delivery, now=now)
            dlq.remove(conn, [delivery.delivery_id for delivery in more])
            queue.enqueue_dead(conn, found.letters.letters, now=now)
        if after.state is ReplayState.DONE:
            self._row_by_row.discard(held.id)
            _log.info("replay.done replay=%d rule=%s queued=%d", held.id, held.rule, after.queued)
        return len(slow)


def sendable(book: RuleBook, rule: str) -> CompiledRule | None:
    """Return the rule of that name if it sends at all: not one that is off, or only looks on."""
    return next((one for one in book.rules if one.rule.name == rule and not one.rule.shadow), None)


def read(conn: Connection, log: LogStore, compiled: CompiledRule, at: Replay, limit: int) -> Piece:
    """Return the next rows of a replay, `limit` at most. Without one in 100,000 ids it is an empty piece."""
    names = None if "*" in compiled.rule.events else NameFilter.of(compiled.rule.events)
    position, windows = at.position, 0
    for first, last in ids.after(ids.ranges_of(at.ids), at.position):
        position = first - 1
        while position < last:
            upto = min(position + _IDS_AT_ONCE, last)
            rows = log.rows(conn, position, upto, names, limit)
            position = rows[-1].id if len(rows) == limit else upto
            windows += 1
            if rows:
                return Piece([event for event in map(decode, rows) if _asked_for(event, at)], position)
            if windows == _WINDOWS_AT_ONCE:
                return Piece((), position)
            following = log.next_id(conn, position)
            position = last if following is None else max(position, min(following - 1, last))
    return Piece((), position)


def rendered(
    conn: Connection, harvester: Harvester, compiled: CompiledRule, piece: Piece, *, now: datetime
) -> Harvest:
    """Return what today's rule makes of a piece, whatever the rows' age."""
    only = Harvester(harvester.settings, RuleBook([compiled]))
    return only.gather(conn, piece.events, newest=_LONG_AGO, now=now)


def held_back(harvest: Harvest) -> int:
    """Return how many rows the rule did not want."""
    return sum(n for (_, what), n in harvest.tally.items() if what in set(Held))


def is_over(at: Replay, position: int) -> bool:
    """Whether nothing of a replay lies above `position`."""
    return not ids.after(ids.ranges_of(at.ids), position)


def _asked_for(event: Event, at: Replay) -> bool:
    since, until = at.event_since, at.event_until
    after = since is None or event.timecreated >= since.timestamp()
    return after and (until is None or event.timecreated < until.timestamp())


def _sorted(conn: Connection, harvest: Harvest, *, again: bool) -> _Sorted:
    keys = [item.delivery_id for item in harvest.deliveries]
    keys += [item.delivery.delivery_id for item in harvest.letters]
    states = accounted.known(conn, keys)
    stored = queue.lock(conn, keys) if again else {}
    fresh = [
        item
        for item in harvest.deliveries
        if item.delivery_id not in states or (again and item.delivery_id not in stored)
    ]
    more = [
        item
        for item in harvest.deliveries
        if item.delivery_id in stored and stored[item.delivery_id] not in _ON_THE_WAY
    ]
    letters = [item for item in harvest.letters if item.delivery.delivery_id not in states]
    made = len(fresh) + len(more) + len(letters)
    return _Sorted(fresh, more, Harvest(letters=letters), len(keys) - made)


def _paced(deliveries: Sequence[Delivery], held: Replay, now: datetime) -> list[Delivery]:
    """Return them for the slow lane, due one after the other where there is a rate."""
    wait_s, step_s = _wait_s(held, now)
    return [
        replace(item, slow=True, linger_s=item.linger_s + wait_s + number * step_s)
        for number, item in enumerate(deliveries)
    ]


def _moved(held: Replay, piece: Piece, harvest: Harvest, found: _Sorted, now: datetime) -> Replay:
    queued = len(found.fresh) + len(found.again)
    wait_s, step_s = _wait_s(held, now)
    over = is_over(held, piece.position)
    return replace(
        held,
        state=ReplayState.DONE if over else held.state,
        position=piece.position,
        next_at=now + timedelta(seconds=wait_s + queued * step_s) if held.rate else None,
        looked_at=held.looked_at + len(piece.events),
        queued=held.queued + queued,
        known=held.known + found.known,
        filtered=held.filtered + held_back(harvest),
        dead=held.dead + len(found.letters.letters),
        finished_at=now if over else None,
    )


def _from(held: Replay, now: datetime) -> datetime:
    return max(held.next_at or now, now)


def _wait_s(held: Replay, now: datetime) -> tuple[float, float]:
    """Return in how many seconds the first may go, and how many later each following one."""
    if held.rate is None:
        return 0.0, 0.0
    return (_from(held, now) - now).total_seconds(), 1 / held.rate
