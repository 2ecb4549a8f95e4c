"""One service or rule is judged for itself, as if it stood in the file: what is wrong, each at its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sidecar.settings.rule import Rule
from sidecar.settings.schema import Settings
from sidecar.settings.service import Service
from sidecar.settings.source import Problem, Source
from sidecar.settings.validate import validated

Section = Mapping[str, Any]

# Where a service that cannot be read stands meanwhile. The name resolves nowhere (RFC 2606).
_NOWHERE: Section = {"base_url": "https://broken.invalid"}
# A longer timeout than the lease allows is told where it can be mended.
_MENDED_AT = {"dispatch.lease": "timeout"}


@dataclass(frozen=True, slots=True)
class FitService:
    """A service, and what is wrong with it: then it is only what can be said of it, and not to be called."""

    service: Service
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class FitRule:
    """A rule, None if something is wrong with it."""

    rule: Rule | None
    problems: tuple[Problem, ...] = ()


def fit_service(source: Source, name: str, section: object) -> FitService:
    """Judge one service. `source` is a sound file; the places are those within the service."""
    settings, problems = _judged(source, f"services.{name}", {"services": {name: section}})
    if settings is not None and not problems:
        return FitService(settings.services[name])
    return FitService(_salvaged(source, name, section, problems), problems)


def fit_rule(source: Source, section: object, services: Mapping[str, object]) -> FitRule:
    """Judge one rule among all services, given as they are written; the places are those within the rule."""
    wanted = str(section.get("service")) if isinstance(section, dict) else ""
    others = {name: services[name] if name == wanted else _NOWHERE for name in services}
    settings, problems = _judged(source, "rules[0]", {"services": others, "rules": [section]})
    return FitRule(settings.rules[0] if settings and not problems else None, problems)


def plain(service: Service) -> Section:
    """Return what of a service its rules are judged by, as it is written in the file."""
    return {**_NOWHERE, **service.model_dump(mode="json", include={"format", "cloudevents"})} | (
        {} if service.type == "rest" else {"type": service.type, "base_url": service.base_url}
    )


def _judged(
    source: Source, around: str, sections: Mapping[str, Any]
) -> tuple[Settings | None, tuple[Problem, ...]]:
    head = {key: value for key, value in source.values.items() if key not in ("services", "rules")}
    alone = replace(source, values={**head, **sections}, spots={}, origins={}, problems=(), unread={})
    settings, found = validated(alone)
    return settings, tuple(_first_each(_within(problem, around) for problem in found))


def _within(problem: Problem, around: str) -> Problem:
    place = _MENDED_AT.get(problem.place, problem.place)
    return replace(problem, place=place.removeprefix(around).lstrip("."))


def _first_each(problems: Any) -> Sequence[Problem]:
    """Return one problem a place: others follow from the first."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.place, problem)
    return list(first.values())


def _salvaged(source: Source, name: str, section: object, problems: Sequence[Problem]) -> Service:
    """Return what is left without the options that are wrong: its rules go on writing in its format."""
    sound = dict(section) if isinstance(section, dict) else {}
    for _ in range(len(sound) + 1):
        sound = {key: value for key, value in sound.items() if not _at_fault(str(key), problems)}
        sound = {**_NOWHERE, **sound}
        settings, left = _judged(source, f"services.{name}", {"services": {name: sound}})
        if settings is not None and not left:
            return settings.services[name]
        if not any(_at_fault(str(key), left) for key in sound):
            break
        problems = left
        if _at_fault("base_url", left):
            sound.pop("base_url")
    return Service.model_validate(_NOWHERE)


def _at_fault(key: str, problems: Sequence[Problem]) -> bool:
    return any(
        problem.place == key or problem.place.startswith((f"{key}.", f"{key}[")) for problem in problems
    )
