"""Work that stops where it waits for an answer, so that one thread can wait for several at once."""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

# What it yields is the number of the socket that will have the answer; gone on with, it waits for it itself.
Steps = Generator[int, None, T]


def finished(steps: Steps[T]) -> T:
    """Do all of it, and return what comes of it."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
