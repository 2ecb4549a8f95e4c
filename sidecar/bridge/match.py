"""Which rules a row concerns: by event name, then by age and columns, before anything is rendered."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sidecar.bridge.render import BrokenRule, Encoding, Template, compile_rule
from sidecar.errors import ConfigError, said
from sidecar.model import Event, Held
from sidecar.settings import Problem, Rule, Settings, Source

_NAMES_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Misfit:
    """A column of `where` that has another value than is wanted."""

    column: str
    wanted: object
    found: object


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its template; `version` changes whenever the rule's definition does."""

    rule: Rule
    template: Template
    version: str

    def holds_back(self, event: Event, newest: datetime) -> Held | None:
        """Return why this event is none of the rule's business, or None.

        Age is counted back from `newest`: now, or the moment at which the tail last had read everything, so
        that a restored course's old rows are held back but not what piled up while the sidecar was off.
        """
        limit = self.rule.max_event_age
        if limit is not None and event.timecreated < newest.timestamp() - limit:
            return Held.TOO_OLD
        return Held.WHERE if self.rule.where and self.misfits(event) else None

    def misfits(self, event: Event) -> tuple["Misfit", ...]:
        """Return the columns of `where` that have other values than are wanted."""
        return tuple(
            Misfit(column, wanted, value)
            for column, wanted in self.rule.where.items()
            if (value := getattr(event, column)) not in (wanted if isinstance(wanted, tuple) else (wanted,))
        )

    def switched_on(self) -> "CompiledRule":
        """Return the rule as if it were on, for a trial of one that is off or in the shadow."""
        return replace(self, rule=self.rule.model_copy(update={"state": "on", "enabled": True}))


class RuleBook:
    """All rules; the enabled ones can be asked for by event name."""

    def __init__(self, rules: Sequence[CompiledRule]) -> None:
        self.all = tuple(rules)
        self.rules = tuple(item for item in rules if item.rule.enabled)
        self.names = tuple(sorted({name for item in self.rules for name in item.rule.events}))
        self._patterns = [(item, _matcher(item.rule.events)) for item in self.rules]
        self._known: dict[str, tuple[CompiledRule, ...]] = {}

    def for_event(self, eventname: str) -> tuple[CompiledRule, ...]:
        """Return the rules that want this event, in the order of the file."""
        found = self._known.get(eventname)
        if found is None:
            found = tuple(item for item, wanted in self._patterns if wanted.fullmatch(eventname))
            if len(self._known) < _NAMES_REMEMBERED:
                self._known[eventname] = found
        return found


def compile_book(settings: Settings, source: Source) -> RuleBook:
    """Compile all rules. Raises ConfigError with every problem of every template, each with its place."""
    compiled, problems = [], []
    for number, rule in enumerate(settings.rules):
        try:
            compiled.append(compile_one(rule, settings))
        except BrokenRule as broken:
            where = f"{source.where(f'rules[{number}]')} ({rule.name})"
            problems += [f"{where} {line}" for line in broken.lines]
    if problems:
        raise ConfigError(problems)
    return RuleBook(compiled)


def compile_one(rule: Rule, settings: Settings) -> CompiledRule:
    """Compile one rule, which may stand in no file. Raises BrokenRule with all its problems."""
    return CompiledRule(rule, _compiled(rule, settings), version_of(rule))


def _compiled(rule: Rule, settings: Settings) -> Template:
    service = settings.services[rule.service]
    encoding = Encoding(
        format=rule.format or service.format,
        binary=service.cloudevents == "binary",
        source=service.cloudevents_source,
    )
    if service.type == "soap" and encoding.format != "json":
        text = said("SOAP has its own, arguments are given as json: leave format away")
        raise BrokenRule([Problem("format", text)])
    return compile_rule(
        rule, encoding, site_url=settings.site_url, max_size=service.max_payload, kind=service.type
    )


def version_of(rule: Rule) -> str:
    """Return a short fingerprint of a rule's definition.

    Of what differs from the defaults only: else every option that a new program brings would change it.
    """
    text = json.dumps(rule.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def wants(name: str, event: str) -> bool:
    """Tell whether an event name or pattern of a rule fits this event; a pattern also fits itself."""
    return name == event or _matcher([name]).fullmatch(event) is not None


def _matcher(names: Sequence[str]) -> re.Pattern[str]:
    options = (".*".join(re.escape(piece) for piece in name.split("*")) for name in names)
    return re.compile("|".join(options), re.DOTALL)
