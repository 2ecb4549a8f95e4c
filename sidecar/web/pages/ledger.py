"""The ledger: is anything missing? Hours by rules, every row of Moodle's log accounted for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from fastapi import APIRouter
from starlette.responses import Response

from sidecar.bridge.account import HELD, Became, Ledger, Line
from sidecar.bridge.ledger import Asked as Wanted
from sidecar.bridge.ledger import ledger
from sidecar.bridge.repair import repair
from sidecar.bridge.sources import Sources
from sidecar.store.faults import blame
from sidecar.web.pages.asking import SPANS, Asked
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Manage, Page, Tab, View

router = APIRouter()

TAB = Tab(N_("Ledger"), "/ledger", "ledger")

# Seconds that a page may take; longer looks are for `mih ledger`.
_LONGEST_S = 8.0
_MOST_NAMED = 100
_USUAL = "1h"
_WAITING = (Became.PENDING, Became.PARKED, Became.AHEAD, Became.GAP)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one rule's rows of one hour came to, in the four figures that people ask for."""

    line: Line

    @property
    def delivered(self) -> int:
        """Rows whose delivery has arrived, or is known by count only."""
        return self._of(Became.DELIVERED, Became.COUNTED)

    @property
    def waiting(self) -> int:
        """Rows that are on their way."""
        return self._of(*_WAITING)

    @property
    def held(self) -> int:
        """Rows that the rule does not want, or only looks at."""
        return self._of(*HELD, Became.SHADOW)

    @property
    def given_up(self) -> int:
        """Rows whose delivery is a dead letter or was cancelled."""
        return self._of(Became.DEAD, Became.CANCELLED)

    @property
    def missing(self) -> int:
        """Rows that nobody can account for."""
        return self._of(Became.MISSING)

    def _of(self, *kinds: Became) -> int:
        return sum(self.line.counts.get(kind, 0) for kind in kinds)


@router.get("/ledger")
def show(page: View) -> Response:
    """Read Moodle's log again, and show what became of its rows."""
    asked = Asked(page)
    found = _taken(page, asked["within"], asked["rule"])
    return page.show(
        "ledger.html",
        found=found,
        cells=[Cell(line) for line in reversed(found.lines)],
        named=found.missing[:_MOST_NAMED],
        within=_within(asked["within"]),
        spans=[choice for choice in asked.spans() if choice[0]],
        rule=asked["rule"],
        rules=asked.names("rule", _rules(page)),
    )


@router.post("/ledger/repair")
def mend(page: Manage) -> Response:
    """Queue what is missing."""
    found = _taken(page, page.text("within"), page.text("rule"))
    done = repair(_sources(page), page.desk.book, found.missing, page.author)
    page.desk.wake()
    text = page.ngettext("%(n)s row was queued.", "%(n)s rows were queued.", done.queued)
    if done.left:
        left = page.ngettext(
            "%(n)s row was left: today's rules do not want it, or it is gone.",
            "%(n)s rows were left: today's rules do not want them, or they are gone.",
            len(done.left),
        )
        text = f"{text} {left}"
    return page.back("/ledger", text, kind="warning" if done.left else "success")


def _taken(page: Page, within: str, rule: str) -> Ledger:
    known = rule if rule in _rules(page) else None
    asked = Wanted(page.now - _span(within), None, known, _LONGEST_S)
    with blame(f"moodle.url ({page.desk.moodle.shown})"):
        return ledger(_sources(page), asked)


def _within(given: str) -> str:
    return given if given in SPANS else _USUAL


def _span(given: str) -> timedelta:
    return SPANS[_within(given)]


def _rules(page: Page) -> Sequence[str]:
    return [one.rule.name for one in page.desk.book.all]


def _sources(page: Page) -> Sources:
    desk = page.desk
    return Sources(desk.moodle, desk.store, desk.log, desk.settings, desk.clock)
