"""Every error this product raises on purpose: each says where, what and how to mend, and has an exit code."""

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller; documented in docs/operations.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 3
    DATABASE = 4
    MIGRATIONS = 5
    UNACCOUNTED = 6


class Said(str):
    """A sentence for people, in English; a page says its pattern in another language, with its values."""

    __slots__ = ("pattern", "values")
    pattern: str
    values: Mapping[str, object]


def said(pattern: str, /, **values: object) -> Said:
    """Return a sentence that the dashboard can translate: `%(name)s` in it stands for a value.

    The pattern has to be a literal: `scripts/messages` collects it. A value may be such a sentence, too.
    """
    sentence = Said(pattern % values if values else pattern)
    sentence.pattern, sentence.values = pattern, values
    return sentence


def as_said(pattern: str, text: str, /, **values: object) -> Said:
    """Return somebody else's text whose translation is that of a sentence of ours, which says the same."""
    sentence = Said(text)
    sentence.pattern, sentence.values = pattern, values
    return sentence


def in_our_words(text: str, sentences: Mapping[str, str]) -> str:
    """Return somebody else's text with the sentence of ours for it; one that has none is quoted in it.

    `sentences` has them by patterns of the texts, whose groups are their values. What was said already stays.
    """
    if isinstance(text, Said) or not text:
        return text
    for pattern, sentence in sentences.items() if len(text) <= _LONGEST_KNOWN else ():
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return as_said(sentence, text, **found.groupdict())
    return as_said(_QUOTED, text, text=text)


_LONGEST_KNOWN = 500
_QUOTED: str = said("its words: %(text)s")


def together(sentences: Iterable[str]) -> str:
    """Return several sentences as one, each of which can still be translated; of none an empty one."""
    whole = ""
    for one in sentences:
        whole = said("%(first)s; %(further)s", first=whole, further=one) if whole else one
    return whole


def text_of(error: Exception) -> str:
    """Return what an error says, as it was said: `str` of it can be said in English only."""
    first = error.args[0] if error.args else None
    return first if isinstance(first, Said) else str(error)


class HubError(Exception):
    """Something the user can mend went wrong."""

    exit_code = ExitCode.FAILED

    @property
    def text(self) -> str:
        """What went wrong, as it was said: `str` of it can be said in English only."""
        return text_of(self)


class ConfigError(HubError):
    """The configuration cannot be used. Carries all problems found, one line each."""

    exit_code = ExitCode.CONFIG

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class TemplateError(HubError):
    """A template or condition cannot be compiled or rendered; the text says where in it."""


class Misfit(HubError):
    """What a caller wants sent cannot be written in its service's format; the text says why."""


class DatabaseUnavailable(HubError):
    """A database refused, is read-only, lacks a grant or is `away`; the text says which and what to do."""

    exit_code = ExitCode.DATABASE

    def __init__(self, reason: str, *, away: bool = False) -> None:
        super().__init__(reason)
        self.away = away


class BrokerUnavailable(HubError):
    """The broker that carries deliveries is away, ill or refuses us; the text says which and what to do."""


class MigrationsPending(HubError):
    """The tables are older or newer than this program; the text names the command that mends it."""

    exit_code = ExitCode.MIGRATIONS


class LeaseLost(HubError):
    """Another replica has taken over the cursor: nothing of this round was written."""


class NotFound(HubError):
    """Nothing has that name or number; the text lists what there is."""
