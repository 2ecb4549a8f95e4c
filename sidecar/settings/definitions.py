"""What the store adds to the configuration: services and rules made here, and sealed secrets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sidecar.errors import said


class Kind(StrEnum):
    """What a definition defines."""

    SERVICE = "service"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class Definition:
    """A service or rule made in the dashboard or by the API: one section of the file, as JSON, no secrets."""

    kind: Kind
    name: str
    text: str
    revision: int
    updated_by: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Secrets:
    """What `${secret:NAME}` stands for. `closed` says why none can be read, `sealed` why one cannot."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    sealed: Mapping[str, str] = field(default_factory=dict)
    closed: str | None = None

    def why_not(self, name: str) -> str:
        """Say why there is no value of that name."""
        there = self.sealed.get(name) or self.closed
        return there or said("there is no secret %(name)s: `mih secrets set %(name)s` keeps one", name=name)


@dataclass(frozen=True, slots=True)
class Stored:
    """All of it as it was read. `mark` changes when any of it does; None: it could not be read."""

    definitions: tuple[Definition, ...] = ()
    secrets: Secrets = Secrets(closed=said("the sidecar's tables were not read"))
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a service or rule is not in force. `shadowed`: the file has one of that name, which wins."""

    kind: Kind
    name: str
    reason: str
    shadowed: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """What of the settings was made here, and what is wrong with services and rules.

    A broken service is among the settings all the same, switched off: so what is for it is queued and waits.
    """

    services: frozenset[str] = frozenset()
    rules: frozenset[str] = frozenset()
    flaws: tuple[Flaw, ...] = ()

    def flaw(self, kind: Kind, name: str) -> Flaw | None:
        """Return what is wrong with a service or rule, if anything is."""
        return next((one for one in self.flaws if (one.kind, one.name) == (kind, name)), None)
