"""The verdict on how things stand, in a page's language, each remark with where to go and how to mend it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from markupsafe import Markup

from sidecar.model import Level
from sidecar.store import sentences
from sidecar.store.verdict import Remark, Verdict
from sidecar.web.pages.formats import filters
from sidecar.web.pages.languages import N_, Language

# A level's badge and its words.
LEVELS: Mapping[Level, tuple[str, str]] = {
    Level.WELL: ("ok", N_("All is well")),
    Level.UNKNOWN: ("off", N_("Not known")),
    Level.ATTENTION: ("warn", N_("It works, but something needs you")),
    Level.ILL: ("bad", N_("Something is not read or not delivered")),
}
_GIST = {Level.WELL: "ok", Level.UNKNOWN: "off", Level.ATTENTION: "warn", Level.ILL: "bad"}
# What a terminal has where a page has a link.
_LINKED = ": `mih dlq list`"
# Where a remark leads, by the beginning of its code.
_PLACES: Mapping[str, tuple[str, str]] = {
    "process": ("/about", N_("Look at the processes")),
    "tail": ("/events", N_("Look at Moodle's log")),
    "dead": ("/dead-letters", N_("Look at the dead letters")),
}


class PageTongue:
    """A language for `sentences.say`. What it says is markup: names are escaped as they are put in."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._shapes = filters(language.locale)

    def choose(self, one: str, many: str, n: int) -> str:
        """Return the translated text for this number."""
        texts = self._language.texts
        said = texts.ngettext(one, many, n) if many else texts.gettext(one)
        return _with_commands(said.removesuffix(_LINKED))

    def number(self, value: int) -> str:
        """Return a number as people write it."""
        return str(self._shapes["number"](value))

    def moment(self, value: datetime, now: datetime) -> str:
        """Return a <time>: of today hours and minutes, else the day, too."""
        found: str = self._shapes["clock" if value.date() == now.date() else "moment"](value)
        return found

    def told(self, text: str) -> str:
        """Return what was said deeper down."""
        return self._language.tell(text)

    def length(self, seconds: float) -> str:
        """Return a length of time."""
        return str(self._shapes["duration"](seconds))


def _with_commands(text: str) -> Markup:
    """Return a text as markup; what stands between backticks is a command."""
    pieces = enumerate(text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(one) if at % 2 else one for at, one in pieces)


@dataclass(frozen=True, slots=True)
class Said:
    """One remark as it is shown: its badge, its sentence, how to mend it, and a link."""

    look: str
    text: str
    remedy: str | None
    link: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Spoken:
    """The whole verdict. `gist` changes when something else is true, not whenever a figure does."""

    level: Level
    remarks: tuple[Said, ...]
    gist: str

    @property
    def look(self) -> str:
        """The badge of all of it."""
        return LEVELS[self.level][0]

    @property
    def words(self) -> str:
        """The words of all of it, to be translated."""
        return LEVELS[self.level][1]


def spoken(verdict: Verdict, language: Language) -> Spoken:
    """Return the verdict in words."""
    tongue = PageTongue(language)
    said = tuple(_said(remark, verdict.at, tongue, language) for remark in verdict.remarks)
    return Spoken(verdict.level, said, _gist(verdict))


def _said(remark: Remark, now: datetime, tongue: PageTongue, language: Language) -> Said:
    place = _place(remark)
    link = (place[0], language.say(place[1])) if place else None
    text = sentences.say(remark, now, tongue)
    return Said(_GIST[remark.level], text, sentences.remedy(remark, tongue), link)


def _place(remark: Remark) -> tuple[str, str] | None:
    kind, params = remark.code.partition(".")[0], remark.params
    if kind in ("service", "rule") and (name := params.get("service") or params.get("name")):
        words = N_("To the service") if kind == "service" else N_("To the rule")
        return f"/{kind}s/{quote(str(name), safe='')}", words
    return _PLACES.get(kind)


def _gist(verdict: Verdict) -> str:
    return hashlib.sha256("\n".join(_kinds(verdict)).encode()).hexdigest()[:16]


def _kinds(verdict: Verdict) -> Iterator[str]:
    for remark in verdict.remarks:
        name = remark.params.get("service") or remark.params.get("name") or ""
        yield f"{remark.level} {remark.code} {name}"
