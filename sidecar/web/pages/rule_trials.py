"""A rule tried: what it makes of one row of the log, and how often it would have matched lately."""

import threading
from dataclasses import dataclass
from datetime import timedelta

from starlette.responses import Response

from sidecar.bridge.history import Bounds, history, last
from sidecar.bridge.match import CompiledRule
from sidecar.bridge.preview import Preview, find_event, preview
from sidecar.errors import DatabaseUnavailable
from sidecar.store.find import known
from sidecar.web.desk import Desk
from sidecar.web.pages import rule_words
from sidecar.web.pages.page import Page
from sidecar.web.pages.rule_form import RuleForm

_LARGEST_ID = 2**63 - 1
LONGEST_BODY = 100_000
_DAYS = 7
_SECONDS = (8.0, 30.0)
# Each reads the log for seconds: a few of them are enough for everybody.
_looks = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class Row:
    """A row that somebody chose, None: the newest; or why it cannot be one."""

    log_id: int | None = None
    problem: bool = False


def of_book(desk: Desk, name: str) -> CompiledRule:
    """Return a rule in force. Raises NotFound."""
    rules = {item.rule.name: item for item in desk.book.all}
    return rules[known(name, rules, "rule")]


def show_preview(
    page: Page,
    compiled: CompiledRule,
    log_id: str,
    *,
    name: str = "",
    typing: bool = False,
    form: RuleForm | None = None,
) -> Response:
    """Return what a rule makes of a row: a part for htmx, a page for everybody else."""
    found, problems = tried(page, compiled, log_id)
    template = "rule_preview.html" if page.is_part else "rule_preview_page.html"
    return page.show(
        template,
        found=found,
        problems=problems,
        typing=typing,
        name=name,
        form=form,
        log_id=log_id,
        words=rule_words,
        longest=LONGEST_BODY,
    )


def show_history(page: Page, compiled: CompiledRule, seconds: float, *, name: str = "") -> Response:
    """Return how often a rule would have matched, as far as it got in time, or that others are looking."""
    allowed = _SECONDS[-1] if seconds >= _SECONDS[-1] else _SECONDS[0]
    template = "rule_history.html" if page.is_part else "rule_history_page.html"
    if not _looks.acquire(blocking=False):
        return page.show(template, found=None, problems={}, busy=True, name=name, words=rule_words)
    try:
        bounds = Bounds(span=timedelta(days=_DAYS), seconds=allowed)
        desk = page.desk
        with desk.reading() as conn:
            found = last(
                history(conn, desk.settings, compiled, log=desk.log, clock=desk.clock, bounds=bounds)
            )
    finally:
        _looks.release()
    series, hours = rule_words.charted(rule_words.LOOKED, found.hours)
    longer = _SECONDS[-1] if allowed < _SECONDS[-1] else None
    return page.show(
        template,
        found=found,
        series=[page._(text) for text in series],
        hours=hours,
        problems={},
        busy=False,
        name=name,
        longer=longer,
        words=rule_words,
    )


def tried(page: Page, compiled: CompiledRule, log_id: str) -> tuple[Preview | None, dict[str, str]]:
    """Return what a rule makes of a row, or why it cannot be tried."""
    row = _row(log_id)
    if row.problem:
        return None, {"log_id": page._("Write the id of a row of Moodle's log: a whole number.")}
    try:
        return _previewed(page.desk, compiled, row.log_id), {}
    except DatabaseUnavailable as error:
        return None, {"log_id": page.told(error.text)}


def _previewed(desk: Desk, compiled: CompiledRule, log_id: int | None) -> Preview:
    with desk.reading() as conn:
        event = find_event(conn, desk.log, compiled.rule, log_id)
        return preview(conn, desk.settings, compiled, event, clock=desk.clock)


def _row(log_id: str) -> Row:
    if not log_id.strip():
        return Row()
    number = int(figure(log_id.strip(), 0))
    return Row(number) if 0 < number <= _LARGEST_ID else Row(problem=True)


def figure(text: str, default: float) -> float:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else default
