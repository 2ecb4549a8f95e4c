"""Template texts pass through here to be cut into tokens that remember where they stood."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from jinja2 import Environment, TemplateSyntaxError
from jinja2.lexer import TokenStream

from sidecar.errors import said
from sidecar.settings import Problem

_LONGEST_PIECE = 80


@dataclass(slots=True)
class _Text:
    label: str
    text: str
    first: int
    tags: list[tuple[int, int]] = field(default_factory=list)


class Sources:
    """The texts of one program laid end to end, so that one number names a place in any of them.

    Jinja keeps nothing of a token's place but its line. It is given these numbers instead of lines, and
    carries them through parser and generated code: so an error finds its column without bookkeeping of ours.
    """

    def __init__(self) -> None:
        self._texts: list[_Text] = []

    def tokens(
        self, environment: Environment, label: str, text: str, state: str | None = None
    ) -> TokenStream:
        """Add a text; return its tokens, numbered. `state="variable"` reads it as one expression."""
        last = self._texts[-1] if self._texts else None
        source = _Text(label, _normal(text), last.first + len(last.text) + 1 if last else 1)
        self._texts.append(source)
        if state:
            source.tags.append((0, len(source.text)))
        return TokenStream(environment.lexer.wrap(_numbered(environment, source, state)), None, None)

    def problem(self, number: int, what: str, *, whole: bool = False) -> Problem:
        """Return what is wrong at a place: the label, and line, column and the piece that stands there.

        `whole`: point at the beginning of the tag around it, as errors of generated code know no better.
        """
        source = self._texts[max(bisect_right(self._texts, number, key=lambda text: text.first) - 1, 0)]
        offset = min(max(number - source.first, 0), len(source.text))
        begin, end = _tag_around(source, offset)
        at = begin if whole else offset
        line, column = source.text.count("\n", 0, at) + 1, at - source.text.rfind("\n", 0, at)
        piece = _shortened(source.text[begin:end])
        text = (
            said(
                "line %(line)s, column %(column)s, %(piece)s: %(what)s",
                line=line,
                column=column,
                piece=piece,
                what=what,
            )
            if piece
            else said("line %(line)s, column %(column)s: %(what)s", line=line, column=column, what=what)
        )
        return Problem(source.label, text, text_line=line)


def sentence(problem: Problem) -> str:
    """Return a problem as one sentence that begins with its place."""
    if problem.text_line is None:
        return said("%(place)s: %(text)s", place=problem.place, text=problem.text)
    return said("%(place)s, %(text)s", place=problem.place, text=problem.text)


def _normal(text: str) -> str:
    normal = re.sub(r"\r\n|\r", "\n", text)
    return normal.removesuffix("\n")


def _numbered(environment: Environment, source: _Text, state: str | None) -> Iterator[tuple[int, str, str]]:
    at, opened = 0, 0
    try:
        for _, kind, value in environment.lexer.tokeniter(source.text, None, None, state):
            # What a minus sign has stripped lies between two tokens, so the search skips nothing but blanks.
            at = max(source.text.find(value, at), at)
            if kind in {"variable_begin", "block_begin"}:
                opened = at
                source.tags.append((at, len(source.text)))
            elif kind in {"variable_end", "block_end"} and source.tags:
                source.tags[-1] = (opened, at + len(value.rstrip()))
            yield source.first + at, kind, value
            at += len(value)
    except TemplateSyntaxError as error:
        raise TemplateSyntaxError(error.message or "syntax error", source.first + at) from error


def _tag_around(source: _Text, offset: int) -> tuple[int, int]:
    for begin, end in source.tags:
        if begin <= offset < max(end, begin + 1):
            return begin, end
    end_of_line = source.text.find("\n", offset)
    return offset, end_of_line if end_of_line >= 0 else len(source.text)


def _shortened(piece: str) -> str:
    line = " ".join(piece.split())
    return line if len(line) <= _LONGEST_PIECE else line[: _LONGEST_PIECE - 1] + "…"
