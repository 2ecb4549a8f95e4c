"""A service or rule as it would stand in the file: YAML, with variables where secrets are."""

import re
from typing import Any

import yaml

from sidecar.settings.definitions import Kind
from sidecar.settings.nodes import NUMBERS
from sidecar.settings.secretive import replaced, secrets_of
from sidecar.settings.source import child
from sidecar.settings.variables import escape

_WIDE = 100_000


class _Dumper(yaml.SafeDumper):
    """Writes what the file's reader takes for the same: it knows numbers that PyYAML does not."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indent lists, as the examples do."""
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not re.search(r"[ \t]\n|\r", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
for _tag, _pattern, _first in NUMBERS:
    _Dumper.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def section_text(kind: Kind, name: str, section: dict[str, Any]) -> str:
    """Return the YAML to paste into the file. Each secret is a variable that has to be set."""
    if kind is Kind.SERVICE:
        safe = replaced(_escaped(section, "", ()), _variables(name, section))
        document: dict[str, Any] = {"services": {name: safe}}
    else:
        document = {"rules": [{"name": name, **_escaped(section, "", ("payload", "when"))}]}
    return yaml_text(document)


def yaml_text(value: Any) -> str:
    """Return YAML that the file's reader takes for the same value."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDE)


def _variables(name: str, section: dict[str, Any]) -> dict[str, str]:
    """Return `${CRM_TOKEN}` for auth.token of crm, and so on; names are unique."""
    found: dict[str, str] = {}
    for place in secrets_of(section):
        words = f"{name}_{re.sub(r'^(?:auth|headers)[.]', '', place)}"
        stem = re.sub(r"[^A-Z0-9]+", "_", words.upper()).strip("_")
        stem = stem if stem[:1].isalpha() else f"S_{stem}"
        numbers = (f"{stem}_{number}" for number in range(2, len(found) + 3))
        found[place] = next(one for one in (stem, *numbers) if one not in found.values())
    return {place: f"${{{variable}}}" for place, variable in found.items()}


def _escaped(value: Any, place: str, templates: tuple[str, ...]) -> Any:
    """Write texts so that the file's reader gives them back; it leaves templates alone."""
    if place in templates and place:
        return value
    if isinstance(value, dict):
        return {key: _escaped(one, child(place, str(key)), templates) for key, one in value.items()}
    if isinstance(value, list):
        return [_escaped(one, child(place, number), templates) for number, one in enumerate(value)]
    return escape(value) if isinstance(value, str) else value
