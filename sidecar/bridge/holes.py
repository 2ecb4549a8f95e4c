"""What gaps are made of: many small holes packed into few gaps, and what is left when a row has come."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

from sidecar.model import Gap

# Holes further apart than this are asked for one by one: counting what lies between would win nothing.
_NEAR = 64
# Ids that one count looks at, and bits of one number: 6 KiB.
_WIDEST = 50_000
# The older a gap, the less often it is asked for again; so only gaps of like age go together.
_LIKE_AGE = timedelta(seconds=5)
_LIKE_SHARE = 0.1


def pack(gaps: Iterable[Gap], now: datetime) -> list[Gap]:
    """Return the gaps with neighbours of like age put together; what is missing stays the same, id by id.

    What is put together is as old as its youngest part: it is given up later, never sooner.
    """
    groups: list[_Group] = []
    for gap in sorted(gaps, key=lambda gap: gap.first_id):
        if not (groups and groups[-1].takes(gap, now)):
            groups.append(_Group(gap.seen_at, gap.seen_at))
        groups[-1].add(gap)
    return [group.joined() for group in groups]


def left_of(gap: Gap, present: Sequence[int]) -> list[Gap]:
    """Return what is left of a gap when the ids `present`, in order, are taken out; its age stays."""
    if gap.bits is None:
        return [
            replace(gap, first_id=first, last_id=last, number=None) for first, last in _without(gap, present)
        ]
    left = gap.bits
    for id_ in present:
        left &= ~(1 << (id_ - gap.first_id))
    return [replace(gap, number=None, bits=left)] if left else []


def cut(gap: Gap, last_id: int) -> list[Gap]:
    """Return what a gap has up to and with `last_id`."""
    if gap.first_id > last_id:
        return []
    bits = gap.bits if gap.bits is None else gap.bits & ((1 << (last_id - gap.first_id + 1)) - 1)
    return [] if bits == 0 else [replace(gap, last_id=min(gap.last_id, last_id), number=None, bits=bits)]


@dataclass(slots=True)
class _Group:
    oldest: datetime
    youngest: datetime
    gaps: list[Gap] = field(default_factory=list)

    def takes(self, gap: Gap, now: datetime) -> bool:
        if gap.first_id - self.gaps[-1].last_id > _NEAR or gap.last_id - self.gaps[0].first_id >= _WIDEST:
            return False
        oldest, youngest = min(self.oldest, gap.seen_at), max(self.youngest, gap.seen_at)
        return youngest - oldest <= max(_LIKE_AGE, (now - oldest) * _LIKE_SHARE)

    def add(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self.oldest, self.youngest = min(self.oldest, gap.seen_at), max(self.youngest, gap.seen_at)

    def joined(self) -> Gap:
        if len(self.gaps) == 1:
            return self.gaps[0]
        first, bits = self.gaps[0].first_id, 0
        for gap in self.gaps:
            inside = (1 << gap.width) - 1 if gap.bits is None else gap.bits
            bits |= inside << (gap.first_id - first)
        return Gap(first, self.gaps[-1].last_id, self.youngest, bits=bits)


def _without(gap: Gap, present: Sequence[int]) -> Iterator[tuple[int, int]]:
    edges = [gap.first_id - 1, *present, gap.last_id + 1]
    return ((before + 1, after - 1) for before, after in pairwise(edges) if after - before > 1)
