"""What senders of one service take their work out of: one thing, or what fits together with it."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """Many threads take out of it, each through a `Reader` of its own."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[T | None] = SimpleQueue()

    def put(self, thing: T | None) -> None:
        """Put something in; None ends one reader, after all that was put in before."""
        self._waiting.put(thing)

    def reader(self) -> "Reader[T]":
        """Return the way out for one thread."""
        return Reader(self._waiting)


class Reader(Generic[T]):
    """One thread's way out. What it has looked at and not wanted yet is its own next thing."""

    def __init__(self, waiting: SimpleQueue[T | None]) -> None:
        self._waiting = waiting
        self._kept: list[T | None] = []

    def get(self) -> T | None:
        """Return the next thing, as soon as there is one; None: it is over."""
        return self._kept.pop() if self._kept else self._waiting.get()

    def put_back(self, things: Iterable[T]) -> None:
        """Let others have what was taken out too much."""
        for thing in things:
            self._waiting.put(thing)

    def rest(self) -> list[T]:
        """Take out all that is there; what ends other readers stays."""
        found: list[T] = []
        ends = 0
        with suppress(Empty):
            while True:
                thing = self._waiting.get_nowait()
                if thing is None:
                    ends += 1
                else:
                    found.append(thing)
        for _ in range(ends):
            self._waiting.put(None)
        return found

    @property
    def keeps(self) -> bool:
        """Whether there is something that nobody else can get."""
        return bool(self._kept)

    def more(self, fits: Callable[[T], bool], most: int) -> list[T]:
        """Return what is there right now, at most so many, up to the first that does not fit."""
        found: list[T] = []
        while len(found) < most and not self._kept:
            try:
                thing = self._waiting.get_nowait()
            except Empty:
                break
            if thing is not None and fits(thing):
                found.append(thing)
            else:
                self._kept.append(thing)
        return found
