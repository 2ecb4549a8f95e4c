"""Ready payload templates that come with the program; each says in its first comment what it is for."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).parents[1]
# In an installed package the templates stand inside it; in a checkout where people look for them.
_PLACES = (_ROOT / "payloads", _ROOT.parent / "config" / "payloads")


@dataclass(frozen=True, slots=True)
class ReadyTemplate:
    """A template of the gallery. `rule` and `service` are the options that it wants there."""

    name: str
    about: str
    events: tuple[str, ...]
    rule: Mapping[str, Any]
    service: Mapping[str, Any]

    @property
    def format(self) -> str:
        """The format that it is written in."""
        return str(self.service.get("format", "json"))


def gallery_folder() -> Path:
    """Return where the templates are."""
    return next((place for place in _PLACES if place.is_dir()), _PLACES[0])


@cache
def gallery() -> tuple[ReadyTemplate, ...]:
    """Return all ready templates by name."""
    folder = gallery_folder()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.j2")}
    found = (_described(name, path.read_text(encoding="utf-8")) for name, path in sorted(files.items()))
    return tuple(template for template in found if template is not None)


def _described(name: str, text: str) -> ReadyTemplate | None:
    """Return what the first comment says; a template without one is not of the gallery."""
    if not text.startswith("{#\n"):
        return None
    said = yaml.safe_load(text[2:].partition("#}")[0].removesuffix("-"))
    event = said["event"]
    return ReadyTemplate(
        name=name,
        about=said["about"],
        events=(event,) if isinstance(event, str) else tuple(event),
        rule=said["rule"],
        service=said["service"],
    )
