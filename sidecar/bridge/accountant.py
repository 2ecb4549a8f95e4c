"""Account for the rows of a piece of the log: by queue, request log, cursor, gaps, and the rules of then."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sidecar.bridge.account import Became, Missing, Tally
from sidecar.bridge.harvest import Harvester, Judged
from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.bridge.written import Written, hour_of, written
from sidecar.model import DeliveryState, Event, Gap, Held
from sidecar.moodle.decode import decode
from sidecar.moodle.logstore import LogStore
from sidecar.moodle.names import NameFilter
from sidecar.settings import Settings
from sidecar.store import accounted, cursors, gaps, overview
from sidecar.store.engine import Database

_ROWS_AT_ONCE = 2_000
_GAPS_GIVEN_UP = 5_000  # as many as the tail asks for
# A delivery is kept by the store's clock, a row is written by Moodle's.
_SLACK = timedelta(hours=1)
_HELD = {Held.TOO_OLD: Became.TOO_OLD, Held.WHERE: Became.WHERE, Held.WHEN: Became.WHEN}
STATES = {
    DeliveryState.PENDING: Became.PENDING,
    DeliveryState.SENDING: Became.PENDING,
    DeliveryState.DELIVERED: Became.DELIVERED,
    DeliveryState.DEAD: Became.DEAD,
    DeliveryState.CANCELLED: Became.CANCELLED,
}

# For each rule the version of a row's place, then those that judged it had it come late.
Judges = Sequence[Sequence[CompiledRule]]
_Pair = tuple[str, int]  # a rule and a row


@dataclass(frozen=True, slots=True)
class Reach:
    """What the tail has read at one moment: to be asked for before the log is."""

    position: int
    missing: Sequence[Gap]  # still asked for
    given_up: Sequence[Gap]  # looked at now and then

    def holds(self, log_id: int) -> Became | None:
        """Return why the tail need not have seen this row yet."""
        if log_id > self.position:
            return Became.AHEAD
        held = any(gap.lacks(log_id) for some in (self.missing, self.given_up) for gap in some)
        return Became.GAP if held else None


def reach(conn: Connection, site: str) -> Reach | None:
    """Return what the tail has read; None before its first start. The cursor first, then the gaps."""
    cursor = cursors.load(conn, site)
    if cursor is None:
        return None
    given_up = [one.gap for one in gaps.closed(conn, site, limit=_GAPS_GIVEN_UP)]
    return Reach(cursor.position, gaps.waiting(conn, site), given_up)


class Accountant:
    """Puts down in a tally what became of rows, a piece of the log after the other."""

    def __init__(
        self, store: Database, log: LogStore, settings: Settings, reached: Reach, *, now: datetime
    ) -> None:
        self._store, self._log, self._settings, self._reached, self._now = store, log, settings, reached, now
        self._patience = timedelta(seconds=settings.tail.gap_patience)
        self._pruned_before = now - timedelta(days=settings.retention.delivered_days) + _SLACK
        with store.read() as conn:
            self._parked = overview.obstacles(conn, settings.services)
        self.tally = Tally()

    def account(self, conn: Connection, after: int, upto: int, judges: Judges, since: datetime) -> int:
        """Account for the first rows with after < id <= upto that are not from before `since`.

        Returns up to which id it got.
        """
        book = RuleBook([some[0] for some in judges])
        names = None if "*" in book.names else NameFilter.of(book.names)
        rows = self._log.rows(conn, after, upto, names, _ROWS_AT_ONCE)
        upto = rows[-1].id if len(rows) == _ROWS_AT_ONCE else upto
        events = {row.id: decode(row) for row in rows}
        if events:
            times = written(conn, self._log, rows[0].id - 1, rows[-1].id, self._now)
            self._account(_Piece(conn, events, times, book, judges), since)
        return upto

    def _account(self, piece: "_Piece", since: datetime) -> None:
        hours = {number: hour_of(piece.times.at(event)) for number, event in piece.events.items()}
        pairs = [pair for pair in piece.pairs if hours[pair[1]] >= since]
        became = self._in_queue(pairs)
        became |= self._delivered([pair for pair in pairs if pair not in became])
        unread = {pair: self._reached.holds(pair[1]) for pair in pairs if pair not in became}
        became |= {pair: held for pair, held in unread.items() if held is not None}
        became |= self._judged(piece, {pair for pair in pairs if pair not in became})
        for rule, number in pairs:
            known = became.get((rule, number))
            if known is None:
                unsure = any(map(_asks_for_more, piece.judges_of(rule)))
                self.tally.lack(Missing(rule, number, hours[number], self._key(rule, number), unsure))
            else:
                self.tally.add(hours[number], rule, known)

    def _in_queue(self, pairs: Sequence[_Pair]) -> dict[_Pair, Became]:
        if not pairs:
            return {}
        lowest, highest = min(number for _, number in pairs), max(number for _, number in pairs)
        found: dict[str, Became] = {}
        with self._store.read() as conn:
            for rule in sorted({rule for rule, _ in pairs}):
                for key, made in accounted.made(conn, rule, lowest - 1, highest).items():
                    parked = made.state is DeliveryState.PENDING and made.service in self._parked
                    found[key] = Became.PARKED if parked else STATES[made.state]
        keys = {pair: self._key(*pair) for pair in pairs}
        return {pair: found[key] for pair, key in keys.items() if key in found}

    def _delivered(self, pairs: Sequence[_Pair]) -> dict[_Pair, Became]:
        """Return those that the request log still remembers."""
        keys = {self._key(*pair): pair for pair in pairs}
        with self._store.read() as conn:
            return {keys[key]: Became.DELIVERED for key in accounted.delivered(conn, list(keys))}

    def _judged(self, piece: "_Piece", pairs: Collection[_Pair]) -> dict[_Pair, Became]:
        """Return what the rules of then made of the rows that left no trace; what they wanted is left out."""
        if not pairs:
            return {}
        became: dict[_Pair, Became] = {}
        votes = Counter[_Pair]()
        for one in self._verdicts(piece, {number for _, number in pairs}):
            pair = (one.compiled.rule.name, one.event.id)
            if one.held is None:
                votes[pair] += 1
            elif pair not in became:
                became[pair] = _HELD[one.held]
        for pair in pairs:
            judges = piece.judges_of(pair[0])
            if any(item.rule.shadow for item in judges) and pair not in became:
                became[pair] = Became.SHADOW
            elif votes[pair] < len(judges):
                became.setdefault(pair, Became.WHERE)  # a version that may have judged it names other events
            elif piece.times.at(piece.events[pair[1]]) < self._pruned_before:
                became[pair] = Became.COUNTED
        return {pair: kind for pair, kind in became.items() if pair in pairs}

    def _verdicts(self, piece: "_Piece", numbers: Collection[int]) -> Sequence[Judged]:
        """Return what every version that may have judged these rows thinks of them."""
        everyone = RuleBook([item for some in piece.judges for item in some])
        return Harvester(self._settings, everyone).judge(
            piece.conn,
            [piece.events[number] for number in sorted(numbers)],
            newest=lambda event: piece.times.seen_by(event, self._patience),
            now=self._now,
        )

    def _key(self, rule: str, number: int) -> str:
        return self._settings.delivery_id(rule, number)


@dataclass(frozen=True, slots=True)
class _Piece:
    conn: Connection
    events: Mapping[int, Event]
    times: Written
    book: RuleBook
    judges: Judges

    @property
    def pairs(self) -> list[_Pair]:
        return [
            (item.rule.name, number)
            for number, event in self.events.items()
            for item in self.book.for_event(event.eventname)
        ]

    def judges_of(self, rule: str) -> Sequence[CompiledRule]:
        return next(some for some in self.judges if some[0].rule.name == rule)


def _asks_for_more(item: CompiledRule) -> bool:
    """Whether a condition asks for what may have changed since: another table, or the time."""
    return bool(item.template.needs) or re.search(r"\bnow\b", item.rule.when or "") is not None
