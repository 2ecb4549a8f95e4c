"""What a text becomes decides how a placeholder is written: which escaper, depending on where it stands."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

from sidecar.errors import said


@dataclass(frozen=True, slots=True)
class Stand:
    """Where in the text we stand: `where` is for comparing and for people, `since` is where that began."""

    where: str
    since: int = 0
    dangling: bool = False


class Format(Protocol):
    """How literal text moves the stand, and the name of the escaper for a placeholder that stands there."""

    @property
    def start(self) -> Stand:
        """Return where a text begins."""
        ...

    def after(self, stand: Stand, literal: str, number: int) -> Stand:
        """Return where we stand after literal text; `number` is its place."""
        ...

    def escaper(self, stand: Stand) -> str:
        """Return the name of the environment's filter that writes a value here."""
        ...

    def refusal(self, stand: Stand) -> str | None:
        """Return why no placeholder may stand here, None where one may."""
        ...

    def literal(self, text: str) -> str:
        """Return literal text as it is to come out."""
        ...


OUTSIDE, BETWEEN = said("outside quotes"), said("between quotes")
PATH, QUERY = said("in the path"), said("in the query")
CONTENT, TAG = said("between tags"), said("inside a tag")
DOUBLE, SINGLE = said("in double quotes of a tag"), said("in single quotes of a tag")
CDATA, COMMENT, INSTRUCTION = (
    said("in a CDATA section"),
    said("in a comment"),
    said("in a processing instruction"),
)


class JsonFormat:
    """JSON text: between quotes a value is content of a string, outside it is a whole value."""

    start = Stand(OUTSIDE)

    def after(self, stand: Stand, literal: str, number: int) -> Stand:
        between, since, escaped = stand.where == BETWEEN, stand.since, stand.dangling
        for offset, character in enumerate(literal):
            if escaped:
                escaped = False
            elif between and character == "\\":
                escaped = True
            elif character == '"':
                between, since = not between, number + offset
        return Stand(BETWEEN if between else OUTSIDE, since, escaped)

    def escaper(self, stand: Stand) -> str:
        return "json string" if stand.where == BETWEEN else "json value"

    def refusal(self, stand: Stand) -> str | None:
        if stand.dangling:
            return said("a backslash before a placeholder would swallow its beginning: write two, or none")
        return None

    def literal(self, text: str) -> str:
        return text


class UrlFormat:
    """An address: path pieces until the first question mark, query pieces after it."""

    start = Stand(PATH)

    def after(self, stand: Stand, literal: str, number: int) -> Stand:  # noqa: ARG002
        return stand if "?" not in literal else Stand(QUERY)

    def escaper(self, stand: Stand) -> str:
        return "path piece" if stand.where == PATH else "query piece"

    def refusal(self, stand: Stand) -> str | None:  # noqa: ARG002
        return None

    def literal(self, text: str) -> str:
        return text


class XmlFormat:
    """XML text: a value is content of an element, of an attribute or of CDATA, never structure."""

    start = Stand(CONTENT)
    _openings = re.compile(r"<!\[CDATA\[|<!--|<\?|<")
    _kinds = {"<![CDATA[": CDATA, "<!--": COMMENT, "<?": INSTRUCTION, "<": TAG}  # noqa: RUF012
    _ends: dict[str, re.Pattern[str]] = {  # noqa: RUF012
        CDATA: re.compile(r"]]>"),
        COMMENT: re.compile("-->"),
        INSTRUCTION: re.compile(r"\?>"),
        DOUBLE: re.compile('"'),
        SINGLE: re.compile("'"),
        TAG: re.compile("[\"'>]"),
    }
    _after_tag = {'"': DOUBLE, "'": SINGLE, ">": CONTENT}  # noqa: RUF012

    def after(self, stand: Stand, literal: str, number: int) -> Stand:
        where, since, at = stand.where, stand.since, 0
        while found := self._ends.get(where, self._openings).search(literal, at):
            where, since, at = self._next(where, found[0]), number + found.start(), found.end()
        return Stand(where, since)

    def _next(self, where: str, sign: str) -> str:
        if where == CONTENT:
            return self._kinds[sign]
        if where == TAG:
            return self._after_tag[sign]
        return TAG if where in (DOUBLE, SINGLE) else CONTENT

    def escaper(self, stand: Stand) -> str:
        if stand.where == CDATA:
            return "xml cdata"
        return "xml text" if stand.where == CONTENT else "xml attribute"

    def refusal(self, stand: Stand) -> str | None:
        if stand.where == TAG:
            return said(
                "inside a tag a placeholder has to stand between quotes, as the value of an attribute"
            )
        if stand.where in (COMMENT, INSTRUCTION):
            return said("no placeholder can stand %(where)s", where=stand.where)
        return None

    def literal(self, text: str) -> str:
        return text


@dataclass(frozen=True, slots=True)
class PlainFormat:
    """The same escaper everywhere, as in plain text, headers, or wholly inside one JSON string."""

    name: str
    write: Callable[[str], str] = str
    start: Stand = Stand("inside")

    def after(self, stand: Stand, literal: str, number: int) -> Stand:  # noqa: ARG002
        return stand

    def escaper(self, stand: Stand) -> str:  # noqa: ARG002
        return self.name

    def refusal(self, stand: Stand) -> str | None:  # noqa: ARG002
        return None

    def literal(self, text: str) -> str:
        return self.write(text)


def _form_literal(written: str) -> str:
    """Return what the author wrote in one line; what a form cannot hold as it is, is encoded."""
    in_one_line = re.sub(r"[ \t]*[\r\n]+[ \t]*", "", written)
    return quote(in_one_line, safe="=&%+[]*!$'(),:;@/?~ ").replace(" ", "+")


JSON: Format = JsonFormat()
URL: Format = UrlFormat()
XML: Format = XmlFormat()
FORM: Format = PlainFormat("form piece", _form_literal)
TEXT: Format = PlainFormat("plain text")
HEADER: Format = PlainFormat("header piece")
NAME: Format = PlainFormat("name piece")
STRING: Format = PlainFormat("json string", lambda text: json.dumps(text, ensure_ascii=False)[1:-1])
CONDITION: Format = PlainFormat("a truth")
