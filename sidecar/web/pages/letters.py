"""Dead letters: what was given up and why, one with all that explains it, and what can be done about it."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Row
from starlette.responses import Response

from sidecar.bridge.compare import Comparison, Line, Sign, compare
from sidecar.bridge.letters import BadPayload, advice, edit, groups
from sidecar.bridge.replay import NEVER_RENDERED, Fate, Replayed, discard, replay
from sidecar.model import DeadReason
from sidecar.store import deliveries, pile
from sidecar.store.find import find_letter
from sidecar.store.search import Found
from sidecar.web.ask import Key
from sidecar.web.pages import bulk, fate_words
from sidecar.web.pages.asking import Asked
from sidecar.web.pages.jobs import jobs_of
from sidecar.web.pages.languages import N_
from sidecar.web.pages.layout import laid_out, text_of
from sidecar.web.pages.page import Manage, Page, Tab, View
from sidecar.web.pages.tale import headers_of

router = APIRouter()
router.include_router(bulk.router)  # first: its paths look like keys

TAB = Tab(N_("Dead letters"), "/dead-letters", "letters")

PAGE = 50
_LEFT_IN = 3  # lines of a comparison around each change


@router.get("/dead-letters")
def show_list(page: View) -> Response:
    """Show the groups, and the newest that match or those before a number."""
    asked = Asked(page)
    choice, before = bulk.choice_of(asked), asked.number("before")
    with page.desk.store.read() as conn:
        found = Found((), None) if asked.problems else pile.search(conn, choice, before=before, limit=PAGE)
        kinds = groups(conn) if before is None else []
    services = asked.names("service", page.desk.settings.services)
    return page.show(
        "letters.html",
        status=422 if asked.problems else 200,
        asked=asked,
        rows=found.rows,
        kinds=kinds,
        narrowed=choice != pile.Choice(),
        more_filters=any(asked[name] for name in ("event", "log_id", "status", "since", "until")),
        all_of_them=bulk.address("/dead-letters/bulk", choice),
        running=[(one, bulk.job_address(one.job)) for one in jobs_of(page.request).running()],
        older=page.link(before=found.next) if found.next else None,
        newest=page.link(before=None) if before else None,
        services=services,
        rules=asked.names("rule", (rule.name for rule in page.desk.settings.rules)),
        reasons=[("", page._("all")), *((one, page._(fate_words.REASONS[one][0])) for one in DeadReason)],
        words=fate_words,
        address=bulk.address,
    )


@router.get("/dead-letters/{key}")
def show_one(page: View, key: Key) -> Response:
    """Show why one was given up, and to `manage` what was sent and answered."""
    may = page.may("manage")
    with page.desk.store.read() as conn:
        row = find_letter(conn, key)
        number = deliveries.numbers(conn, [row.delivery_id]).get(row.delivery_id)
    return page.show(
        "letter.html",
        row=row,
        number=number,
        reason=DeadReason(row.reason),
        advice=advice(DeadReason(row.reason), row.status),
        bare=row.reason in NEVER_RENDERED,
        payload=text_of(row.payload) if may else None,
        headers=headers_of(row) if may else (),
        response=row.response if may else None,
        event_row=_event_row(row) if may else None,
        words=fate_words,
    )


@router.get("/dead-letters/{key}/comparison")
def show_comparison(page: Manage, key: Key) -> Response:
    """Show what today's rule would send beside what was sent, and offer both."""
    row = _letter(page, key)
    found = compare(row, page.desk.again(), now=page.now)
    return page.show(
        "letter_comparison.html",
        row=row,
        found=found,
        lines=_abridged(found),
        bare=row.reason in NEVER_RENDERED,
        words=fate_words,
    )


@router.post("/dead-letters/{key}/replay")
def replay_one(page: Manage, key: Key) -> Response:
    """Send it again, as it was or, with `how` rendered, as today's rule makes it."""
    row = _letter(page, key)
    again = page.desk.again() if page.text("how") == "rendered" else None
    done = replay(page.desk.store, [row], now=page.now, again=again, by=page.author)[0]
    if done.fate is not Fate.REPLAYED:
        return page.back(f"/dead-letters/{row.delivery_id}", _why_not(page, done), kind="warning")
    page.desk.wake()
    return page.back(f"/deliveries/{row.delivery_id}", page._("It is in the queue again."))


@router.post("/dead-letters/{key}/delete")
def delete_one(page: Manage, key: Key) -> Response:
    """Delete it and cancel its delivery."""
    row = _letter(page, key)
    discard(page.desk.store, [row], now=page.now, by=page.author)
    return page.back("/dead-letters", page._("The dead letter is deleted, its delivery cancelled."))


@router.get("/dead-letters/{key}/edit")
def show_edit(page: Manage, key: Key) -> Response:
    """Show its payload in a form."""
    row = _letter(page, key)
    if row.payload is None or row.reason in NEVER_RENDERED:
        said = page._("It was never rendered, so it has no payload: mend its rule and render it again.")
        return page.back(f"/dead-letters/{row.delivery_id}", said, kind="warning")
    return _form(page, row, laid_out(row.payload) or row.payload)


@router.post("/dead-letters/{key}/edit")
def save_edit(page: Manage, key: Key) -> Response:
    """Give it the payload of the form, unless that cannot be sent."""
    row = _letter(page, key)
    payload = _typed(page, row)
    before = row.payload or ""
    if payload in {before, laid_out(before)}:
        return page.back(f"/dead-letters/{row.delivery_id}", page._("Nothing was changed."), kind="warning")
    try:
        edit(
            page.desk.store,
            row.delivery_id,
            payload,
            services=page.desk.settings.services,
            by=page.author,
            now=page.now,
        )
    except BadPayload as error:
        return _form(page, row, payload, problem=page.told(error.text))
    said = page._("The payload is changed. “Replay as sent” sends the new one.")
    return page.back(f"/dead-letters/{row.delivery_id}", said)


def _letter(page: Page, key: str) -> Row[Any]:
    with page.desk.store.read() as conn:
        return find_letter(conn, key)


def _form(page: Page, row: Row[Any], payload: str, *, problem: str = "") -> Response:
    status = 422 if problem else 200
    return page.show("letter_edit.html", status=status, row=row, payload=payload, problem=problem)


def _typed(page: Page, row: Row[Any]) -> str:
    """Return what was typed; browsers write every end of a line as two characters."""
    value = page.form.get("payload", "")
    text = value if isinstance(value, str) else ""
    return text if "\r\n" in (row.payload or "") else text.replace("\r\n", "\n")


def _why_not(page: Page, done: Replayed) -> str:
    why = page._(fate_words.FATES[done.fate])
    return f"{why} {page.told(done.detail)}" if done.fate is Fate.STILL_FAILS and done.detail else why


def _event_row(row: Row[Any]) -> str | None:
    return json.dumps(json.loads(row.event_row), indent=2, ensure_ascii=False) if row.event_row else None


def _abridged(found: Comparison) -> Sequence[Line | None]:
    """Return the lines near a change; None stands for those that were left out."""
    near: set[int] = set()
    for number, line in enumerate(found.lines):
        if line.sign is not Sign.SAME:
            near |= set(range(number - _LEFT_IN, number + _LEFT_IN + 1))
    lines: list[Line | None] = []
    for number, line in enumerate(found.lines):
        if number in near:
            lines.append(line)
        elif not lines or lines[-1] is not None:
            lines.append(None)
    return lines
