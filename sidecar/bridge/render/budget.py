"""What one rendering may spend: steps, characters and processor time, so that no template can hang us."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from sidecar.errors import TemplateError, said

MAX_SIZE = 1_048_576  # characters that come out at most
MAX_STEPS = 100_000  # loop rounds, calls and filters
MAX_SECONDS = 5.0  # of this thread's processor time: a busy machine harms no honest template
MAX_BITS = 4096  # of a whole number
_TEMPORARY = 8  # times the size that may come out, for all values made on the way
_COUNTED = 1 << 26


class PayloadTooLarge(TemplateError):
    """What the template renders to is longer than allowed."""


class Overrun(Exception):
    """The template wants more than one rendering may spend."""


class Budget:
    """Counts down while one template renders. One thread, one rendering."""

    __slots__ = ("_deadline", "_room", "_steps")

    def __init__(self, max_size: int = MAX_SIZE) -> None:
        self._steps = MAX_STEPS
        self._room = _TEMPORARY * max(max_size, MAX_SIZE)
        self._deadline: float | None = None

    def step(self) -> None:
        """Count one round of a loop, one call or one filter."""
        self._steps -= 1
        if self._steps < 0:
            raise Overrun(
                said("more than %(n)s loop rounds, calls and filters in one rendering", n=f"{MAX_STEPS:,}")
            )
        now = time.thread_time()
        if self._deadline is None:
            self._deadline = now + MAX_SECONDS
        elif now > self._deadline:
            raise Overrun(said("more than %(n)s seconds of computing in one rendering", n=f"{MAX_SECONDS:g}"))

    def take(self, size: int) -> None:
        """Count characters, or entries of lists, before or just after they are made."""
        self._room -= size
        if self._room < 0:
            raise Overrun(said("its values are too large together"))

    def each(self, items: Iterable[Any], weight: int = 0) -> Iterator[Any]:
        """Pass items on and count them; `weight` is what every round writes by itself."""
        for item in items:
            self.step()
            self.take(weight)
            yield item


def size(value: object) -> int:
    """Return how much a value counts: characters of texts, eight for each entry of a list, to the leaves.

    An entry that is there twice counts twice, as it takes that long to compare or write: a few lists of lists
    would otherwise hold more than any machine can write. Stops counting where nobody can afford it.
    """
    if isinstance(value, str):
        return len(value)
    total, rest = 0, [value]
    while rest and total <= _COUNTED:
        entry = rest.pop()
        if isinstance(entry, str):
            total += len(entry)
        elif isinstance(entry, list | tuple | dict):
            total += 8 * (len(entry) + 1)
            if total <= _COUNTED:
                rest.extend(entry)
                rest.extend(entry.values() if isinstance(entry, dict) else ())
    return total
