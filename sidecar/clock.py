"""What time it is: handed to every room, so that tests turn the hands themselves."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The two kinds of time: a date for people and tables, a stopwatch for durations."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a stopwatch that never goes back."""
        ...


class SystemClock:
    """The time of a database server, carried forward by this machine's stopwatch.

    All replicas of one store then agree on leases, and a step of this machine's own clock changes nothing.
    Until the first `set` it is this machine's time.
    """

    def __init__(self) -> None:
        self.set(datetime.now(UTC))

    def set(self, now: datetime) -> timedelta:
        """Adopt `now`; return by how much the hands moved."""
        before = self.now() if hasattr(self, "_anchor") else now
        self._anchor = (now, time.monotonic())
        return now - before

    def now(self) -> datetime:
        base, since = self._anchor
        return base + timedelta(seconds=time.monotonic() - since)

    def monotonic(self) -> float:
        return time.monotonic()


class FakeClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: datetime = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both hands forward (the date also back, with a negative figure)."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += max(seconds, 0)
