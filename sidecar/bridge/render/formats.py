"""What a text becomes decides how a placeholder is written: which escaper, depending on where it stands."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


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

    def literal(self, text: str) -> str:
        """Return literal text as it is to come out."""
        ...


OUTSIDE, BETWEEN = "outside quotes", "between quotes"
PATH, QUERY = "in the path", "in the query"


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

    def literal(self, text: str) -> str:
        return text


class UrlFormat:
    """An address: path pieces until the first question mark, query pieces after it."""

    start = Stand(PATH)

    def after(self, stand: Stand, literal: str, number: int) -> Stand:  # noqa: ARG002
        return stand if "?" not in literal else Stand(QUERY)

    def escaper(self, stand: Stand) -> str:
        return "path piece" if stand.where == PATH else "query piece"

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

    def literal(self, text: str) -> str:
        return self.write(text)


JSON: Format = JsonFormat()
URL: Format = UrlFormat()
TEXT: Format = PlainFormat("plain text")
HEADER: Format = PlainFormat("header piece")
STRING: Format = PlainFormat("json string", lambda text: json.dumps(text, ensure_ascii=False)[1:-1])
CONDITION: Format = PlainFormat("a truth")
