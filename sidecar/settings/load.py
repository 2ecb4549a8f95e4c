"""The configuration file and the environment become Settings, or one report of all there is to mend."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from sidecar.errors import ConfigError
from sidecar.settings.fitting import FitService, fit_service, plain
from sidecar.settings.overlay import broken_services, overlay
from sidecar.settings.reading import read
from sidecar.settings.schema import Settings
from sidecar.settings.source import Problem, Source
from sidecar.settings.validate import validated


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """Return the settings of the file alone. Raises ConfigError: each problem with where, what, how to mend.

    What was made here is not among them; a service whose secret is kept in the store is switched off.
    """
    return parse(read(path, env))


def parse(source: Source) -> Settings:
    """Validate what was read. Raises ConfigError; no problem repeats a value from outside the file.

    Only the file can raise it. What is wrong with a definition of the store is among `made.flaws`.
    """
    broken = {
        name: fit_service(source, name, source.values["services"][name]) for name in broken_services(source)
    }
    settings, found = validated(_without_broken(source, broken))
    found += [problem for name, fit in broken.items() for problem in _besides_secrets(source, name, fit)]
    if settings is None or found:
        raise ConfigError(report(source, found))
    return overlay(source, settings)


def report(source: Source, problems: Iterable[Problem]) -> list[str]:
    """Return one line per place in the order of the file: the first problem there, others follow from it."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.place, problem)
    ordered = sorted(first.values(), key=lambda problem: problem.line or source.line(problem.place))
    return [source.describe(problem) for problem in ordered]


def _without_broken(source: Source, broken: Mapping[str, FitService]) -> Source:
    """Keep what is sound of services whose secrets cannot be read: their rules are judged by it."""
    if not broken:
        return source
    services = source.values["services"] | {name: plain(fit.service) for name, fit in broken.items()}
    return replace(source, values={**source.values, "services": services})


def _besides_secrets(source: Source, name: str, fit: FitService) -> Iterator[Problem]:
    """Yield what is wrong with such a service whatever its secret is: it would be told when that is there."""
    for problem in fit.problems:
        place = f"services.{name}.{problem.place}".rstrip(".")
        if not any(one == place or one.startswith((f"{place}.", f"{place}[")) for one in source.unread):
            yield replace(problem, place=place)
