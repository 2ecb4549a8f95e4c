"""The configuration file and the environment become Settings, or one report of all there is to mend."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from sidecar.errors import ConfigError
from sidecar.settings.checks import checks
from sidecar.settings.reading import read
from sidecar.settings.schema import Settings
from sidecar.settings.sentences import problems_of
from sidecar.settings.source import Problem, Source
from sidecar.settings.wording import kind


def load(path: Path, env: Mapping[str, str]) -> Settings:
    """Return the settings. Raises ConfigError with every problem: where, what and how to mend."""
    return parse(read(path, env))


def parse(source: Source) -> Settings:
    """Validate what was read. Raises ConfigError; no problem repeats a value from outside the file."""
    settings, found = _validated(source)
    if settings is None or found:
        raise ConfigError(report(source, found))
    return settings


def report(source: Source, problems: Iterable[Problem]) -> list[str]:
    """Return one line per place in the order of the file: the first problem there, others follow from it."""
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.place, problem)
    ordered = sorted(first.values(), key=lambda problem: problem.line or source.line(problem.place))
    return [source.describe(problem) for problem in ordered]


def _validated(source: Source) -> tuple[Settings | None, list[Problem]]:
    found = list(source.problems)
    if not isinstance(source.values, dict):
        text = f"expected a mapping (key: value), got {kind(source.values)}"
        return None, found or [Problem("", text)]
    settings = None
    try:
        settings = Settings.model_validate(source.values)
    except ValidationError as error:
        found += problems_of(error, source.values)
    return settings, [*found, *checks(source)]
