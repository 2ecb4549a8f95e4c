"""Events: Moodle's log as it is decoded, and what the rules made of each row."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from sidecar.bridge.browse import Wanted, browse, interests
from sidecar.bridge.preview import preview
from sidecar.errors import DatabaseUnavailable, NotFound
from sidecar.model import Event
from sidecar.moodle.catalogue import EventKind
from sidecar.moodle.decode import decode, mask
from sidecar.web.ask import Number
from sidecar.web.desk import Desk
from sidecar.web.fault import Fault
from sidecar.web.pages import rule_words
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Page, Tab, View
from sidecar.web.pages.rule_words import Opinion

router = APIRouter()

TAB = Tab(N_("Events"), "/events", "events")

_A_PAGE = 50
_LARGEST = 2**63 - 1
_LATEST_S = 253_402_300_799
# Whose doing it was, and what of it is about people.
_PERSONAL = ("userid", "relateduserid", "realuserid", "ip", "other")
_FIELDS = ("event", "user", "course", "since", "until")


@router.get("/events")
def events(
    page: View,
    *,
    event: str = "",
    user: str = "",
    course: str = "",
    since: str = "",
    until: str = "",
    row: str = "",
    before: str = "",
) -> Response:
    """Show the newest rows that match, or those before one."""
    typed = {
        "event": event.strip(),
        "user": user,
        "course": course,
        "since": since,
        "until": until,
        "row": row,
    }
    if user and not page.may("manage"):
        raise Fault(
            403,
            "forbidden",
            page._("What a user did is personal data: this needs the role manage."),
            page._("Leave the user away."),
        )
    problems: dict[str, str] = {}
    wanted = _wanted(page, typed, problems)
    number, below = _number(page, "row", row, problems), _number(page, "before", before, problems)
    if number is not None and not problems:
        return RedirectResponse(f"/events/{number}", 303)
    common: dict[str, Any] = {
        "typed": typed,
        "problems": problems,
        "words": rule_words,
        "kind": EventKind.of,
        "moment": moment,
    }
    if problems:
        return page.show("events.html", status=422, rows=[], found=None, away="", **common)
    desk = page.desk
    try:
        with desk.reading() as conn:
            found = browse(conn, desk.log, wanted, clock=desk.clock, before=below, limit=_A_PAGE)
    except DatabaseUnavailable as error:
        # The rest of the dashboard does without Moodle's database: people can look elsewhere.
        return page.show("events.html", rows=[], found=None, away=page.told(error.text), **common)
    with desk.store.read() as conn:
        concerned = interests(conn, desk.book, found.events)
    rows = [(_visible(page, one), concerned[one.id]) for one in found.events]
    older = page.link(before=found.next) if found.next is not None else None
    newest = page.link(before=None) if below is not None else None
    return page.show("events.html", rows=rows, found=found, away="", older=older, newest=newest, **common)


@router.get("/events/{number}")
def show_event(page: View, number: Number) -> Response:
    """Show one row of the log, with each rule's verdict and what became of it."""
    try:
        return _shown(page, number)
    except DatabaseUnavailable as error:
        common: dict[str, Any] = {"typed": dict.fromkeys((*_FIELDS, "row"), ""), "problems": {}}
        return page.show("events.html", rows=[], found=None, away=page.told(error.text), **common)


def _shown(page: Page, number: int) -> Response:
    desk = page.desk
    with desk.reading() as conn:
        row = desk.log.row(conn, number)
        if row is None:
            raise NotFound(page._("There is no row %(id)s in Moodle's log, or it was cleaned up.", id=number))
        raw = decode(row)
        around = (desk.log.last_id(conn, number - 1), desk.log.next_id(conn, number))
    event = mask(raw) if raw.anonymous else raw
    with desk.store.read() as conn:
        concerned = interests(conn, desk.book, [event])[event.id]
    return page.show(
        "event.html",
        event=_visible(page, event),
        kind=EventKind.of(event.eventname),
        at=moment(event),
        columns=_columns(page, event),
        other=json.dumps(event.other, ensure_ascii=False, indent=2) if page.may("manage") else "",
        opinions=_opinions(desk, raw, concerned),
        others=len(desk.book.all) - sum(1 for one in concerned if one.state != "gone"),
        around=around,
        words=rule_words,
    )


def moment(event: Event) -> datetime | None:
    """Return when a row was created; broken rows have stranger times than a clock can show."""
    seconds = event.timecreated
    return datetime.fromtimestamp(seconds, UTC) if 0 <= (seconds or 0) <= _LATEST_S else None


def _visible(page: Page, event: Event) -> Event:
    return event if page.may("manage") else replace(mask(event), other=None)


def _columns(page: Page, event: Event) -> list[tuple[str, Any]]:
    """Return the columns that are not shown elsewhere on the page; persons for manage only."""
    hidden = {"id", "eventname", "timecreated", "other", "other_problem"}
    if not page.may("manage"):
        hidden |= set(_PERSONAL)
    return [(one.name, getattr(event, one.name)) for one in fields(event) if one.name not in hidden]


def _opinions(desk: Desk, event: Event, concerned: Any) -> list[Opinion]:
    """Return what every rule that wants the event makes of it today."""
    rules = {item.rule.name: item for item in desk.book.all}
    with desk.reading() as conn:
        return [
            Opinion(
                one,
                preview(conn, desk.settings, rules[one.rule], event, clock=desk.clock)
                if one.rule in rules
                else None,
            )
            for one in concerned
        ]


def _wanted(page: Page, typed: dict[str, str], problems: dict[str, str]) -> Wanted:
    if len(typed["event"]) > 255 or "\0" in typed["event"]:
        problems["event"] = page._("Names of events have 255 characters at most.")
    return Wanted(
        event=typed["event"] or None,
        user=_number(page, "user", typed["user"], problems),
        course=_number(page, "course", typed["course"], problems),
        since=_moment(page, "since", typed["since"], problems),
        until=_moment(page, "until", typed["until"], problems),
    )


def _number(page: Page, name: str, text: str, problems: dict[str, str]) -> int | None:
    text = text.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST:
        return int(text)
    problems[name] = page._("Write a whole number, such as 42.")
    return None


def _moment(page: Page, name: str, text: str, problems: dict[str, str]) -> datetime | None:
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        problems[name] = page._("Write a time such as 2026-03-02 14:00; it is UTC.")
        return None
