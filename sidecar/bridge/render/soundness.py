"""Rendered text passes through here to be proven: that it is JSON, or XML without a document type."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from xml.parsers import expat

from sidecar.bridge.render.foreign import in_words
from sidecar.bridge.render.jsonsafe import refuse_constant
from sidecar.errors import said, text_of

_ENCODINGS = frozenset(("utf-8", "us-ascii"))


class Flaw(Exception):
    """Why a text is not what it claims to be, and at which character."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


@dataclass(frozen=True, slots=True)
class Proof:
    """How a text is proven; `check` raises Flaw.

    `stand_ins` are what a placeholder is tried with when a template is loaded. What is right with the first
    one is right with any data; what is wrong with the last one can never be right.
    """

    name: str
    check: Callable[[str], None]
    stand_ins: tuple[str, ...]


def _check_json(text: str) -> None:
    try:
        json.loads(text, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise _flaw_of(text, error) from error
    except (ValueError, RecursionError) as error:
        raise Flaw(in_words(text_of(error))) from error


def _flaw_of(text: str, error: json.JSONDecodeError) -> Flaw:
    """Say what is wrong; a trailing comma in our own words, since Pythons say and place it otherwise."""
    after_comma = error.pos + 1 if text[error.pos : error.pos + 1] == "," else error.pos
    position = len(text) - len(text[after_comma:].lstrip())
    closing = text[position : position + 1]
    if closing in ("]", "}") and text[:position].rstrip().endswith(","):
        return Flaw(said("Trailing comma before %(sign)s", sign=closing), position)
    return Flaw(in_words(error.msg), error.pos)


def _check_xml(text: str) -> None:
    data = text.encode()
    parser = expat.ParserCreate("utf-8", " ")

    def position(index: int) -> int:
        return len(data[: max(index, 0)].decode("utf-8", "ignore"))

    def refuse_document_type(*_: object) -> None:
        raise Flaw(said("a document type (<!DOCTYPE) is not allowed"), position(parser.CurrentByteIndex))

    def check_encoding(_version: str, encoding: str | None, _standalone: int) -> None:
        if encoding and encoding.lower() not in _ENCODINGS:
            text = said("it is sent as UTF-8, but says %(encoding)s", encoding=encoding)
            raise Flaw(text, position(parser.CurrentByteIndex))

    parser.StartDoctypeDeclHandler = refuse_document_type
    parser.XmlDeclHandler = check_encoding
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Flaw(in_words(expat.ErrorString(error.code)), position(parser.ErrorByteIndex)) from error


# A placeholder outside quotes is a whole value: what is right with `null` there is right with anything. Right
# with a text only, as a key is: then the data decides.
JSON_PROOF = Proof("JSON", _check_json, ("null", '""'))
# In XML a value is content, never structure: whatever it is, the shape stays.
XML_PROOF = Proof("XML", _check_xml, ("",))
