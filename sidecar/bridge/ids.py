"""Ids of log rows as people write them: 1,2,5-9."""

import re
from collections.abc import Iterable, Iterator, Sequence

from sidecar.moodle.missing import Range

_PART = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?", re.ASCII)
_LONGEST = 100_000  # characters


def ranges_of(text: str) -> list[Range]:
    """Return the ranges that a text means, in order and joined. Raises ValueError with what is wrong."""
    if len(text) > _LONGEST:
        raise ValueError(f"it has more than {_LONGEST:,} characters: name a range, from and to")
    found = [_range(part.strip()) for part in text.split(",")]
    return list(_joined(sorted(found)))


def text_of(ranges: Iterable[Range]) -> str:
    """Return ranges as they are written."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def after(ranges: Iterable[Range], position: int) -> list[Range]:
    """Return what of the ranges lies above `position`."""
    return [(max(first, position + 1), last) for first, last in ranges if last > position]


def total(ranges: Sequence[Range]) -> int:
    """Return how many ids there are."""
    return sum(last - first + 1 for first, last in ranges)


def _range(part: str) -> Range:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f'"{part}" is no id and no range: write ids such as 1,2,5-9')
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f'"{part}" ends before it begins')
    return first, last


def _joined(ranges: Iterable[Range]) -> Iterator[Range]:
    at: Range | None = None
    for first, last in ranges:
        if at is not None and first <= at[1] + 1:
            at = at[0], max(at[1], last)
            continue
        if at is not None:
            yield at
        at = first, last
    if at is not None:
        yield at
