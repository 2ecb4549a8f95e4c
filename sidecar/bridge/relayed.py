"""The engine of the broker: takes what has come, by what the table says, and lets go of what is over."""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

from sqlalchemy import Connection

from sidecar.bridge.claims import PROBE_SLACK_S, put, take_moments
from sidecar.bridge.lanes import Lane
from sidecar.bridge.pace import Pace
from sidecar.clock import Clock
from sidecar.errors import BrokerUnavailable
from sidecar.gateway import circuit as breaker
from sidecar.model import Circuit, Claimed, Settlement, Step
from sidecar.store import circuits, relayed
from sidecar.store.engine import Database
from sidecar.store.lookout import Lookout
from sidecar.store.relayed import Standing
from sidecar.store.settle import RELAYED_TOKEN
from sidecar.transports.relay.consumer import Arrival, Consumer
from sidecar.transports.relay.publisher import Publisher
from sidecar.transports.relay.topology import WAITS_S

_log = logging.getLogger("mih.relay")

_SHORTEST_WAIT = timedelta(seconds=WAITS_S[0])
# A message may be here before the transaction that queued it has ended, or without one: whoever died then
# publishes it again.
_UNKNOWN_FOR = timedelta(seconds=60)
_LOOK_AGAIN = timedelta(seconds=0.1)
_BROKER_RESTS = timedelta(seconds=5)
# Of a limited service so much is here at most; the rest could be sent by others.
_LIMITED_AHEAD_S = 60.0
_AGAIN = {Step.RETRY, Step.PARK}


@dataclass(frozen=True, slots=True)
class _Resting:
    """What has come and is not to be sent before `at`. `unknown_since`: the table does not know it yet."""

    arrival: Arrival
    at: datetime
    unknown_since: datetime | None = None


class Relayed:
    """One for each process; all its methods are called by the conductor."""

    def __init__(
        self,
        store: Database,
        consumer: Consumer,
        publisher: Publisher,
        clock: Clock,
        *,
        prefetch: int,
    ) -> None:
        self._store, self._pace, self._clock = store, Pace(store, clock), clock
        self._consumer, self._publisher = consumer, publisher
        self._prefetch = prefetch
        self._resting: dict[str, list[_Resting]] = defaultdict(list)
        self._in_hand: dict[int, Arrival] = {}
        self._publisher_ill_until: datetime | None = None

    def serve(self, lanes: Collection[Lane], seen: Lookout, now: datetime) -> Mapping[str, datetime]:
        """Consume of each service what can be sent: nothing while it is not to be called, one for a probe.

        Returns when the earliest of each service that is here can be sent.
        """
        self._send_to_wait(now)
        wanted = {
            lane.name: self._wanted(lane, seen.circuits.get(lane.name), now)
            for lane in lanes
            if lane.name not in seen.paused
        }
        for service in [name for name in self._resting if not wanted.get(name)]:
            self._consumer.give_back([one.arrival for one in self._resting.pop(service)])
        self._consumer.want(wanted)
        self._consumer.start()
        resting = {name: min(one.at for one in some) for name, some in self._resting.items() if some}
        return {**resting, **dict.fromkeys(self.stock(), now)}

    @property
    def problem(self) -> str | None:
        """Why the broker cannot be consumed from, in words."""
        return self._consumer.problem

    def stock(self) -> Mapping[str, int]:
        """Return how much of each service is here to be claimed. May be called from any thread."""
        return self._consumer.stock()

    def claim(self, lanes: Sequence[Lane], now: datetime) -> set[str]:
        """Take what is here, one delivery for each request; return the names of those that may have more."""
        return {lane.name for lane in lanes if self._claim(lane, now)}

    def _claim(self, lane: Lane, now: datetime) -> bool:
        limit = lane.room
        with self._store.write() if lane.service.rate_limit else self._store.read() as conn:
            slots = self._pace.slots(conn, lane, limit)
            limit = limit if slots is None else slots.count
            asked, ready = self._ready(conn, lane.name, limit, now)
            take_moments(conn, lane, slots, len(ready))
        put(self._pace, lane, [[self._claimed(one)] for one in ready], slots, inf)
        return asked == limit

    def claim_probe(self, lane: Lane, now: datetime) -> None:
        """Take the one delivery by which all replicas learn whether the service is well again."""
        wait_s = lane.longest_timeout_s + PROBE_SLACK_S
        with self._store.write() as conn:
            _, ready = self._ready(conn, lane.name, 1, now)
            if not ready or not circuits.take_probe(conn, lane.name, now=now, wait_s=wait_s):
                self._rest(ready, now)
                return
            slots = self._pace.slots(conn, lane, 1)
            if slots is not None and not slots.count:
                self._rest(ready, now)
                conn.rollback()  # no moment to send it at: the probe stays free
                return
            take_moments(conn, lane, slots, 1)
        claimed = [[self._claimed(one, probe=True)] for one in ready]
        put(self._pace, lane, claimed, slots, inf, until=now + timedelta(seconds=wait_s))

    def claim_batches(self, lane: Lane, now: datetime) -> bool:
        """Take them one by one: the settings refuse rules that want batches with this engine."""
        return self._claim(lane, now)

    def settled(self, settlements: Sequence[Settlement], valid: Sequence[Settlement]) -> None:
        """Let go of what is written down: what is over is acknowledged, what comes again waits first.

        If we die before that, the broker gives it to others, who see in the table how it stands.
        """
        waits = {item.claimed.number: item for item in valid if item.decision.step in _AGAIN}
        for number in [item.claimed.number for item in settlements]:
            arrival = self._in_hand.pop(number)
            again = waits.get(number)
            if again is None:
                self._consumer.done([arrival])
            elif again.decision.at is None:
                self._consumer.give_back([arrival])
            else:
                self._resting[arrival.delivery.service].append(_Resting(arrival, again.decision.at))

    def renew(self, claimed: Sequence[Claimed], until: datetime) -> set[tuple[int, str]]:  # noqa: ARG002
        """Keep everything: what we have is ours while the connection lives, and its loss is no news."""
        return {(one.number, one.token) for one in claimed}

    def release(self, claimed: Iterable[Claimed]) -> None:
        """Give back what was not sent, and end."""
        self._consumer.give_back([self._in_hand.pop(one.number) for one in claimed])
        for some in self._resting.values():
            self._consumer.give_back([one.arrival for one in some])
        self._consumer.stop()
        self._publisher.close()

    def _wanted(self, lane: Lane, circuit: Circuit | None, now: datetime) -> int:
        if circuit is not None and not breaker.admits(circuit):
            return 1 if breaker.probe_due(circuit, now) else 0
        rate = lane.service.rate_limit
        return self._prefetch if rate is None else min(self._prefetch, max(1, int(rate * _LIMITED_AHEAD_S)))

    def _ready(
        self, conn: Connection, service: str, limit: int, now: datetime
    ) -> tuple[int, list[tuple[Arrival, Standing]]]:
        """Return how many were looked at, and those of them that can be sent now."""
        looked = self._take(service, limit, now)
        found = relayed.standing(conn, [one.arrival.delivery.delivery_id for one in looked]) if looked else {}
        ready = []
        for one in looked:
            standing = found.get(one.arrival.delivery.delivery_id)
            if standing is None or standing.elsewhere:
                self._doubt(one, now)
            elif standing.settled:
                self._consumer.done([one.arrival])  # a copy of what is over
            elif standing.due_at > now:
                self._resting[service].append(_Resting(one.arrival, standing.due_at))
            else:
                ready.append((one.arrival, standing))
        return len(looked), ready

    def _take(self, service: str, limit: int, now: datetime) -> list[_Resting]:
        """Take of this service what has rested enough, then what has come."""
        due: list[_Resting] = []
        later: list[_Resting] = []
        for one in self._resting.pop(service, []):
            (due if one.at <= now and len(due) < limit else later).append(one)
        if later:
            self._resting[service] = later
        return due + [_Resting(one, now) for one in self._consumer.take(service, limit - len(due))]

    def _doubt(self, one: _Resting, now: datetime) -> None:
        """Look again soon; in the end somebody else has it, or will publish it again."""
        since = one.unknown_since or now
        if now - since > _UNKNOWN_FOR:
            self._consumer.done([one.arrival])
        else:
            self._resting[one.arrival.delivery.service].append(
                _Resting(one.arrival, now + _LOOK_AGAIN, since)
            )

    def _rest(self, ready: Iterable[tuple[Arrival, Standing]], at: datetime) -> None:
        for arrival, _ in ready:
            self._resting[arrival.delivery.service].append(_Resting(arrival, at))

    def _send_to_wait(self, now: datetime) -> None:
        """Let the broker keep what is not due for a while; what it does not take rests here all the same."""
        ill_until = self._publisher_ill_until
        if self._consumer.problem or (ill_until is not None and now < ill_until):
            return
        far = [one for some in self._resting.values() for one in some if one.at - now >= _SHORTEST_WAIT]
        if not far:
            return
        waits = [(one.arrival.delivery, (one.at - now).total_seconds()) for one in far]
        try:
            self._publisher.publish_later(waits)
        except BrokerUnavailable as error:
            _log.warning("relay.waits_here deliveries=%d reason=%r", len(far), str(error))
            self._publisher_ill_until = now + _BROKER_RESTS
            return
        self._publisher_ill_until = None
        self._consumer.done([one.arrival for one in far])
        for service, some in self._resting.items():
            self._resting[service] = [one for one in some if one.at - now < _SHORTEST_WAIT]

    def _claimed(self, ready: tuple[Arrival, Standing], *, probe: bool = False) -> Claimed:
        arrival, standing = ready
        self._in_hand[standing.number] = arrival
        return Claimed(standing.number, arrival.delivery, standing.attempts, RELAYED_TOKEN, probe)
