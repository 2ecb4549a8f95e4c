"""What stands in the configuration file, and on which line: plain values with all variables resolved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.settings.definitions import Stored
from sidecar.settings.files import Look, fingerprint


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value is written. A template's text starts at `text_line` of `text_file`."""

    line: int
    text_file: Path
    text_line: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to mend at a place such as `rules[2].service`.

    `line` is one of the configuration file, `text_line` one of a template's text.
    """

    place: str
    text: str
    line: int | None = None
    text_line: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The file as it was read. Its values may be secrets, so they have no repr."""

    path: Path
    values: Any = field(repr=False)
    spots: Mapping[str, Spot] = field(repr=False)
    origins: Mapping[str, str]
    problems: tuple[Problem, ...]
    looks: Mapping[Path, Look] = field(repr=False)
    texts: Mapping[Path, str] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    stored: Stored = field(default=Stored(), repr=False)
    unread: Mapping[str, str] = field(default_factory=dict)  # why the secret of a place cannot be read
    asked: frozenset[str] = frozenset()  # the secrets that the file refers to

    @property
    def fingerprint(self) -> str:
        """One hash over the contents of the configuration file and of every file it names."""
        return fingerprint(self.looks)

    def where(self, place: str, line: int | None = None) -> str:
        """Return `config/sidecar.yaml:31 rules[2].payload`; with a line of its text, that text's line."""
        spot = self._spot(place)
        if spot is None:
            return f"{self.path} {place}".rstrip()
        if line is None or place not in self.spots:
            return f"{self.path}:{spot.line} {place}".rstrip()
        return f"{spot.text_file}:{spot.text_line + line - 1} {place}"

    def describe(self, problem: Problem) -> str:
        """Return the whole line that a person reads."""
        head = self.where(problem.place, problem.text_line)
        if problem.line:
            head = f"{self.path}:{problem.line} {problem.place}".rstrip()
        return "".join(map(_printable, f"{head}: {problem.text}{self._origin_of(problem)}"))

    def _origin_of(self, problem: Problem) -> str:
        origin = self.origins.get(problem.place)
        if origin is None or any(name in problem.text for name in origin.split(" and ")):
            return ""
        return f" (its value comes from {origin})"

    def quote(self, place: str, value: object) -> str:
        """Return the value in quotes, or where it comes from when it is not written in the file itself."""
        return self.origins.get(place) or f'"{str(value)[:100]}"'

    def line(self, place: str) -> int:
        """Return the line of a place, or of the nearest place around it."""
        spot = self._spot(place)
        return spot.line if spot else 0

    def _spot(self, place: str) -> Spot | None:
        while place and place not in self.spots:
            place = parent(place)
        return self.spots.get(place)


def _printable(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def child(place: str, key: str | int) -> str:
    """Return the place of a key or of a list's item."""
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{key}" if place else key


def parent(place: str) -> str:
    """Return the place around a place; "" is the whole file."""
    return place[: max(place.rfind("."), place.rfind("["), 0)]
