"""What came of one fault, as a line of the table and for scripts."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from subprocess import SubprocessError
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

_HEADINGS = ("fault", "database", "struck", "events", "delivered", "lost", "twice", "seconds", "verdict")
_WIDTHS = (46, 10, 6, 7, 9, 5, 5, 7, 0)

EXPECTED = (SQLAlchemyError, SubprocessError, AssertionError, OSError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fault on one database: `struck` is how often it happened, `events` how many rows were owed."""

    fault: str
    database: str
    struck: int = 0
    events: int = 0
    delivered: int = 0
    lost: int = 0
    twice: int = 0
    seconds: float = 0.0
    verdict: str = "ok"
    notes: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether the promise held; what could not be tried here has broken none."""
        return self.verdict == "ok" or self.verdict.startswith("not tried")

    @property
    def line(self) -> str:
        """The line of the table."""
        figures = (self.struck, self.events, self.delivered, self.lost, self.twice)
        cells = (self.fault, self.database, *(f"{n:,}" for n in figures), f"{self.seconds:.1f}", self.verdict)
        said = "".join(f"\n    {note}" for note in self.notes)
        return _line(cells) + said

    def view(self) -> dict[str, Any]:
        """Return it as scripts read it."""
        return asdict(self)


def heading() -> str:
    """Return the table's first line."""
    return _line(_HEADINGS)


def _line(cells: Iterable[str]) -> str:
    shown = (
        cell.ljust(width) if number < 2 or not width else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return "  ".join(shown).rstrip()
