"""Take due deliveries of one service into this process's hands: as rate limit, batches and probes want it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from math import inf

from sqlalchemy import Connection

from sidecar.bridge import batches
from sidecar.bridge.lanes import InHand, Lane
from sidecar.bridge.pace import Pace
from sidecar.clock import Clock
from sidecar.gateway.rate import Slots
from sidecar.model import Claimed, Waiting
from sidecar.settings import BatchSettings
from sidecar.store import ahead, circuits, leases, order, queue, rates
from sidecar.store.engine import Database
from sidecar.store.leases import ANY_TIME, Due
from sidecar.store.order import Turn

_BATCHED_AHEAD_S = 1.0  # of a backlog that goes out in batches: else they would be small
PROBE_SLACK_S = 10.0
_MOST_LOOKED_AT = 2_000
_SERVICES_AT_ONCE = 50


class Claimer:
    """One for each process: all its claims have tokens of its own."""

    def __init__(self, store: Database, pace: Pace, clock: Clock, *, replica: str, lease_s: float) -> None:
        self._store, self._pace, self._clock = store, pace, clock
        self._replica, self._lease_s = replica, lease_s
        self._numbers = count(1)

    def claim(self, lanes: Sequence[Lane], now: datetime) -> set[str]:
        """Claim what is due, one delivery for each request; return the names of those that have more."""
        more = {lane.name for lane in lanes if _is_limited(lane) and self._claim_limited(lane, now)}
        others = [lane for lane in lanes if not _is_limited(lane)]
        for start in range(0, len(others), _SERVICES_AT_ONCE):
            more |= self._claim_together(others[start : start + _SERVICES_AT_ONCE], now)
        return more

    def _claim_together(self, lanes: Sequence[Lane], now: datetime) -> set[str]:
        """Claim for services that nothing limits in one transaction: each transaction has its cost."""
        here, limits = self._clock.monotonic(), {lane.name: lane.room for lane in lanes}
        with self._store.write() as conn:
            claimed = leases.claim(conn, limits, token=self._token(), now=now, lease_s=self._lease_s)
        found: dict[str, list[Claimed]] = defaultdict(list)
        for one in claimed:
            found[one.delivery.service].append(one)
        for lane in lanes:
            put(self._pace, lane, [[one] for one in found[lane.name]], None, here + self._lease_s)
        return {name for name, limit in limits.items() if len(found[name]) == limit}

    def _claim_limited(self, lane: Lane, now: datetime) -> bool:
        """Claim what the rate limit and the drain rate of a service allow; return whether there is more."""
        here, limit = self._clock.monotonic(), lane.room
        with self._store.write() as conn:
            slots = self._pace.slots(conn, lane, limit)
            limit = limit if slots is None else slots.count
            if lane.backlog_until is None:
                claimed = self._claim(conn, lane, limit, now)
            else:
                claimed = self._claim_beside_backlog(conn, lane, lane.backlog_until, limit, now)
            take_moments(conn, lane, slots, len(claimed))
        put(self._pace, lane, [[one] for one in claimed], slots, here + self._lease_s)
        return len(claimed) == limit

    def claim_probe(self, lane: Lane, now: datetime) -> None:
        """Claim the one delivery by which all replicas learn whether the service is well again."""
        here, wait_s = self._clock.monotonic(), lane.longest_timeout_s + PROBE_SLACK_S
        with self._store.write() as conn:
            if not circuits.take_probe(conn, lane.name, now=now, wait_s=wait_s):
                return
            slots = self._pace.slots(conn, lane, 1)
            claimed = self._claim(conn, lane, 1 if slots is None else slots.count, now, probe=True)
            take_moments(conn, lane, slots, len(claimed))
            if not claimed:
                conn.rollback()  # nothing to probe with: the probe stays free
        put(
            self._pace,
            lane,
            [[one] for one in claimed],
            slots,
            here + self._lease_s,
            until=now + timedelta(seconds=wait_s),
        )

    def claim_batches(self, lane: Lane, now: datetime) -> bool:
        """Claim for a service of which rules send many at once; return whether there is more.

        Looks first and takes then: what lingers on is not to be locked, nor is its payload read.
        """
        here, room, rules = self._clock.monotonic(), lane.room, lane.manners.batches
        longest = max(rule.max_items for rule in rules.values())
        limit = min(room * longest, max(_MOST_LOOKED_AT, longest))
        found = self._look(lane, now, limit)
        with self._store.read() as conn:
            behind = _behind(conn, found, rules)
        waiting = [one for one in found if one.number not in behind]
        portions = batches.portions(waiting, rules)
        chosen = portions[:room]
        if not chosen and not behind:
            return False
        with self._store.write() as conn:
            order.hold_back(conn, behind)
            slots = self._pace.slots(conn, lane, len(chosen))
            chosen = chosen if slots is None else chosen[: slots.count]
            held = self._take(conn, chosen, now)
            take_moments(conn, lane, slots, len(held))
        put(self._pace, lane, held, slots, here + self._lease_s)
        return len(chosen) < len(portions) or len(found) == limit

    def _look(self, lane: Lane, now: datetime, limit: int) -> list[Waiting]:
        """Return what may go out now, of a backlog no more than its rate allows."""
        lingers = {name: rule.linger for name, rule in lane.manners.batches.items()}
        look = partial(ahead.look, service=lane.name, lingers=lingers, now=now)
        if lane.backlog_until is None:
            with self._store.read() as conn:
                return look(conn, limit=limit)
        with self._store.write() as conn:
            most = self._pace.drain(conn, lane, lane.half_of(limit), ahead_s=_BATCHED_AHEAD_S)
        with self._store.read() as conn:
            old = look(conn, limit=most, due=Due(upto=lane.backlog_until)) if most else []
            self._forget_backlog(conn, lane, most, len(old))
            return [*old, *look(conn, limit=limit, due=Due(after=lane.backlog_until))]

    def _claim(
        self,
        conn: Connection,
        lane: Lane,
        limit: int,
        now: datetime,
        *,
        probe: bool = False,
        due: Due = ANY_TIME,
    ) -> list[Claimed]:
        token = self._token()
        return leases.claim(
            conn, {lane.name: limit}, token=token, now=now, lease_s=self._lease_s, probe=probe, due=due
        )

    def _claim_beside_backlog(
        self, conn: Connection, lane: Lane, until: datetime, limit: int, now: datetime
    ) -> list[Claimed]:
        """Claim of a backlog what its rate allows, at most half, and beside it what came later."""
        most = self._pace.drain(conn, lane, lane.half_of(limit))
        old = self._claim(conn, lane, most, now, due=Due(upto=until)) if most else []
        self._forget_backlog(conn, lane, most, len(old))
        return [*old, *self._claim(conn, lane, limit - len(old), now, due=Due(after=until))]

    def _forget_backlog(self, conn: Connection, lane: Lane, asked: int, found: int) -> None:
        """See whether a backlog is over, when less was found than asked for."""
        until = lane.backlog_until
        if until is not None and found < asked and not queue.is_backlog_left(conn, lane.name, upto=until):
            lane.drained_until, lane.drain_at = until, None

    def _take(
        self, conn: Connection, portions: Sequence[Sequence[int]], now: datetime
    ) -> list[list[Claimed]]:
        """Take whole portions, without what another replica was quicker to take."""
        numbers = [number for portion in portions for number in portion]
        taken = ahead.take(conn, numbers, token=self._token(), now=now, lease_s=self._lease_s)
        ours = {one.number: one for one in taken}
        held = ([ours[number] for number in portion if number in ours] for portion in portions)
        return [portion for portion in held if portion]

    def _token(self) -> str:
        return f"{self._replica}#{next(self._numbers)}"


def _is_limited(lane: Lane) -> bool:
    return lane.service.rate_limit is not None or lane.backlog_until is not None


def put(
    pace: Pace,
    lane: Lane,
    portions: Sequence[Sequence[Claimed]],
    slots: Slots | None,
    lease_ends: float,
    *,
    until: datetime | None = None,
) -> None:
    """Hand what was claimed to the senders, each request with its moment; a probe is ours until then."""
    lane.resume_at = slots.again_after(len(portions)) if slots else None
    times = [pace.times(slots, number) if slots else (-inf, inf) for number in range(len(portions))]
    lane.put(
        [
            [InHand(one, lane, lease_ends, *when, until, one is portion[-1]) for one in portion]
            for portion, when in zip(portions, times, strict=True)
        ]
    )


def _behind(conn: Connection, found: Sequence[Waiting], rules: Mapping[str, BatchSettings]) -> set[int]:
    """Return the numbers of those that have to wait for another of their key."""
    turns = [
        Turn(one.number, one.order_key, one.log_id, _run(rules.get(one.rule or "")))
        for one in found
        if one.order_key is not None and one.log_id is not None
    ]
    return {turn.number for turn in turns} - order.ready(conn, turns)


def _run(batch: BatchSettings | None) -> int:
    return 1 if batch is None else batch.max_items


def take_moments(conn: Connection, lane: Lane, slots: Slots | None, taken: int) -> None:
    """Note that the first of the moments are taken."""
    if slots is not None and taken:
        rates.take(conn, lane.name, until=slots.moment(taken))
