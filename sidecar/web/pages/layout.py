"""Payloads laid out for reading: JSON on many lines, every number and text exactly as it stands."""

import json
import re
from dataclasses import dataclass

# A browser is to stay usable; whoever needs more asks the API.
_LONGEST = 200_000
_DEEPEST = 60
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


@dataclass(frozen=True, slots=True)
class Text:
    """A payload: as it stands, and laid out where it is JSON. `cut`: it is longer than what is shown."""

    raw: str
    laid_out: str | None
    octets: int
    cut: bool


def text_of(payload: str | None) -> Text | None:
    """Return a payload as a page shows it; None stays None."""
    if payload is None:
        return None
    laid = laid_out(payload)
    different = laid is not None and laid != payload
    return Text(
        payload[:_LONGEST],
        laid[:_LONGEST] if laid is not None and different else None,
        len(payload.encode("utf-8", "replace")),
        len(payload) > _LONGEST,
    )


def laid_out(text: str) -> str | None:
    """Return JSON with a line for each value, None for anything else.

    Not through json.dumps: that would write 1.10 as 1.1 and forget keys that stand twice.
    """
    try:
        if not isinstance(json.loads(text), dict | list):
            return None
    except (ValueError, RecursionError):
        return None
    return _indented(_TOKENS.findall(text))


def _indented(pieces: list[str]) -> str | None:
    out: list[str] = []
    depth, before = 0, ""
    for piece in pieces:
        if piece in "]}":
            depth -= 1
            out.append(piece if before in "[{" else f"\n{'  ' * depth}{piece}")
        elif piece == ":":
            out.append(": ")
        elif piece == ",":
            out.append(f",\n{'  ' * depth}")
        else:
            out.append(f"\n{'  ' * depth}{piece}" if before and before in "[{" else piece)
            depth += piece in "[{"
        if depth > _DEEPEST:
            return None
        before = piece
    return "".join(out)
