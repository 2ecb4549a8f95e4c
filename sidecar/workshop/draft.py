"""What somebody wants a service or rule to be: secrets taken out, the rest judged as if the file had it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

from sidecar.bridge.match import compile_one
from sidecar.bridge.render import BrokenRule
from sidecar.errors import said
from sidecar.settings import STARS, Definition, Kind, Problem, Rule, Service, Settings, Source
from sidecar.settings.broker import part
from sidecar.settings.fitting import fit_rule, fit_service
from sidecar.settings.overlay import resolved, written
from sidecar.settings.secretive import replaced, secrets_of
from sidecar.settings.source import child
from sidecar.settings.values import NAME_PATTERN, PATTERN_WORDS
from sidecar.settings.variables import secret_text
from sidecar.workshop.refusals import BadDefinition

_LONGEST = 262_144
_LONGEST_NAME = 100
_LONGEST_SECRET_NAME = 200
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}|\$\{secret:")
_TEMPLATES = ("payload", "when")


@dataclass(frozen=True, slots=True)
class Draft:
    """A sound definition: its text without secrets, the secrets to seal, the names of those that stay."""

    kind: Kind
    name: str
    section: Mapping[str, Any]
    fresh: Mapping[str, str] = field(default_factory=dict, repr=False)
    kept: frozenset[str] = frozenset()
    made: Service | Rule | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """The definition as it is kept."""
        return text_of(self.section)


def draft_service(source: Source, name: str, values: object, before: Definition | None) -> Draft:
    """Return a sound service. Raises BadDefinition with all problems.

    Where a secret is to stay as it is in `before`, STARS stand. It has to be written again when the service
    moves elsewhere: who may change a service may not thereby read its secrets.
    """
    section = _parted(_plain(values))
    found = [*_name_problems(name), *_variables(section, "", ())]
    fresh, kept = {}, set()
    references: dict[str, str] = {}
    old = json.loads(before.text) if before else {}
    for place, value in secrets_of(section).items():
        full = f"services.{name}.{place}"
        references[place] = secret_text(full)
        if value == STARS:
            found += _keep_problems(source, full, place, section, old)
            kept.add(full)
        elif isinstance(value, str):
            fresh[full] = value
        else:
            references.pop(place)  # the service's own rules say what is wrong with it
        if len(full) > _LONGEST_SECRET_NAME:
            found.append(Problem(place, said("the names of the service and of this are too long together")))
    draft = Draft(Kind.SERVICE, name, replaced(section, references), fresh, frozenset(kept))
    if found:
        raise BadDefinition(found)
    return replace(draft, made=_fitting_service(source, draft))


def draft_rule(source: Source, settings: Settings, name: str, values: object) -> Draft:
    """Return a sound rule whose templates compile. Raises BadDefinition with all problems."""
    section = _plain(values)
    found = [*_name_problems(name), *_variables(section, "", _TEMPLATES)]
    if section.get("name", name) != name:
        found.append(
            Problem(
                "name",
                said("it is %(name)s: its deliveries' ids depend on it, so make another rule", name=name),
            )
        )
    section = {"name": name, **{key: value for key, value in section.items() if key != "name"}}
    draft = Draft(Kind.RULE, name, section)
    reading = resolved(source, _definition(draft))
    fit = fit_rule(source, reading.section, written(settings.services))
    found += [*reading.problems, *fit.problems]
    if fit.rule is None or found:
        raise BadDefinition(_once(found))
    try:
        compile_one(fit.rule, settings)
    except BrokenRule as broken:
        raise BadDefinition(broken.problems) from None
    return replace(draft, made=fit.rule)


def text_of(section: Mapping[str, Any]) -> str:
    """Return a section as it is kept: plain ASCII, whatever it holds."""
    return json.dumps(section, allow_nan=False)


def file_section(thing: BaseModel) -> dict[str, Any]:
    """Return a service or rule of the file as it is written there, without its secrets."""
    section: dict[str, Any] = thing.model_dump(mode="json", exclude_unset=True)
    return section


def masked(section: dict[str, Any]) -> dict[str, Any]:
    """Return a service with stars for its secrets."""
    shown: dict[str, Any] = replaced(section, dict.fromkeys(secrets_of(section), STARS))
    return shown


def _fitting_service(source: Source, draft: Draft) -> Service:
    """Judge the service by the way on which it will be read later, with its secrets in their places."""
    there = source.stored.secrets
    values = {**there.values, **draft.fresh}
    with_secrets = replace(source, stored=replace(source.stored, secrets=replace(there, values=values)))
    reading = resolved(with_secrets, _definition(draft))
    fit = fit_service(with_secrets, draft.name, reading.section)
    problems = _once([*reading.problems, *fit.problems])
    if problems:
        raise BadDefinition(problems)
    return fit.service


def _plain(values: object) -> dict[str, Any]:
    """Return the values as they come back from where they are kept. Raises BadDefinition."""
    if not isinstance(values, dict):
        raise BadDefinition([Problem("", said("expected a mapping (key: value)"))])
    try:
        text = json.dumps(values, allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError):
        raise BadDefinition(
            [Problem("", said("it holds what JSON cannot: NaN, half a character, or too deep a nesting"))]
        ) from None
    if size > _LONGEST:
        raise BadDefinition(
            [
                Problem(
                    "",
                    said(
                        "%(size)s bytes are too many: %(most)s at most",
                        size=f"{size:,}",
                        most=f"{_LONGEST:,}",
                    ),
                )
            ]
        )
    if "\\u0000" in text:
        raise BadDefinition([Problem("", said("it holds a NUL character, which no database keeps"))])
    plain: dict[str, Any] = json.loads(text)
    return plain


def _parted(section: dict[str, Any]) -> dict[str, Any]:
    """Take user and password out of a broker's URL, as the reader of the file does."""
    url = section.get("base_url")
    parted = part(url) if section.get("type") == "amqp" and isinstance(url, str) else None
    if parted is None or parted.user is None or section.get("auth") not in (None, {"type": "none"}):
        return section
    auth = {"type": "basic", "username": parted.user, "password": parted.password}
    return {**section, "base_url": parted.url, "auth": auth}


def _name_problems(name: str) -> Iterator[Problem]:
    if not re.fullmatch(NAME_PATTERN, name) or name.endswith("\n"):
        yield Problem("name", PATTERN_WORDS[NAME_PATTERN])
    elif len(name) > _LONGEST_NAME:
        yield Problem("name", said("at most %(n)s characters", n=_LONGEST_NAME))


def _variables(value: Any, place: str, templates: tuple[str, ...]) -> Iterator[Problem]:
    """Find variables, which only the file has: here they would give the sidecar's own secrets away."""
    if isinstance(value, dict):
        for key, one in value.items():
            if child(place, str(key)) not in templates:
                yield from _variables(one, child(place, str(key)), templates)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _variables(one, child(place, number), templates)
    elif isinstance(value, str) and _VARIABLE.search(value):
        yield Problem(place, said("variables are for the configuration file: write the value itself"))


def _keep_problems(
    source: Source, full: str, place: str, section: Mapping[str, Any], old: Mapping[str, Any]
) -> Iterator[Problem]:
    if place not in secrets_of(old):
        yield Problem(place, said("nothing is kept here yet: %(stars)s cannot stand for it", stars=STARS))
    elif full not in source.stored.secrets.values:
        yield Problem(place, source.stored.secrets.why_not(full))
    elif _destinations(section) - _destinations(old):
        yield Problem(place, said("write it again: the service is to be somewhere else than before"))
    elif place.startswith("signing.previous") and _previous(section) != _previous(old):
        yield Problem(place, said("write it again: the list has another length than before"))


def _previous(section: Mapping[str, Any]) -> int:
    signing = section.get("signing")
    found = signing.get("previous") if isinstance(signing, dict) else None
    return len(found) if isinstance(found, list) else 0


def _destinations(section: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return where a service's secrets may go: all places that it names, scheme and host."""
    auth, soap = (one if isinstance(one, dict) else {} for one in (section.get("auth"), section.get("soap")))
    proxy = section.get("proxy")
    urls = [section.get("base_url"), auth.get("token_url"), soap.get("address")]
    # A proxy is a secret itself: one that is written anew may be anywhere.
    fresh = [proxy] if isinstance(proxy, str) and proxy != STARS and not proxy.startswith("${") else []
    return {_origin(url) for url in [*urls, *fresh] if isinstance(url, str) and url}


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", url
    return parts.scheme.lower(), parts.netloc.lower()


def _definition(draft: Draft) -> Definition:
    return Definition(draft.kind, draft.name, draft.text, 0, "", datetime.fromtimestamp(0, UTC))


def _once(problems: list[Problem]) -> list[Problem]:
    first: dict[str, Problem] = {}
    for problem in problems:
        first.setdefault(problem.place, problem)
    return list(first.values())
