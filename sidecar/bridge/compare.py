"""A dead letter as it was sent beside what today's rule would send, line by line."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from sidecar.bridge.replay import Again, Replayed
from sidecar.model import Delivery
from sidecar.store import queue

# What is compared of each: the time for it grows faster than the lines.
_LONGEST_TEXT = 100_000
_MOST_LINES = 3_000


class Sign(StrEnum):
    """What a line of a comparison is."""

    SAME = "same"
    GONE = "gone"  # only in what was sent
    NEW = "new"  # only in what would be sent


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a comparison."""

    sign: Sign
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A dead letter as sent and as today's rule renders it; `refused`: why there is nothing to compare."""

    lines: Sequence[Line] = ()
    refused: Replayed | None = None

    @property
    def differs(self) -> bool:
        """Whether anything would be sent otherwise."""
        return any(line.sign is not Sign.SAME for line in self.lines)


def compare(letter: Row[Any], again: Again, *, now: datetime) -> Comparison:
    """Return how a letter, rendered again, would differ from what was sent: address, headers, payload."""
    made = again.render([letter], now=now)[letter.delivery_id]
    if isinstance(made, Replayed):
        return Comparison(refused=made)
    return Comparison(_differences(_written(queue.delivery_of(letter)), _written(made)))


def _written(delivery: Delivery) -> list[str]:
    """Return a delivery as lines; JSON is laid out, so that a change shows as the line that it is."""
    head = [f"{delivery.method} {delivery.endpoint}".strip()]
    head += [f"{name}: {value}" for name, value in sorted(delivery.headers.items())]
    if delivery.content_type:
        head.append(f"Content-Type: {delivery.content_type}")
    return [*head, "", *_laid_out(delivery.body or "").splitlines()][:_MOST_LINES]


def _laid_out(body: str) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body
    return text[:_LONGEST_TEXT]


def _differences(before: list[str], after: list[str]) -> list[Line]:
    lines: list[Line] = []
    for tag, first, last, from_, to in SequenceMatcher(None, before, after).get_opcodes():
        if tag == "equal":
            lines += [Line(Sign.SAME, text) for text in before[first:last]]
            continue
        lines += [Line(Sign.GONE, text) for text in before[first:last]]
        lines += [Line(Sign.NEW, text) for text in after[from_:to]]
    return lines
