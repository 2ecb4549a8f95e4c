"""How long tries took, as a histogram: buckets each 20 % wider than the one before, small enough to keep."""

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Float, case, literal

# Milliseconds, from 0.1 to 13 minutes. Never change them: what is stored counts by these.
EDGES: tuple[float, ...] = tuple(round(0.1 * 1.2**number, 4) for number in range(88))
_HALF = math.sqrt(1.2)


def bucket(latency_ms: float) -> int:
    """Return the number of the bucket: 0 is below the first edge, n from the nth edge on."""
    return bisect_right(EDGES, latency_ms)


def bucket_in_sql(column: ColumnElement[float]) -> ColumnElement[int]:
    """Return SQL for `bucket`. Comparisons in a tree: not every SQLite has logarithms, and they round."""
    return _tree(column, 0, len(EDGES))


def _tree(column: ColumnElement[float], low: int, high: int) -> ColumnElement[int]:
    if low == high:
        return literal(low)
    middle = (low + high) // 2
    edge = literal(EDGES[middle], Float)
    return case((column < edge, _tree(column, low, middle)), else_=_tree(column, middle + 1, high))


@dataclass(frozen=True, slots=True)
class Latencies:
    """How many tries were in which bucket, and the sum of their milliseconds."""

    total_ms: float = 0.0
    buckets: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: "Latencies") -> "Latencies":
        """Return both together."""
        both = Counter(self.buckets)
        both.update(other.buckets)
        return Latencies(self.total_ms + other.total_ms, dict(sorted(both.items())))

    @property
    def count(self) -> int:
        """How many tries."""
        return sum(self.buckets.values())

    @property
    def mean_ms(self) -> float | None:
        """Their average; None without any."""
        return round(self.total_ms / self.count, 1) if self.buckets else None

    def quantile(self, share: float) -> float | None:
        """Return the milliseconds that this share of them stays below or at, within 10 %."""
        rank = math.ceil(share * self.count)
        for number, n in sorted(self.buckets.items()):
            rank -= n
            if rank <= 0:
                return _middle(number)
        return None

    def dump(self) -> str:
        """Return the buckets as JSON: number to how many."""
        return json.dumps({str(number): n for number, n in sorted(self.buckets.items())})

    @classmethod
    def read(cls, total_ms: float, text: str) -> "Latencies":
        """Return what `dump` wrote."""
        return cls(total_ms, {int(number): n for number, n in json.loads(text).items()})


def _middle(number: int) -> float:
    """Return what no value of a bucket is further from than 10 %."""
    return round(EDGES[number - 1] * _HALF if number else EDGES[0] / 2, 2)
