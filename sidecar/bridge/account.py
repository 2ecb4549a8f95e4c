"""What became of rows, hour by hour and rule by rule: the nouns of the ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Became(StrEnum):
    """What became of a row of Moodle's log that a rule names."""

    DELIVERED = "delivered"
    PENDING = "pending"  # in the queue, or being sent
    PARKED = "parked"  # in the queue, and something keeps its service from being called
    DEAD = "dead"
    CANCELLED = "cancelled"
    SHADOW = "shadow"  # the rule only looked on
    TOO_OLD = "too_old"
    WHERE = "where"
    WHEN = "when"
    GAP = "gap"  # it appeared late, and the tail is about to find it
    AHEAD = "ahead"  # above the cursor: not read yet
    COUNTED = "by_count"  # its delivery may have been pruned; the hourly counts say that there was one
    MISSING = "unaccounted"


# What became a delivery, or a dead letter, when the tail read it.
QUEUED = (
    Became.DELIVERED,
    Became.PENDING,
    Became.PARKED,
    Became.DEAD,
    Became.CANCELLED,
    Became.COUNTED,
)
# What the tail counted as held back by a rule.
HELD = (Became.TOO_OLD, Became.WHERE, Became.WHEN)


@dataclass(frozen=True, slots=True)
class Missing:
    """A row that a rule wants and of which nothing is known. `unsure`: its `when` asks for what changes."""

    rule: str
    log_id: int
    hour: datetime
    delivery_id: str
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """What became of the rows that one rule names, written in one hour."""

    hour: datetime
    rule: str
    counts: Mapping[Became, int]

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    @property
    def by_count(self) -> bool:
        """Whether deliveries of this hour are so old that they may have been pruned."""
        return bool(self.counts.get(Became.COUNTED))


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every row of a span of time that a rule names, and what became of it.

    `short` has the rows of a rule that the hourly counts lack: they cannot be named. `broken` are rules of
    which a version cannot be understood any more. `in_force_since` says since when rules were noted at all;
    `stopped_at` up to which id rows were read, where not all of them were.
    """

    site: str
    since: datetime
    until: datetime
    at: datetime
    position: int | None
    lines: Sequence[Line]
    missing: Sequence[Missing] = ()
    short: Mapping[str, int] = field(default_factory=dict)
    gap_ids: Mapping[datetime, int] = field(default_factory=dict)
    broken: Sequence[str] = ()
    in_force_since: datetime | None = None
    stopped_at: int | None = None

    @property
    def unaccounted(self) -> int:
        """How many rows nobody can account for."""
        return len(self.missing) + sum(self.short.values())

    @property
    def hours(self) -> list[datetime]:
        """The hours in which anything was written."""
        return sorted({line.hour for line in self.lines})

    @property
    def rules(self) -> list[str]:
        """The rules that named anything."""
        return sorted({line.rule for line in self.lines})

    @property
    def totals(self) -> Mapping[Became, int]:
        """All lines together."""
        return sum((Counter(line.counts) for line in self.lines), Counter())

    @property
    def by_count(self) -> bool:
        """Whether anything was compared by count only."""
        return any(line.by_count for line in self.lines)

    def cell(self, hour: datetime, rule: str) -> Line | None:
        """Return the line of an hour and rule, for a page; None where nothing was written."""
        return next((line for line in self.lines if (line.hour, line.rule) == (hour, rule)), None)


class Tally:
    """A ledger while it is being made."""

    def __init__(self) -> None:
        self._cells: dict[tuple[datetime, str], Counter[Became]] = defaultdict(Counter)
        self._missing: dict[Missing, None] = {}

    def add(self, hour: datetime, rule: str, became: Became) -> None:
        """Put down one row."""
        self._cells[hour, rule][became] += 1

    def lack(self, one: Missing) -> None:
        """Put down a row of which nothing is known."""
        self.add(one.hour, one.rule, Became.MISSING)
        self._missing[one] = None

    def explain(self, one: Missing, became: Became) -> None:
        """Put down what became of a row after all."""
        self.forget(one)
        self.add(one.hour, one.rule, became)

    def forget(self, one: Missing) -> None:
        """Strike out a row: it is gone from the log."""
        self._cells[one.hour, one.rule][Became.MISSING] -= 1
        del self._missing[one]

    @property
    def missing(self) -> list[Missing]:
        """The rows of which nothing is known, as they were found."""
        return list(self._missing)

    def of(self, rule: str, kinds: Iterable[Became]) -> int:
        """Return how many rows of a rule became this."""
        wanted = set(kinds)
        return sum(
            n
            for (_, name), cell in self._cells.items()
            if name == rule
            for kind, n in cell.items()
            if kind in wanted
        )

    @property
    def rules(self) -> list[str]:
        """The rules that named anything."""
        return sorted({rule for _, rule in self._cells})

    def lines(self, since: datetime, until: datetime) -> list[Line]:
        """Return the lines of these hours, in order."""
        return [
            Line(hour, rule, {kind: cell[kind] for kind in Became if cell[kind]})
            for (hour, rule), cell in sorted(self._cells.items())
            if since <= hour < until and cell.total()
        ]
