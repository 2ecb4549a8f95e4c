"""Audit: who changed what, when and by which door."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from sqlalchemy import Row
from starlette.responses import Response

from sidecar.model import Outcome
from sidecar.store import audit
from sidecar.web.pages import fate_words
from sidecar.web.pages.asking import Asked
from sidecar.web.pages.languages import N_, Language
from sidecar.web.pages.page import Manage, Tab

router = APIRouter()

TAB = Tab(N_("Audit"), "/audit", "audit", "manage")

PAGE = 50
ACTIONS: Mapping[str, str] = {
    "service.create": N_("service made"),
    "service.change": N_("service changed"),
    "service.delete": N_("service deleted"),
    "service.enable": N_("service switched on"),
    "service.disable": N_("service switched off"),
    "service.pause": N_("service paused"),
    "service.resume": N_("service resumed"),
    "service.test": N_("service tested"),
    "circuit.reset": N_("circuit reset"),
    "rule.create": N_("rule made"),
    "rule.change": N_("rule changed"),
    "rule.delete": N_("rule deleted"),
    "rule.enable": N_("rule switched on"),
    "rule.disable": N_("rule switched off"),
    "delivery.retry": N_("delivery sent again"),
    "delivery.cancel": N_("delivery cancelled"),
    "queue.cancel": N_("waiting deliveries cancelled"),
    "queue.bury": N_("waiting deliveries given up"),
    "dead_letter.replay": N_("dead letters replayed"),
    "dead_letter.delete": N_("dead letters deleted"),
    "letter.edit": N_("payload of a dead letter edited"),
    "replay.create": N_("replay of past events started"),
    "replay.pause": N_("replay of past events paused"),
    "replay.resume": N_("replay of past events resumed"),
    "replay.cancel": N_("replay of past events cancelled"),
    "ledger.repair": N_("unaccounted rows repaired"),
    "cursor.set": N_("reading position moved"),
    "secret.set": N_("secret kept"),
    "secret.delete": N_("secret deleted"),
    "secret.rotate": N_("key of the secrets changed"),
    "user.add": N_("user added"),
    "user.password": N_("password changed"),
    "user.remove": N_("user removed"),
    "session.begin": N_("signed in"),
    "session.end": N_("signed out"),
    "session.refused": N_("sign-in refused"),
}
VIAS: Mapping[str, str] = {
    "dashboard": N_("dashboard"),
    "api": N_("API"),
    "command": N_("command"),
}
_PAGES = {"service": "/services/", "rule": "/rules/", "delivery": "/deliveries/"}


# What is written in English, piece by piece; names of options and filters stay as they are written.
_PIECES: Mapping[str, str] = {
    r"(?P<name>\S+) \(taken out\)": N_("%(name)s (taken out)"),
    r"(?P<name>\S+) \(secret\)": N_("%(name)s (secret)"),
    r"(?P<n>[\d,]+) waiting deliver(?:y|ies)": N_("waiting deliveries: %(n)s"),
    r"(?P<n>[\d,]+) waiting deliver(?:y|ies): park": N_("waiting deliveries: %(n)s, left waiting"),
    r"(?P<n>[\d,]+) waiting deliver(?:y|ies): cancel": N_("waiting deliveries: %(n)s, cancelled"),
    r"(?P<n>[\d,]+) waiting deliver(?:y|ies): bury": N_("waiting deliveries: %(n)s, made dead letters"),
    r"(?P<n>[\d,]+) dead letters?": N_("dead letters: %(n)s"),
    r"and (?P<n>[\d,]+) more": N_("and %(n)s more"),
    r"all": N_("all"),
    r"as sent": N_("as sent"),
    r"rendered again": N_("rendered again"),
    r"again": N_("again"),
    r"by the setup link": N_("by the setup link"),
    r"link": N_("link"),
    r"setup": N_("setup"),
    r"(?P<pace>[\d.]+) a second": N_("%(pace)s a second"),
    r"from (?P<address>\S+)": N_("from %(address)s"),
    r"from (?P<before>\d+) to (?P<after>\d+)": N_("from %(before)s to %(after)s"),
    r"ids (?P<ids>.+)": N_("ids %(ids)s"),
    r"log row (?P<id>\d+)": N_("row %(id)s"),
    r"log row (?P<id>\d+) and (?P<n>\d+) more": N_("row %(id)s and %(n)s more"),
    r"(?P<n>[\d,]+) secrets? sealed anew": N_("secrets sealed anew: %(n)s"),
    r"payload (?P<before>\w+ \(\d+ bytes\)) became (?P<after>\w+ \(\d+ bytes\))": N_(
        "payload %(before)s became %(after)s"
    ),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: its row, action, object and details in words, and the page of what was changed."""

    row: Row[Any]
    action: str
    via: str
    thing: str
    detail: str
    link: str | None


@router.get("/audit")
def show(page: Manage) -> Response:
    """Show the newest changes that match, or those before a number."""
    asked = Asked(page)
    before = asked.number("before")
    wanted = {"who": asked.text("who"), "action": asked.text("action"), "thing": asked.text("object")}
    since, until = asked.since(), asked.moment("until")
    rows: list[Row[Any]] = []
    if not asked.problems:
        with page.desk.store.read() as conn:
            found = audit.find(conn, **wanted, since=since, until=until, before=before, limit=PAGE + 1)
            rows = list(found[:PAGE])
    more = len(rows) == PAGE and len(found) > PAGE
    return page.show(
        "audit.html",
        status=422 if asked.problems else 200,
        asked=asked,
        entries=[_entry(page, row) for row in rows],
        narrowed=any(wanted.values()) or since is not None or until is not None,
        actions=_actions(page, asked),
        older=page.link(before=rows[-1].id) if more else None,
        newest=page.link(before=None) if before else None,
    )


def _entry(page: Manage, row: Row[Any]) -> Entry:
    action, via = ACTIONS.get(row.action), VIAS.get(row.via)
    kind, _, name = row.object.partition(" ")
    link = f"{_PAGES[kind]}{name}" if kind in _PAGES and name and not row.action.endswith(".delete") else None
    return Entry(
        row,
        page._(action) if action else row.action,
        page._(via) if via else row.via,
        in_words(page.language, row.object),
        in_words(page.language, row.detail or ""),
        link,
    )


def in_words(language: Language, text: str) -> str:
    """Return in a language what was written of a change; a piece that is not known stays as it is."""
    return ", ".join(_piece(language, one) for one in text.split(", "))


def _piece(language: Language, text: str) -> str:
    if text in tuple(Outcome):
        return language.say(fate_words.OUTCOMES[Outcome(text)][1])
    for pattern, words in _PIECES.items():
        if found := re.fullmatch(pattern, text):
            return language.say(words, **found.groupdict())
    return text


def _actions(page: Manage, asked: Asked) -> list[tuple[str, str]]:
    found = sorted(((code, page._(words)) for code, words in ACTIONS.items()), key=lambda one: one[1])
    other = asked["action"]
    return [("", page._("all")), *found, *([(other, other)] if other and other not in ACTIONS else [])]
