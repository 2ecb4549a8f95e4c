"""The gaps that are watched: whose turn it is to be asked for, and what is written down of them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from sidecar.bridge.holes import pack
from sidecar.bridge.sight import Ahead, Behind, Due
from sidecar.clock import Clock
from sidecar.model import Gap
from sidecar.store import gaps
from sidecar.store.engine import Database

# A gap is asked for in every round while it is young, then with every proof, then the more rarely the older.
_YOUNG_S = 30
# So long between two questions for the young ones while there is much to read: rounds are quick then.
_HURRIED_S = 0.25
_PROVE_EVERY_S = 5
_ASK_SHARE = 0.05
# What was given up may appear all the same, where only patience decided or ids are written by hand.
_GIVEN_UP_EVERY_S = 600
_GIVEN_UP_ASKED = 5_000
_MANY = 100


class Watch:
    """The gaps of one site as the replica that tails knows them; all of them stand in `mih_gaps`."""

    def __init__(self, store: Database, site: str, clock: Clock) -> None:
        self._store, self._site, self._clock = store, site, clock
        self._gaps: list[Gap] = []
        self._asked: dict[int | None, float] = {}  # a gap's number -> when it was asked for last
        self._prove_at = 0.0
        self._young_at = 0.0
        self._given_up_at = 0.0
        self._most = _MANY

    def load(self, conn: Connection) -> None:
        """Take over from whoever tailed before."""
        self._gaps, self._asked = gaps.waiting(conn, self._site), {}

    def lowest(self, otherwise: int) -> int:
        """Return the lowest id that is missing and still asked for."""
        return min((gap.first_id for gap in self._gaps), default=otherwise)

    def due(self, now: datetime, *, hurried: bool = False) -> Due:
        """Return what to ask for in this round; it counts as asked. `hurried`: the next one follows."""
        moment = self._clock.monotonic()
        prove = bool(self._gaps) and moment >= self._prove_at
        young = not hurried or moment >= self._young_at
        if young:
            self._young_at = moment + _HURRIED_S
        due = [gap for gap in self._gaps if self._is_due(gap, now, prove=prove, young=young)]
        if prove:
            self._prove_at = moment + _PROVE_EVERY_S
        self._asked |= {gap.number: moment for gap in due}
        return Due(due, self._given_up(moment), prove)

    def write(self, conn: Connection, ahead: Ahead, behind: Behind, now: datetime) -> None:
        """Note what a look has shown, as a part of the round's transaction."""
        gaps.add(conn, self._site, _few([Gap(*hole, now) for hole in ahead.holes], now))
        for gap, rest in behind.filled:
            gaps.replace(conn, self._site, [gap], rest)
        for gap, reason in behind.given_up:
            gaps.close(conn, [gap], reason, now=now)
        for was, rest in behind.reappeared:
            gaps.replace_given_up(conn, self._site, was, rest)
        if behind.filled or behind.given_up:
            self._gaps = gaps.waiting(conn, self._site)
        elif ahead.holes:
            self._gaps += gaps.waiting(conn, self._site, first_id=ahead.holes[0][0])
        if len(self._gaps) > self._most:
            self._pack(conn, now)

    def _is_due(self, gap: Gap, now: datetime, *, prove: bool, young: bool) -> bool:
        age_s = (now - gap.seen_at).total_seconds()
        if age_s <= _YOUNG_S:
            return young
        asked = self._asked.get(gap.number)
        return prove and (asked is None or self._clock.monotonic() - asked >= age_s * _ASK_SHARE)

    def _given_up(self, moment: float) -> Sequence[gaps.GivenUp]:
        if moment < self._given_up_at:
            return ()
        self._given_up_at = moment + _GIVEN_UP_EVERY_S
        with self._store.read() as conn:
            return gaps.closed(conn, self._site, limit=_GIVEN_UP_ASKED)

    def _pack(self, conn: Connection, now: datetime) -> None:
        """Put neighbours together; and not again before there are twice as many."""
        packed = pack(self._gaps, now)
        kept = {gap.number for gap in packed}
        gaps.replace(
            conn,
            self._site,
            [gap for gap in self._gaps if gap.number not in kept],
            [gap for gap in packed if gap.number is None],
        )
        self._gaps = gaps.waiting(conn, self._site)
        self._most = 2 * len(self._gaps) + _MANY


def _few(found: list[Gap], now: datetime) -> list[Gap]:
    return found if len(found) <= _MANY else pack(found, now)
