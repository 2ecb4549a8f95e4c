"""Values become Settings, or the list of what there is to mend in them."""

from pydantic import ValidationError

from sidecar.errors import said
from sidecar.settings.checks import checks
from sidecar.settings.schema import Settings
from sidecar.settings.sentences import problems_of
from sidecar.settings.source import Problem, Source
from sidecar.settings.wording import kind


def validated(source: Source) -> tuple[Settings | None, list[Problem]]:
    """Return the settings if the values have the right shape, and everything that is wrong with them."""
    found = list(source.problems)
    if not isinstance(source.values, dict):
        text = said("expected a mapping (key: value), got %(kind)s", kind=kind(source.values))
        return None, found or [Problem("", text)]
    settings = None
    try:
        settings = Settings.model_validate(source.values)
    except ValidationError as error:
        found += problems_of(error, source.values)
    return settings, [*found, *checks(source)]
