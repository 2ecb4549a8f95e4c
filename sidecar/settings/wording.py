"""What a problem in the file is called: sentences for people, which never repeat a value."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from sidecar.errors import said


def kind(value: object) -> str:
    """Name what stands there, as somebody who writes YAML would."""
    if value is None:
        return said("nothing")
    if isinstance(value, bool):
        return said("true or false")
    if isinstance(value, int):
        return said("a number")
    if isinstance(value, float):
        return said("a number with a point")
    if isinstance(value, str):
        return said("text") if value.strip() else said("empty text")
    return said("a mapping") if isinstance(value, Mapping) else said("a list")


def not_text(value: object) -> str:
    """Say that text was expected; YAML makes numbers and booleans of what looks like them."""
    if isinstance(value, bool | int | float):
        return said("expected text, got %(kind)s: put it in quotes", kind=kind(value))
    return said("expected text, got %(kind)s", kind=kind(value))


def suggest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant."""
    by_lower = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return `, did you mean "judgeman"?`, or else the list of what there is."""
    found = suggest(word, known)
    if found:
        return said(', did you mean "%(name)s"?', name=found)
    return said("; there is %(names)s", names=listing(known))


def listing(words: Iterable[str]) -> str:
    """Return `a, b and c`, shortened when there are many."""
    names = list(words)
    if not names:
        return said("none yet")
    if len(names) > 25:
        return said("%(names)s and %(n)s more", names=", ".join(names[:25]), n=len(names) - 25)
    if len(names) == 1:
        return names[0]
    return said("%(names)s and %(last)s", names=", ".join(names[:-1]), last=names[-1])
