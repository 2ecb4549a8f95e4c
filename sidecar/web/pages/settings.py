"""Settings: each option that is in force, and where its value comes from; secrets are stars."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter
from starlette.responses import Response

from sidecar.settings import Settings, Source
from sidecar.settings.source import child, parent
from sidecar.web.pages.languages import N_
from sidecar.web.pages.page import Page, Tab, View

router = APIRouter()

TAB = Tab(N_("Settings"), "/settings", "settings")

# What a rule sends may hold personal data; the API keeps it for `manage`, too.
_OF_RULES = ("payload", "when", "headers")
_LONGEST = 400

From = Literal["file", "variable", "secret_file", "default", "unknown"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its place, its value as it may be shown, and where it is from."""

    place: str
    value: str
    origin: From
    detail: str = ""
    line: int | None = None


@router.get("/settings")
def show(page: View, all: str = "") -> Response:  # noqa: A002 - the parameter's name in the address
    """Show the options that are set, or with `all` every one."""
    source = page.desk.source
    found = list(options(page.desk.settings, source, hidden=_hidden(page)))
    shown = [one for one in found if all or one.origin != "default"]
    groups: dict[str, list[Option]] = {}
    for one in shown:
        groups.setdefault(_group(one.place), []).append(one)
    return page.show(
        "settings.html", groups=groups, all=bool(all), left=len(found) - len(shown), source=source
    )


def options(
    settings: Settings, source: Source | None, *, hidden: Mapping[str, str] | None = None
) -> Iterator[Option]:
    """Yield every option with its value in words; `hidden` has what is shown instead of some values."""
    hidden = hidden or {}
    for place, value in _leaves("", settings.model_dump(mode="json")):
        shown = next((text for end, text in hidden.items() if _is_in(place, end)), None)
        yield _option(place, _words(value) if shown is None else shown, source)


def _hidden(page: Page) -> dict[str, str]:
    desk = page.desk
    urls = {"moodle.url": desk.moodle.shown, "store.url": desk.store.shown}
    if page.may("manage"):
        return urls
    count = len(desk.settings.rules)
    return urls | {f"rules[{number}].{name}": "…" for number in range(count) for name in _OF_RULES}


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(child(place, key), item)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for number, item in enumerate(value):
            yield from _leaves(child(place, number), item)
    else:
        yield place, value


def _is_in(place: str, outer: str) -> bool:
    return place == outer or place.startswith((f"{outer}.", f"{outer}["))


def _option(place: str, value: str, source: Source | None) -> Option:
    if source is None:
        return Option(place, value, "unknown")
    at = _written(place, source)
    if at is None:
        return Option(place, value, "default")
    origin = source.origins.get(at, "")
    kind: From = "secret_file" if origin.startswith("file:") else "variable" if origin else "file"
    return Option(place, value, kind, origin, source.spots[at].line)


def _written(place: str, source: Source) -> str | None:
    """Return where the option stands in the file: itself, or a shorter form of what it is part of."""
    at = place
    while at:
        if at in source.spots:
            return at if at == place or not isinstance(_value(at, source), dict | list) else None
        at = parent(at)
    return None


def _value(place: str, source: Source) -> Any:
    found: Any = source.values
    for step in place.replace("[", ".[").split("."):
        key: Any = int(step[1:-1]) if step.startswith("[") else step
        try:
            found = found[key]
        except (KeyError, IndexError, TypeError):
            return {}
    return found


def _words(value: object) -> str:
    if value is None or value in ("", [], {}):
        return "–"
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        text = ", ".join(value)
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _group(place: str) -> str:
    first, _, rest = place.partition(".")
    return f"{first}.{rest.partition('.')[0]}" if first == "services" and rest else first.partition("[")[0]
