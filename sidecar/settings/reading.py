"""The configuration file, its payload files and its secret files are read into one Source."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from sidecar.errors import said, text_of
from sidecar.settings.definitions import Stored
from sidecar.settings.files import Files
from sidecar.settings.nodes import BadYaml, compose, scalar
from sidecar.settings.payloads import payload_name, read_payload
from sidecar.settings.source import Problem, Source, Spot, child
from sidecar.settings.variables import Expanded, expand

# YAML's anchors can make a small file huge; no honest file has so many values.
_MOST_VALUES = 200_000

# What these hold is Jinja2's business.
_TEMPLATES = re.compile(r"rules\[\d+\]\.(?:when$|payload(?:$|[.\[]))")

# Names of files: relative ones start at the configuration file.
_FILES = re.compile(r"(?:services\..*\.tls\.(?:ca|cert|key)|dispatch\.broker\.ca)$")

_Pair = tuple[yaml.Node, yaml.Node]
_NOTHING = Stored()

# The key of sealed secrets, where the file names none.
KEY_VARIABLE = "MIH_SECRET_KEY"


def read(
    path: Path, env: Mapping[str, str], stored: Stored = _NOTHING, *, before: Source | None = None
) -> Source:
    """Read the file and all it names. Never raises: what cannot be read is among the problems.

    `stored` is what the store adds; it comes into force with the file. With `before`, the files are as they
    were then.
    """
    reading = _Reading(path, env, stored, Files(before.looks, before.texts) if before else Files())
    values = reading.root()
    return Source(
        path,
        values,
        reading.spots,
        reading.origins,
        tuple(reading.problems),
        reading.files.looks,
        reading.files.texts,
        env,
        stored,
        reading.unread,
        frozenset(reading.asked),
    )


def again(source: Source, stored: Stored) -> Source:
    """Return what was read, with the same files and with what the store holds now."""
    return read(source.path, source.env, stored, before=source)


class _Reading:
    """One pass over the nodes; collects what is found on the way."""

    def __init__(self, path: Path, env: Mapping[str, str], stored: Stored, files: Files) -> None:
        self.path = path
        self.env = env
        self.secrets = stored.secrets
        self.files = files
        self.spots: dict[str, Spot] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[Problem] = []
        self.unread: dict[str, str] = {}
        self.asked: set[str] = set()
        self._values = 0

    def root(self) -> Any:
        text = self._text()
        if text is None:
            return None
        try:
            node = compose(text)
            return self._with_key({} if node is None else self._value(node, ""))
        except BadYaml as error:
            self.problems = [Problem("", text_of(error), error.line)]
        except RecursionError:
            self.problems = [Problem("", said("the YAML is nested too deeply, or an anchor holds itself"))]
        return None

    def _with_key(self, values: Any) -> Any:
        """Take the key of sealed secrets from the environment where the file names none."""
        store = (values.get("store") or {}) if isinstance(values, dict) else None
        key = self.env.get(KEY_VARIABLE)
        if key and isinstance(store, dict) and not store.get("secret_key"):
            self.origins["store.secret_key"] = f"${{{KEY_VARIABLE}}}"
            values["store"] = {**store, "secret_key": key}
        return values

    def _text(self) -> str | None:
        try:
            return self.files.read(self.path)
        except FileNotFoundError:
            self._problem("", said("there is no such file; `mih init` writes one to start from"))
        except UnicodeDecodeError as error:
            self._problem("", said("the file is not UTF-8 (byte %(n)s)", n=error.start + 1))
        except OSError as error:
            self._problem("", said("the file cannot be read: %(reason)s", reason=error.strerror))
        return None

    def _problem(self, place: str, text: str) -> None:
        self.problems.append(Problem(place, text))

    def _value(self, node: yaml.Node, place: str) -> Any:
        self._values += 1
        if self._values > _MOST_VALUES:
            raise BadYaml(
                said("the file holds more than %(n)s values", n=_MOST_VALUES), node.start_mark.line + 1
            )
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
                    self._problem(child(place, str(key.value)), said("<< takes an anchor of a mapping"))

    def _complain_of_duplicates(self, pairs: list[_Pair], place: str) -> None:
        first: dict[str, int] = {}
        for key, _ in pairs:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise BadYaml(
                    said("a key has to be a plain word; a value that starts with { or [ needs quotes"), line
                )
            name = str(key.value)
            if name in first:
                text = said("this key is here twice, first on line %(n)s", n=first[name])
                self.problems.append(Problem(child(place, name), text, line))
            first.setdefault(name, line)

    def _scalar(self, node: yaml.ScalarNode, place: str) -> Any:
        try:
            value = scalar(node)
        except ValueError as error:
            self._problem(place, text_of(error))
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
            self._problem(place, text_of(error))
            return text
        self.spots[place] = Spot(self.spots[place].line, payload.path, 1)
        return payload.text

    def _resolved(self, text: str, place: str) -> str | None:
        expanded = expand(text, self.env, self.secrets)
        if expanded.problem:
            self._problem(place, expanded.problem)
        if expanded.sources:
            self.origins[place] = expanded.sources
        if expanded.secrets:
            self._note_secrets(expanded, place)
        if _FILES.match(place):
            return str(self.path.parent.absolute() / expanded.text) if expanded.text else None
        if not expanded.text.startswith("file:"):
            return expanded.text
        if not expanded.sources:
            self.origins[place] = text
        return self._secret(expanded.text.removeprefix("file:"), place)

    def _note_secrets(self, expanded: Expanded, place: str) -> None:
        """Remember which secrets are wanted. One that cannot be read costs its service, never the others."""
        self.asked |= set(expanded.secrets)
        if not place.startswith("services."):
            self._problem(
                place, said("a secret of the store can stand in services only: use ${NAME} or file:")
            )
        elif expanded.unread:
            self.unread[place] = expanded.unread

    def _secret(self, name: str, place: str) -> str:
        try:
            return self.files.read(self.path.parent / name).rstrip("\r\n")
        except UnicodeDecodeError:
            self._problem(place, said("the file it names is not UTF-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or said("this is no file name")
            self._problem(place, said("the file it names cannot be read: %(reason)s", reason=reason))
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
