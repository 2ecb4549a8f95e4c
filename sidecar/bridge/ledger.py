"""Is anything missing? Moodle's log is read again, and each row that a rule names is accounted for."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import Connection

from sidecar.bridge.account import HELD, QUEUED, Became, Ledger, Tally
from sidecar.bridge.accountant import STATES, Accountant, reach
from sidecar.bridge.inforce import Past
from sidecar.bridge.sources import Sources
from sidecar.bridge.written import hour_of
from sidecar.moodle.timeline import id_before
from sidecar.store import accounted, counts, versions

_IDS_AT_ONCE = 5_000
_MISSING_AT_ONCE = 500
# Rows are only nearly in the order of their times: as far as `id_before` may err, on the other side.
_BEYOND = 5_000
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which hours and which rule a ledger is about, and for how many seconds it may look."""

    since: datetime
    until: datetime | None = None
    rule: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a ledger has got, in ids of the log."""

    first: int
    position: int
    last: int


def ledger(sources: Sources, asked: Asked, *, each: Callable[[Progress], None] = lambda _: None) -> Ledger:
    """Return what became of every row that a rule named when it was read. Changes nothing.

    Safe while the sidecar runs: what the tail has read is asked for before the log, and the queue after it;
    and of what seems to be missing everything is asked once more.
    """
    look = _Look(sources, asked)
    for progress in look.read():
        each(progress)
    return look.closed()


class _Look:
    def __init__(self, sources: Sources, asked: Asked) -> None:
        self._at, self._asked = sources, asked
        self._now = sources.clock.now()
        self._since = hour_of(asked.since)
        self._until = asked.until or self._now + _HOUR
        self._stop_at = None if asked.seconds is None else sources.clock.monotonic() + asked.seconds
        self._stopped_at: int | None = None
        self._range = (0, 0)
        with sources.store.read() as conn:
            self._reach = reach(conn, sources.settings.site)
            self._past = Past(versions.history(conn, sources.settings.site), asked.rule)
        self._accountant = self._new_accountant()

    def _new_accountant(self) -> Accountant | None:
        if self._reach is None:
            return None
        return Accountant(self._at.store, self._at.log, self._at.settings, self._reach, now=self._now)

    @property
    def _tally(self) -> Tally:
        return self._accountant.tally if self._accountant else Tally()

    def read(self) -> Iterator[Progress]:
        """Account for the rows of these hours; where counts are to be compared, for those after them, too."""
        begin = self._past.first_id
        if self._accountant is None or begin is None:
            return
        with self._at.moodle.read() as conn:
            head = self._at.log.head(conn) or 0
            first = max(id_before(conn, self._at.log, int(self._since.timestamp())), begin)
            last = head
            if self._asked.until is not None:
                last = min(id_before(conn, self._at.log, int(self._until.timestamp())) + _BEYOND, head)
            self._range = (first, last)
            yield from self._pieces(conn, self._accountant, first, last)
            if last < head and self._stopped_at is None and self._compares:
                yield from self._pieces(conn, self._accountant, last, head)

    def closed(self) -> Ledger:
        """Ask once more for what is missing, compare with the counts, and draw the line."""
        self._look_again()
        short = self._short() if self._stopped_at is None else {}
        return Ledger(
            site=self._at.settings.site,
            since=self._since,
            until=self._until,
            at=self._now,
            position=self._reach.position if self._reach else None,
            lines=self._tally.lines(self._since, self._until),
            missing=tuple(one for one in self._tally.missing if one.hour < self._until),
            short=short,
            gap_ids=self._gap_ids(),
            broken=tuple(sorted(self._past.broken)),
            in_force_since=self._past.since,
            stopped_at=self._stopped_at,
        )

    @property
    def _compares(self) -> bool:
        unsure = any(one.unsure for one in self._tally.missing)
        return unsure or any(self._tally.of(rule, [Became.COUNTED]) for rule in self._tally.rules)

    def _pieces(self, conn: Connection, accountant: Accountant, first: int, last: int) -> Iterator[Progress]:
        edges = [edge for edge in self._past.edges if first < edge < last]
        for low, high in pairwise([first, *edges, last]):
            judges = self._past.after(low)
            position = low
            while judges and position < high:
                if self._stop_at is not None and self._at.clock.monotonic() >= self._stop_at:
                    self._stopped_at = position
                    return
                upto = min(position + _IDS_AT_ONCE, high)
                position = accountant.account(conn, position, upto, judges, self._since)
                position = self._over_a_hole(conn, position, high)
                yield Progress(first, position, last)

    def _over_a_hole(self, conn: Connection, position: int, high: int) -> int:
        following = self._at.log.next_id(conn, position)
        return high if following is None else max(position, min(following - 1, high))

    def _look_again(self) -> None:
        """What was settled, or found by the tail, while we looked is not missing."""
        missing = self._tally.missing
        for start in range(0, len(missing), _MISSING_AT_ONCE):
            piece = missing[start : start + _MISSING_AT_ONCE]
            with self._at.store.read() as conn:
                reached = reach(conn, self._at.settings.site)
            with self._at.moodle.read() as conn:
                numbers = sorted({one.log_id for one in piece})
                there = set(self._at.log.rows_in(conn, [(n, n) for n in numbers], None, len(numbers)).ids)
            with self._at.store.read() as conn:
                known = accounted.known(conn, [one.delivery_id for one in piece])
            for one in piece:
                if one.log_id not in there:
                    self._tally.forget(one)
                elif one.delivery_id in known:
                    self._tally.explain(one, STATES[known[one.delivery_id]])
                elif reached and (held := reached.holds(one.log_id)):
                    self._tally.explain(one, held)

    def _short(self) -> Mapping[str, int]:
        """Return how many deliveries of a rule the hourly counts lack, where only these are left.

        They are counted in the hour in which they were read, so all hours from then until now are compared.
        """
        settings = self._at.settings
        if self._since < self._now - timedelta(days=settings.retention.counts_days):
            return {}
        with self._at.store.read() as conn:
            # An hour more: Moodle's clock may be a little ahead of the store's.
            found = counts.totals(conn, since=self._since - _HOUR)
        counted = Counter({(rule, what): n for rule, what, n in found})
        return {rule: n for rule in self._tally.rules if (n := self._short_of(rule, counted))}

    def _short_of(self, rule: str, counted: Mapping[tuple[str, str], int]) -> int:
        tally = self._tally
        held = sum(counted.get((rule, str(kind)), 0) for kind in HELD)
        more_held = max(0, held - tally.of(rule, HELD))
        unsure = [one for one in tally.missing if one.rule == rule and one.unsure][:more_held]
        for one in unsure:
            tally.explain(one, Became.WHEN)  # its condition was false then, and is not any more
        queued = counted.get((rule, counts.QUEUED), 0) + counted.get((rule, counts.DEAD), 0)
        lacking = tally.of(rule, QUEUED) - queued - (more_held - len(unsure))
        return min(max(0, lacking), tally.of(rule, [Became.COUNTED]))

    def _gap_ids(self) -> Mapping[datetime, int]:
        """Return how many ids are missing below the cursor, by the hour in which the tail passed them."""
        first, last = self._range
        found: Counter[datetime] = Counter()
        for gap in self._reach.missing if self._reach else ():
            if gap.last_id > first and gap.first_id <= last and self._since <= gap.seen_at < self._until:
                found[hour_of(gap.seen_at)] += gap.missing
        return dict(sorted(found.items()))
