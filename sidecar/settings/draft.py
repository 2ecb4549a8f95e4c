"""A rule that stands in no file yet becomes a Rule, or the list of what there is to mend in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sidecar.errors import ConfigError, said
from sidecar.settings.checks import checks
from sidecar.settings.gallery import gallery, gallery_folder
from sidecar.settings.payloads import payload_name
from sidecar.settings.rule import Rule
from sidecar.settings.section import Section
from sidecar.settings.sentences import problems_of
from sidecar.settings.service import Service
from sidecar.settings.source import Problem, Source
from sidecar.settings.wording import suggest

_HERE = "rules[0]"


class _Draft(Section):
    rules: tuple[Rule, ...]


def draft_rule(values: Mapping[str, Any], services: Mapping[str, Service]) -> Rule:
    """Return the rule that these values of a file's `rules:` mean. Raises ConfigError: `event: missing ...`.

    A payload may name a ready template of the gallery; a site's own files are for the configuration file.
    """
    rule = dict(values)
    written: dict[str, Any] = {
        "rules": [rule],
        "services": {name: _plain(one) for name, one in services.items()},
    }
    source = Source(Path("rule"), written, spots={}, origins={}, problems=(), looks={})
    found = [*_payload(rule), *_checked(source)]
    draft: _Draft | None = None
    try:
        draft = _Draft.model_validate({"rules": [rule]})
    except ValidationError as error:
        found += problems_of(error, written)
    if draft is None or found:
        raise ConfigError(_lines(found))
    return draft.rules[0]


def _plain(service: Service) -> dict[str, Any]:
    return service.model_dump(mode="json", include={"type", "format", "cloudevents"})


def _checked(source: Source) -> list[Problem]:
    return [problem for problem in checks(source) if problem.place.startswith(_HERE)]


def _payload(rule: dict[str, Any]) -> list[Problem]:
    """Put the text of a ready template where its name stood."""
    payload = rule.get("payload")
    name = payload_name(payload) if isinstance(payload, str) else None
    if name is None:
        return []
    names = [ready.name for ready in gallery()]
    if name not in names:
        meant = suggest(name, names)
        near = (
            said(', did you mean "%(name)s"?', name=meant)
            if meant
            else said("; `mih rules gallery` lists them")
        )
        text = said('there is no ready template "%(name)s"%(near)s', name=name, near=near)
        return [Problem(f"{_HERE}.payload", text)]
    rule["payload"] = (gallery_folder() / name).read_text(encoding="utf-8")
    return []


def _lines(found: list[Problem]) -> list[str]:
    """Return one line per place, the first problem there."""
    first: dict[str, str] = {}
    for problem in found:
        first.setdefault(problem.place.removeprefix(_HERE).lstrip("."), problem.text)
    return [f"{place}: {text}" if place else text for place, text in first.items()]
