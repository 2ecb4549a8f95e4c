"""The rate limit of a service: requests get moments, evenly spaced, shared out among all processes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

# How far ahead moments are given out. What waits for one is in a process's hands, so not far.
AHEAD_S = 1.0
# Who has just taken some asks so much later than the others: else the same process might always be first.
_TURN_S = 0.1
# How late a moment may be used; later it would add to somebody else's: of ten a second twelve then go out
# within 0.95 s at worst.
_LATE_S = 0.15


@dataclass(frozen=True, slots=True)
class Slots:
    """The next free moments to send at: `count` of them, `every_s` apart, beginning with `first`."""

    first: datetime
    every_s: float
    count: int

    def moment(self, number: int) -> datetime:
        """Return the moment of the request with this number, from 0."""
        return self.first + timedelta(seconds=self.every_s * number)

    @property
    def late_s(self) -> float:
        """Seconds after which a moment is void: else what a stall held up would go out all at once."""
        return max(_LATE_S, self.every_s / 2)

    def again_after(self, taken: int) -> datetime:
        """Return when it is worth asking again after that many were taken: moments are given in batches."""
        turn_s = _TURN_S if taken else 0.0
        return self.moment(taken) - timedelta(seconds=AHEAD_S / 2 - turn_s)


def free_slots(
    next_at: datetime | None, rate: float, *, now: datetime, most: int, ahead_s: float = AHEAD_S
) -> Slots:
    """Return the slots that may be taken now, at most `most`, none of them more than `ahead_s` ahead.

    `next_at` is the first moment that nobody has taken, None if nobody ever took one. A moment that passed
    without a request is lost: what a service is spared at one time does not come upon it at another.
    """
    every_s = 1 / rate
    first = now if next_at is None or _impossible(next_at, every_s, now) else max(next_at, now)
    left_s = ahead_s - (first - now).total_seconds()
    count = int(left_s / every_s) + 1 if left_s >= 0 else 0
    return Slots(first, every_s, min(count, most))


def _impossible(next_at: datetime, every_s: float, now: datetime) -> bool:
    """Whether nobody can have taken moments that far ahead: the limit was lower then, or the clock wrong."""
    return next_at > now + timedelta(seconds=AHEAD_S + every_s)
