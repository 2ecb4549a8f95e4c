"""What was said once and kept in a table as English text is recognised, so that pages can translate it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from babel.messages import Catalog

from sidecar.errors import Said, as_said

_VALUE = re.compile(r"%\((\w+)\)s")
# A pattern with fewer letters of its own would fit anything: it counts only around one that has more.
_TELLING = 6
_LONGEST = 2_000
_DEEPEST = 4
# What pages and templates say themselves is in no table; the verdict has its own way.
_NEVER_KEPT = ("pages/", "templates/", "store/sentences.py")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A sentence with places for values: what stands between these, and their names."""

    text: str
    pieces: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def letters(self) -> int:
        """How many letters of a text it accounts for itself."""
        return sum(map(str.isalpha, "".join(self.pieces)))

    def values(self, text: str) -> Mapping[str, str] | None:
        """Return the values with which it makes this text, None if it cannot. One pass, whatever the text."""
        first, *between, last = self.pieces if self.names else (*self.pieces, "")
        if not self.names:
            return {} if text == first else None
        if not text.startswith(first) or not text.endswith(last):
            return None
        at, end, found = len(first), len(text) - len(last), list[str]()
        for piece in between:
            next_at = text.find(piece, at, end)
            if next_at < 0:
                return None
            found.append(text[at:next_at])
            at = next_at + len(piece)
        if at > end:
            return None
        values = dict(zip(self.names, [*found, text[at:end]], strict=True))
        agree = all(values[name] == one for name, one in zip(self.names, found, strict=False))
        return values if agree else None


# What may have been kept, the most telling first, by the letter that it begins with; "" before a value.
Patterns = Mapping[str, Sequence[Pattern]]


def patterns_of(catalogue: Catalog) -> Patterns:
    """Return what may have been kept of all that is said."""
    found: dict[str, list[Pattern]] = {"": []}
    for one in catalogue:
        if one.id and isinstance(one.id, str) and _may_be_kept(one.locations):
            pattern = _pattern(one.id)
            found.setdefault(pattern.pieces[0][:1], []).append(pattern)
    return {first: sorted(some, key=lambda one: -one.letters) for first, some in found.items()}


def recalled(patterns: Patterns, text: str) -> str:
    """Return the text as it was said; as it is where nobody of ours has said it."""
    return _Recollection(patterns).of(text) if len(text) <= _LONGEST else text


class _Recollection:
    """One text and the values in it, each looked at once."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._known: dict[tuple[str, int, bool], str] = {}

    def of(self, text: str, depth: int = 0, *, lists: bool = False) -> str:
        """Return a text or a value as it was said; `lists`: it names things."""
        if not text or depth > _DEEPEST:
            return text
        key = (text, depth, lists)
        if key not in self._known:
            self._known[key] = next(self._readings(text, depth, lists), text)
        return self._known[key]

    def _readings(self, text: str, depth: int, lists: bool) -> Iterator[Said]:
        for pattern in (*self._patterns.get(text[0], ()), *self._patterns[""]):
            values = pattern.values(text)
            if values is None:
                continue
            inner = {name: self.of(one, depth + 1, lists=name == "names") for name, one in values.items()}
            if _makes_sense(pattern, inner, lists):
                yield as_said(pattern.text, text, **inner)


def _makes_sense(pattern: Pattern, values: Mapping[str, str], lists: bool) -> bool:
    """Tell whether somebody may have said that; what has hardly any words of ours would fit anything."""
    if not values:
        return True
    telling = pattern.letters >= _TELLING
    if "names" in values and not telling:
        return lists
    known = [isinstance(one, Said) or " " not in one for one in values.values()]
    if telling:
        return known[0] or pattern.pieces[0] != ""
    return all(known) and any(isinstance(one, Said) for one in values.values())


def _pattern(text: str) -> Pattern:
    pieces = _VALUE.split(text)
    names = tuple(pieces[1::2])
    between = tuple(one.replace("%%", "%") if names else one for one in pieces[::2])
    return Pattern(text, between, names)


def _may_be_kept(places: Sequence[tuple[str, int | None]]) -> bool:
    return any(not place.startswith(_NEVER_KEPT) for place, _ in places)
