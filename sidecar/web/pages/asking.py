"""What a form that narrows a list asks for, and what makes no sense in it."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Page

Word = TypeVar("Word", bound=StrEnum)

_LARGEST = 2**63 - 1
_MOST_DIGITS = 19
_LONGEST = 255

SPANS: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
SPAN_WORDS: Mapping[str, str] = {
    "": N_("at any time"),
    "1h": N_("in the last hour"),
    "24h": N_("in the last 24 hours"),
    "7d": N_("in the last 7 days"),
    "30d": N_("in the last 30 days"),
}


class Asked:
    """The fields of a form or an address; `problems` has what has to be mended, by field."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._given = {
            **page.request.query_params,
            **{k: v for k, v in page.form.items() if isinstance(v, str)},
        }
        self.problems: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        return self._given.get(name, "").strip()

    def problem(self, name: str) -> str:
        """Return what is wrong with a field, for its place in the form."""
        return self.problems.get(name, "")

    def text(self, name: str) -> str | None:
        """Return a text, None where there is none."""
        value = self[name]
        if len(value) > _LONGEST or "\0" in value:
            self.problems[name] = self._page._("At most %(n)s characters.", n=_LONGEST)
            return None
        return value or None

    def number(self, name: str, most: int = _LARGEST) -> int | None:
        """Return a number that is not negative, None where there is none."""
        value = self[name]
        if not value:
            return None
        if value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS and int(value) <= most:
            return int(value)
        self.problems[name] = self._page._("A whole number, such as 42.")
        return None

    def word(self, name: str, kind: type[Word]) -> Word | None:
        """Return one of the words of an enum, None where there is none."""
        value = self[name]
        try:
            return kind(value) if value else None
        except ValueError:
            self.problems[name] = self._page._("One of these: %(words)s.", words=", ".join(kind))
            return None

    def moment(self, name: str) -> datetime | None:
        """Return a moment, None where there is none; without a zone it is UTC."""
        value = self[name]
        if not value:
            return None
        try:
            found = datetime.fromisoformat(value)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            self.problems[name] = self._page._("A time such as 2026-03-02T14:00, in UTC.")
            return None

    def since(self) -> datetime | None:
        """Return since when: the field `since`, or so long ago as `within` says, whichever is later."""
        span = SPANS.get(self["within"])
        found = [one for one in (self.moment("since"), self._page.now - span if span else None) if one]
        return max(found, default=None)

    def names(self, field: str, known: Iterable[str]) -> list[tuple[str, str]]:
        """Return the choices of a field that names one of these; also what was asked for and is gone."""
        asked = self[field]
        names = sorted({*known, *([asked] if asked else [])})
        return [("", self._page._("all")), *((name, name) for name in names)]

    def spans(self) -> list[tuple[str, str]]:
        """Return the choices of the field `within`."""
        return [(value, self._page._(words)) for value, words in SPAN_WORDS.items()]
