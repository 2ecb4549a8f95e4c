"""A service or rule as it is written: to look at, to change, to paste into the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sidecar.hub import Hub
from sidecar.settings import Definition, Kind
from sidecar.settings.export import section_text
from sidecar.store.find import known
from sidecar.workshop.bench import Bench, bench_of, section_of
from sidecar.workshop.draft import file_section, masked


@dataclass(frozen=True, slots=True)
class Shown:
    """A service or rule without its secrets: stars stand for them, and sent back leave them as they are.

    `revision` is what a change has to name; None: it stands in the file. `flaw` says why it is not in force.
    """

    kind: Kind
    name: str
    section: Mapping[str, Any]
    revision: int | None = None
    updated_by: str | None = None
    updated_at: datetime | None = None
    flaw: str | None = None
    shadowed: bool = False


def show(hub: Hub, kind: Kind, name: str) -> Shown:
    """Return a service or rule, what the file shadows as it was made here. Raises NotFound."""
    bench = bench_of(hub)
    found = bench.definition(kind, name)
    flaw = hub.settings.made.flaw(kind, name)
    reason, shadowed = (flaw.reason, flaw.shadowed) if flaw else (None, False)
    if found is None or (bench.in_file(kind, name) and not shadowed):
        return Shown(kind, name, masked_if(kind, _in_file(bench, kind, name)), flaw=reason)
    section = masked_if(kind, section_of(found))
    return Shown(kind, name, section, found.revision, found.updated_by, found.updated_at, reason, shadowed)


def export(hub: Hub, kind: Kind, name: str) -> str:
    """Return the YAML of a service or rule for the file; secrets are variables to set. Raises NotFound."""
    return section_text(kind, name, dict(show(hub, kind, name).section))


def made_here(hub: Hub, kind: Kind) -> list[Definition]:
    """Return all that was made here, in force or not."""
    return [one for one in bench_of(hub).source.stored.definitions if one.kind is kind]


def masked_if(kind: Kind, section: dict[str, Any]) -> dict[str, Any]:
    """Return the section without secrets; rules have none."""
    return masked(section) if kind is Kind.SERVICE else section


def _in_file(bench: Bench, kind: Kind, name: str) -> dict[str, Any]:
    settings = bench.hub.settings
    known(name, bench.names(kind), kind)
    if kind is Kind.SERVICE:
        return file_section(settings.services[name])
    return file_section(next(rule for rule in settings.rules if rule.name == name))
