"""A log row becomes a request here: whether it is wanted, where it goes, and the payload that it carries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.bridge.render.budget import MAX_SIZE
from sidecar.bridge.render.formats import HEADER, URL
from sidecar.bridge.render.names import Names
from sidecar.bridge.render.program import Program
from sidecar.bridge.render.template import BrokenRule, Compiler
from sidecar.errors import TemplateError
from sidecar.model import EVENT_COLUMNS
from sidecar.moodle.lookups import COLUMNS
from sidecar.settings.schema import Rule

# The payload of a rule that names none. Receivers rely on it: names may be added, never changed.
WHOLE_EVENT: Mapping[str, str] = {
    "delivery_id": "{{ delivery.id }}",
    "site": "{{ site }}",
    "rule": "{{ rule }}",
    **{name: f"{{{{ {name} }}}}" for name in EVENT_COLUMNS},
}
_WITHOUT_BODY = frozenset(("GET", "DELETE", "HEAD"))


@dataclass(frozen=True, slots=True)
class Rendered:
    """A request as one row makes it, before the service's own address and credentials are added."""

    method: str
    endpoint: str
    headers: Mapping[str, str]
    body: str | None
    content_type: str | None


class Template:
    """The compiled templates of one rule. Everything raises TemplateError with label, line, column and piece.

    Safe to use from several threads.
    """

    def __init__(self, method: str, programs: "_Programs", needs: frozenset[str]) -> None:
        self.method = method
        self.needs = needs
        self._programs = programs

    def condition(self, scope: Mapping[str, Any]) -> bool:
        """Tell whether the rule's `when` holds; without one it does."""
        when = self._programs.when
        return when is None or when.run(scope) == "true"

    def endpoint(self, scope: Mapping[str, Any]) -> str:
        """Return the address below the service's own; placeholders are percent-encoded."""
        address = self._programs.endpoint.run(scope).strip()
        if not self._programs.dots and _climbs(address):
            raise TemplateError(
                f"endpoint, {address[:80]}: data must not put `.` or `..` between the slashes"
            )
        return address

    def headers(self, scope: Mapping[str, Any]) -> dict[str, str]:
        """Return the rule's headers."""
        return {name: program.run(scope).strip() for name, program in self._programs.headers.items()}

    def body(self, scope: Mapping[str, Any]) -> str | None:
        """Return the payload, always valid JSON; None where the method carries none."""
        programs = self._programs
        if programs.body is None:
            return None
        return programs.body.run(scope) if programs.proven else programs.body.run_json(scope)

    def render_all(self, scope: Mapping[str, Any]) -> Rendered:
        """Return the whole request, as a preview shows it and the queue takes it."""
        headers, body = self.headers(scope), self.body(scope)
        named = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
        content_type = named or (None if body is None else "application/json")
        return Rendered(self.method, self.endpoint(scope), headers, body, content_type)


@dataclass(frozen=True, slots=True)
class _Programs:
    when: Program | None
    endpoint: Program
    headers: Mapping[str, Program]
    body: Program | None
    proven: bool
    dots: bool


def compile_rule(
    rule: Rule, *, lookups: Mapping[str, tuple[str, ...]] = COLUMNS, max_size: int = MAX_SIZE
) -> Template:
    """Compile everything of a rule that is a template. Raises BrokenRule with all problems at once.

    `lookups` are the tables that templates can name, with their columns; `max_size` is in characters.
    """
    compiler = Compiler(Names(lookups), max_size)
    when = compiler.condition("when", rule.when) if rule.when is not None else None
    endpoint = compiler.text("endpoint", rule.endpoint, URL)
    headers = {name: compiler.text(f"headers.{name}", value, HEADER) for name, value in rule.headers.items()}
    body, proven = _body(rule, compiler)
    problems = [*compiler.problems, *_literal_problems(rule)]
    if problems or endpoint is None:
        raise BrokenRule(problems)
    kept = {name: program for name, program in headers.items() if program is not None}
    programs = _Programs(when, endpoint, kept, body, proven, _climbs(rule.endpoint))
    return Template(rule.method, programs, compiler.needs)


def _body(rule: Rule, compiler: Compiler) -> tuple[Program | None, bool]:
    if rule.payload is None:
        return (None if rule.method in _WITHOUT_BODY else compiler.tree("payload", WHOLE_EVENT)), True
    if not isinstance(rule.payload, str):
        return compiler.tree("payload", rule.payload), True
    return compiler.json_text("payload", rule.payload) or (None, True)


def _literal_problems(rule: Rule) -> list[str]:
    problems = []
    if re.search(r"[\r\n\0]", rule.endpoint.strip()):
        problems.append("endpoint: it has a line break or NUL")
    for name, value in rule.headers.items():
        if re.search(r"[\r\n\0]", value.strip()):
            problems.append(f"headers.{name}: the value has a line break or NUL")
    return problems


def _climbs(address: str) -> bool:
    return any(step in {".", ".."} for step in address.partition("?")[0].split("/"))
