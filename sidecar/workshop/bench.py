"""The hub as work on definitions needs it: the file in force, what is kept, and who stands where."""

import json
from dataclasses import dataclass
from typing import Any

from sidecar.errors import HubError, said
from sidecar.hub import Hub
from sidecar.settings import Definition, Kind, Source
from sidecar.store.find import known
from sidecar.workshop.refusals import Conflict


@dataclass(frozen=True, slots=True)
class Bench:
    """One state of the configuration, as new as the store."""

    hub: Hub
    source: Source

    def definition(self, kind: Kind, name: str) -> Definition | None:
        """Return what was made here under that name, in force or not."""
        made = self.source.stored.definitions
        return next((one for one in made if (one.kind, one.name) == (kind, name)), None)

    def in_file(self, kind: Kind, name: str) -> bool:
        """Whether the file has a service or rule of that name."""
        made = self.hub.settings.made
        if kind is Kind.SERVICE:
            return name in self.hub.settings.services and name not in made.services
        return name not in made.rules and any(rule.name == name for rule in self.hub.settings.rules)

    def names(self, kind: Kind) -> list[str]:
        """Return all names there are, in the file or made here."""
        settings = self.hub.settings
        there = settings.services if kind is Kind.SERVICE else [rule.name for rule in settings.rules]
        return sorted({*there, *(one.name for one in self.source.stored.definitions if one.kind is kind)})

    def made_here(self, kind: Kind, name: str) -> Definition:
        """Return what can be changed here. Raises NotFound, and Conflict for what stands in the file."""
        found = self.definition(kind, name)
        if self.in_file(kind, name):
            raise Conflict(
                said("%(name)s is in the file %(path)s: edit it there.", name=name, path=self.source.path)
            )
        if found is None:
            known(name, self.names(kind), kind)
            raise Conflict(
                said("%(name)s has just been changed by somebody else: look at it again.", name=name)
            )
        return found


def bench_of(hub: Hub) -> Bench:
    """Return the configuration as it is now. Raises HubError in a process that was given no file."""
    hub.refresh()
    if hub.source is None:
        raise HubError(
            said("This process was started without its configuration file: nothing can be made here.")
        )
    return Bench(hub, hub.source)


def section_of(definition: Definition) -> dict[str, Any]:
    """Return the section that a definition is, with references for secrets; one that is broken is empty."""
    try:
        section = json.loads(definition.text)
    except ValueError:
        return {}
    return section if isinstance(section, dict) else {}
