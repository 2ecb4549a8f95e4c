"""Why something is not made, changed or removed; each says where, what and how to mend."""

from collections.abc import Sequence

from sidecar.errors import HubError, said, together
from sidecar.settings import Problem


class BadDefinition(HubError):
    """The service or rule is not as it must be. Carries all problems, each with its place within it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(
            together(
                said("%(place)s: %(text)s", place=one.place, text=one.text) if one.place else one.text
                for one in problems
            )
        )
        self.problems = tuple(problems)


class Conflict(HubError):
    """It cannot be done now: somebody else was there before, or something else stands in the way."""


class StillWaiting(Conflict):
    """Deliveries wait: say what shall become of them. `count` is how many."""

    def __init__(self, text: str, count: int) -> None:
        super().__init__(text)
        self.count = count
