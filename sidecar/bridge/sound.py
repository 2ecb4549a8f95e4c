"""Rules made here whose templates do not compile are left out, so that they stop nobody else."""

from collections.abc import Iterator

from sidecar.bridge.match import compile_one
from sidecar.bridge.render import BrokenRule
from sidecar.errors import together
from sidecar.settings import Flaw, Kind, Settings, without


def sound(settings: Settings) -> Settings:
    """Return the settings without such rules; each is among `made.flaws` then."""
    return without(settings, _flaws(settings))


def _flaws(settings: Settings) -> Iterator[Flaw]:
    for rule in settings.rules:
        if rule.name not in settings.made.rules:
            continue
        try:
            compile_one(rule, settings)
        except BrokenRule as broken:
            yield Flaw(Kind.RULE, rule.name, together(broken.lines))
