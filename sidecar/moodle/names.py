"""Which event names are wanted: the names and patterns of rules, as a condition that the database checks."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, false, or_
from sqlalchemy.sql.elements import SQLColumnExpression

# Not the backslash: event names are full of them, and MySQL reads it twice.
_ESCAPE = "|"


@dataclass(frozen=True, slots=True)
class NameFilter:
    """Event names that are wanted: exact ones, and patterns in which `*` stands for any text."""

    exact: tuple[str, ...]
    patterns: tuple[str, ...]

    @classmethod
    def of(cls, names: Iterable[str]) -> "NameFilter":
        """Return the filter for names and patterns as rules have them; no names let nothing through."""
        wanted = sorted(set(names))
        return cls(
            exact=tuple(name for name in wanted if "*" not in name),
            patterns=tuple(name for name in wanted if "*" in name),
        )

    def condition(self, eventname: SQLColumnExpression[str]) -> ColumnElement[bool]:
        """Return the SQL for it.

        It may let more through than `matches`: whether case counts is up to the database (not under MySQL's
        usual collations, nor for SQLite's LIKE). It never lets less through.
        """
        likes = [eventname.like(_like(pattern), escape=_ESCAPE) for pattern in self.patterns]
        return or_(false(), *([eventname.in_(self.exact)] if self.exact else []), *likes)

    def matches(self, eventname: str) -> bool:
        """Return whether this name is wanted; case counts."""
        return eventname in self.exact or any(
            re.fullmatch(_regex(pattern), eventname, re.DOTALL) for pattern in self.patterns
        )


def _like(pattern: str) -> str:
    for special in (_ESCAPE, "%", "_"):
        pattern = pattern.replace(special, _ESCAPE + special)
    return pattern.replace("*", "%")


def _regex(pattern: str) -> str:
    return ".*".join(re.escape(piece) for piece in pattern.split("*"))
