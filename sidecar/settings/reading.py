"""The configuration file, its payload files and its secret files are read into one Source."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sidecar.settings.files import Files
from sidecar.settings.nodes import BadYaml, compose, scalar
from sidecar.settings.payloads import payload_name, read_payload
from sidecar.settings.source import Problem, Source, Spot, child
from sidecar.settings.variables import expand

# YAML's anchors can make a small file huge; no honest file has so many values.
_MOST_VALUES = 200_000

# What these hold is Jinja2's business.
_TEMPLATES = re.compile(r"rules\[\d+\]\.(?:when$|payload(?:$|[.\[]))")

# Names of files: relative ones start at the configuration file.
_FILES = re.compile(r"services\..*\.tls\.(?:ca|cert|key)$")

_Pair = tuple[yaml.Node, yaml.Node]


def read(path: Path, env: Mapping[str, str]) -> Source:
    """Read the file and all it names. Never raises: what cannot be read is among the problems."""
    reading = _Reading(path, env)
    values = reading.root()
    return Source(
        path, values, reading.spots, reading.origins, tuple(reading.problems), dict(reading.files.looks)
    )


class _Reading:
    """One pass over the nodes; collects what is found on the way."""

    def __init__(self, path: Path, env: Mapping[str, str]) -> None:
        self.path = path
        self.env = env
        self.files = Files()
        self.spots: dict[str, Spot] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._values = 0

    def root(self) -> Any:
        text = self._text()
        if text is None:
            return None
        try:
            node = compose(text)
            return {} if node is None else self._value(node, "")
        except BadYaml as error:
            self.problems = [Problem("", str(error), error.line)]
        except RecursionError:
            self.problems = [Problem("", "the YAML is nested too deeply, or an anchor holds itself")]
        return None

    def _text(self) -> str | None:
        try:
            return self.files.read(self.path)
        except FileNotFoundError:
            self._problem("", "there is no such file; `mih init` writes one to start from")
        except UnicodeDecodeError as error:
            self._problem("", f"the file is not UTF-8 (byte {error.start + 1})")
        except OSError as error:
            self._problem("", f"the file cannot be read: {error.strerror}")
        return None

    def _problem(self, place: str, text: str) -> None:
        self.problems.append(Problem(place, text))

    def _value(self, node: yaml.Node, place: str) -> Any:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise BadYaml(f"the file holds more than {_MOST_VALUES} values", node.start_mark.line + 1)
        self.spots.setdefault(place, Spot(node.start_mark.line + 1, self.path, _text_line(node)))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, child(place, number)) for number, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, place)

    def _mapping(self, node: yaml.MappingNode, place: str) -> dict[str, Any]:
        own = [pair for pair in node.value if not _is_merge(pair)]
        self._complain_of_duplicates(own, place)
        values: dict[str, Any] = {}
        for key, value in [*self._merged(node, place), *own]:
            where = child(place, str(key.value))
            self.spots[where] = Spot(key.start_mark.line + 1, self.path, _text_line(value))
            values[str(key.value)] = self._value(value, where)
        return values

    def _merged(self, node: yaml.MappingNode, place: str) -> Iterator[_Pair]:
        """Yield what `<<: *anchor` brings in; a mapping's own keys come later and win."""
        for key, value in filter(_is_merge, node.value):
            self._values += 1
            for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(source, yaml.MappingNode):
                    yield from self._merged(source, place)
                    yield from (pair for pair in source.value if not _is_merge(pair))
                else:
                    self._problem(child(place, str(key.value)), "<< takes an anchor of a mapping")

    def _complain_of_duplicates(self, pairs: list[_Pair], place: str) -> None:
        first: dict[str, int] = {}
        for key, _ in pairs:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadYaml(
                    "a key has to be a plain word; a value that starts with { or [ needs quotes", line
                )
            name = str(key.value)
            if name in first:
                text = f"this key is here twice, first on line {first[name]}"
                self.problems.append(Problem(child(place, name), text, line))
            first.setdefault(name, line)

    def _scalar(self, node: yaml.ScalarNode, place: str) -> Any:
        try:
            value = scalar(node)
        except ValueError as error:
            self._problem(place, str(error))
            return None
        if not isinstance(value, str):
            return value
        return self._template(value, place) if _is_template(place) else self._resolved(value, place)

    def _template(self, text: str, place: str) -> str:
        name = payload_name(text) if place.endswith("].payload") else None
        if name is None:
            return text
        try:
            payload = read_payload(name, self.path.parent / "payloads", self.files)
        except ValueError as error:
            self._problem(place, str(error))
            return text
        self.spots[place] = Spot(self.spots[place].line, payload.path, 1)
        return payload.text

    def _resolved(self, text: str, place: str) -> str | None:
        expanded = expand(text, self.env)
        if expanded.problem:
            self._problem(place, expanded.problem)
        if expanded.variables:
            self.origins[place] = " and ".join(f"${{{name}}}" for name in expanded.variables)
        if _FILES.match(place):
            return str(self.path.parent.absolute() / expanded.text) if expanded.text else None
        if not expanded.text.startswith("file:"):
            return expanded.text
        if not expanded.variables:
            self.origins[place] = text
        return self._secret(expanded.text.removeprefix("file:"), place)

    def _secret(self, name: str, place: str) -> str:
        try:
            return self.files.read(self.path.parent / name).rstrip("\r\n")
        except UnicodeDecodeError:
            self._problem(place, "the file it names is not UTF-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "this is no file name"
            self._problem(place, f"the file it names cannot be read: {reason}")
        return ""


def _is_template(place: str) -> bool:
    """Tell whether a place is a rule's condition or payload."""
    return _TEMPLATES.match(place) is not None


def _is_merge(pair: _Pair) -> bool:
    key = pair[0]
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and key.style is None


def _text_line(node: yaml.Node) -> int:
    """Return the line where a scalar's text starts: after the `|` of a block."""
    block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
    return int(node.start_mark.line) + (2 if block else 1)
