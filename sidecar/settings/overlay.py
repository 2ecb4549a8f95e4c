"""The file's settings with what was made here laid over them: what is unsound costs itself, nothing else."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.errors import said, text_of, together
from sidecar.settings.definitions import Definition, Flaw, Kind, Made
from sidecar.settings.files import Files
from sidecar.settings.fitting import fit_rule, fit_service, plain
from sidecar.settings.payloads import payload_name, read_payload
from sidecar.settings.rule import Rule
from sidecar.settings.schema import Settings
from sidecar.settings.service import Service
from sidecar.settings.source import Problem, Source, child
from sidecar.settings.variables import UNREADABLE, secret_names, secret_text

_OF_FILES = ("ca", "cert", "key")


def broken_services(source: Source) -> dict[str, str]:
    """Return the services of the file that want a secret which cannot be read, each with the reason."""
    services = source.values.get("services") if isinstance(source.values, dict) else None
    names = sorted(services, key=len, reverse=True) if isinstance(services, dict) else []
    found: dict[str, str] = {}
    for place, reason in source.unread.items():
        name = next((name for name in names if place.startswith(f"services.{name}.")), None)
        if name is not None:
            inner = place.removeprefix(f"services.{name}.")
            found.setdefault(name, said("%(place)s: %(text)s", place=inner, text=reason))
    return found


def overlay(source: Source, settings: Settings) -> Settings:
    """Return the settings of the file with the definitions of the store.

    A name of the file wins. What cannot be read or is wrong is a flaw: a service is then there but switched
    off, so that what is for it is queued and waits; a rule is left out.
    """
    laying = _Laying(source, settings)
    laying.mend(broken_services(source))
    for definition in _of(source, Kind.SERVICE):
        laying.service(definition)
    for definition in _of(source, Kind.RULE):
        laying.rule(definition)
    return laying.settings()


def wanted_secrets(source: Source) -> frozenset[str]:
    """Return the names of all secrets that the file or a definition refers to."""
    texts = [one.text for one in source.stored.definitions if one.kind is Kind.SERVICE]
    return source.asked.union(*(secret_names(text) for text in texts))


def resolved(source: Source, definition: Definition) -> "Resolved":
    """Return the section that a definition is, with its secrets and templates in their places."""
    reading = Resolved(source, definition)
    reading.read()
    return reading


@dataclass(slots=True)
class Resolved:
    """A section as it would stand in the file. Nothing of the environment gets in, and no file but templates.

    Whoever may make services would otherwise read the sidecar's own secrets with them. For the same reason a
    place gets its own secret only, which has the place's name.
    """

    source: Source
    definition: Definition
    section: Any = field(default=None, repr=False)
    problems: list[Problem] = field(default_factory=list)

    def read(self) -> None:
        """Fill in `section` and `problems`."""
        try:
            written = json.loads(self.definition.text)
        except ValueError:
            self.problems.append(Problem("", said("its definition in mih_definitions is no JSON")))
            return
        self.section = self._value(written, "")

    def _value(self, value: Any, place: str) -> Any:
        if isinstance(value, dict):
            return {key: self._value(inner, child(place, str(key))) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner, child(place, number)) for number, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        return (
            self._in_service(value, place)
            if self.definition.kind is Kind.SERVICE
            else self._text(value, place)
        )

    def _in_service(self, text: str, place: str) -> str:
        name = f"services.{self.definition.name}.{place}"
        if text == secret_text(name):
            secrets = self.source.stored.secrets
            if name not in secrets.values:
                self.problems.append(Problem(place, secrets.why_not(name)))
            return secrets.values.get(name, UNREADABLE)
        if place in [f"tls.{key}" for key in _OF_FILES] and text:
            return self._beside(text, place)
        return text

    def _beside(self, name: str, place: str) -> str:
        folder = self.source.path.parent.absolute()
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            self.problems.append(
                Problem(place, said("name a file below %(folder)s, such as tls/ca.pem", folder=folder))
            )
            return UNREADABLE
        return str(folder / name)

    def _text(self, text: str, place: str) -> str:
        name = payload_name(text) if place == "payload" else None
        if name is None:
            return text
        try:
            return read_payload(name, self.source.path.parent / "payloads", Files()).text
        except ValueError as error:
            self.problems.append(Problem(place, text_of(error)))
            return text


class _Laying:
    """One pass over the definitions."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._source, self._settings = source, settings
        self._services = dict(settings.services)
        self._rules = list(settings.rules)
        self._rules_of_file = {rule.name for rule in settings.rules}
        self._made: tuple[set[str], set[str]] = (set(), set())
        self._flaws: list[Flaw] = []

    def mend(self, broken: Mapping[str, str]) -> None:
        """Switch off services of the file whose secrets cannot be read."""
        for name, reason in broken.items():
            fit = fit_service(self._source, name, self._source.values["services"][name])
            self._put(name, fit.service, reason, private=True)

    def service(self, definition: Definition) -> None:
        name = definition.name
        if name in self._settings.services:
            self._shadow(definition, said("the file has a service %(name)s, which is in force", name=name))
            return
        found = resolved(self._source, definition)
        fit = fit_service(self._source, name, found.section)
        problems = [*found.problems, *fit.problems]
        self._made[0].add(name)
        self._put(name, fit.service, _sentence(problems), private=False)

    def rule(self, definition: Definition) -> None:
        name = definition.name
        if name in self._rules_of_file:
            self._shadow(definition, said("the file has a rule %(name)s, which is in force", name=name))
            return
        found = resolved(self._source, definition)
        fit = fit_rule(self._source, _named(found.section, name), written(self._services))
        problems = [*found.problems, *fit.problems]
        if fit.rule is None or problems:
            reason = _sentence(problems) or said("it cannot be read")
            self._flaws.append(Flaw(Kind.RULE, name, reason))
            return
        self._made[1].add(name)
        self._rules.append(fit.rule)

    def settings(self) -> Settings:
        services, rules = map(frozenset, self._made)
        made = Made(services, rules, tuple(self._flaws))
        return self._settings.with_made(self._services, tuple(self._rules), made)

    def _put(self, name: str, service: Service, reason: str | None, *, private: bool) -> None:
        network = self._settings.network.rules(private=private)
        placed = service.within(network).unfit(reason)
        self._services[name] = placed if private else placed.made_here()
        if reason is not None:
            self._flaws.append(Flaw(Kind.SERVICE, name, reason))

    def _shadow(self, definition: Definition, reason: str) -> None:
        self._flaws.append(Flaw(definition.kind, definition.name, reason, shadowed=True))


def written(services: Mapping[str, Service]) -> dict[str, object]:
    """Return services as a rule's checks want them."""
    return {name: plain(service) for name, service in services.items()}


def without(settings: Settings, flaws: Iterable[Flaw]) -> Settings:
    """Return the settings without rules made here that turned out to be unsound."""
    found = tuple(flaws)
    if not found:
        return settings
    names = {flaw.name for flaw in found}
    rules: tuple[Rule, ...] = tuple(rule for rule in settings.rules if rule.name not in names)
    made = Made(settings.made.services, settings.made.rules - names, settings.made.flaws + found)
    return settings.with_made(dict(settings.services), rules, made)


def _of(source: Source, kind: Kind) -> list[Definition]:
    return sorted((one for one in source.stored.definitions if one.kind is kind), key=lambda one: one.name)


def _named(section: Any, name: str) -> Any:
    return {**section, "name": name} if isinstance(section, dict) else section


def _sentence(problems: Iterable[Problem]) -> str | None:
    """Return all problems in one line, None if there are none."""
    lines = dict.fromkeys(
        said("%(place)s: %(text)s", place=one.place, text=one.text) if one.place else one.text
        for one in problems
    )
    return together(lines) or None
