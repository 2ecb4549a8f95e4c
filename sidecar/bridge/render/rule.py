"""A log row becomes a request here: whether it is wanted, where it goes, and the payload that it carries."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.bridge.render.address import Address, address_of
from sidecar.bridge.render.budget import MAX_SIZE
from sidecar.bridge.render.formats import HEADER
from sidecar.bridge.render.names import Names
from sidecar.bridge.render.payload import Encoding, Payload, compile_payload
from sidecar.bridge.render.program import Program
from sidecar.bridge.render.template import BrokenRule, Compiler
from sidecar.errors import TemplateError, said
from sidecar.model import EVENT_COLUMNS
from sidecar.moodle.lookups import COLUMNS
from sidecar.settings import Problem
from sidecar.settings.rule import Rule


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

    `needs` are the lookups that are named, `columns` those of the event. Safe to use from several threads.
    """

    def __init__(
        self, method: str, programs: "_Programs", needs: frozenset[str], columns: Sequence[str]
    ) -> None:
        self.method = method
        self.needs = needs
        self.columns = columns
        self._programs = programs

    def condition(self, scope: Mapping[str, Any]) -> bool:
        """Tell whether the rule's `when` holds; without one it does."""
        when = self._programs.when
        return when is None or when.run(scope) == "true"

    def order_key(self, scope: Mapping[str, Any]) -> str:
        """Return the value that `order_by` has; empty where there is none."""
        order_by = self._programs.order_by
        return "" if order_by is None else order_by.run(scope)

    def endpoint(self, scope: Mapping[str, Any]) -> str:
        """Return the address below the service's own, placeholders written as its kind wants."""
        address = self._programs.endpoint.run(scope).strip()
        if self._programs.endpoint.constant is not None:  # it was judged when it was compiled
            return address
        problem = self._programs.address.problem(address, self._programs.written)
        if problem:
            what = said("%(place)s: %(text)s", place=address[:80], text=problem)
            raise TemplateError(said("%(place)s, %(text)s", place="endpoint", text=what))
        return address

    def headers(self, scope: Mapping[str, Any]) -> dict[str, str]:
        """Return the rule's headers."""
        headers = self._programs.headers
        return {name: headers[name].run(scope).strip() for name in headers} if headers else {}

    def body(self, scope: Mapping[str, Any]) -> str | None:
        """Return the rendered payload, sound in its format; None where the method carries none."""
        return self._programs.payload.body(scope)

    def render_all(self, scope: Mapping[str, Any]) -> Rendered:
        """Return the whole request, as a preview shows it and the queue takes it."""
        headers, parcel = self.headers(scope), self._programs.payload.parcel(scope)
        brought, content_type = parcel.headers, parcel.content_type
        if headers:
            named = {name.lower(): value for name, value in headers.items()}
            content_type = named.get("content-type", content_type)
            headers = {name: value for name, value in brought.items() if name.lower() not in named} | headers
        return Rendered(self.method, self.endpoint(scope), headers or brought, parcel.body, content_type)


@dataclass(frozen=True, slots=True)
class _Programs:
    when: Program | None
    order_by: Program | None
    endpoint: Program
    headers: Mapping[str, Program]
    payload: Payload
    address: Address
    written: str


def compile_rule(
    rule: Rule,
    encoding: Encoding = Encoding(),  # noqa: B008 - it is frozen
    *,
    site_url: str = "",
    lookups: Mapping[str, tuple[str, ...]] = COLUMNS,
    max_size: int = MAX_SIZE,
    kind: str = "rest",
) -> Template:
    """Compile everything of a rule that is a template. Raises BrokenRule with all problems at once.

    `site_url` is Moodle's address, empty where nobody has said it; `lookups` are the tables that templates
    can name, with their columns; `max_size` is in characters; `kind` is the type of the rule's service.
    """
    address = address_of(kind)
    compiler = Compiler(Names(lookups, site_url=bool(site_url)), max_size)
    when = compiler.condition("when", rule.when) if rule.when is not None else None
    order_by = compiler.value("order_by", rule.order_by) if rule.order_by is not None else None
    endpoint = compiler.text("endpoint", rule.endpoint, address.form)
    headers = {name: compiler.text(f"headers.{name}", value, HEADER) for name, value in rule.headers.items()}
    payload = compile_payload(rule, encoding, compiler)
    problems = [*compiler.problems, *_literal_problems(rule)]
    if (
        endpoint
        and endpoint.constant
        and (found := address.problem(endpoint.constant.strip(), rule.endpoint))
    ):
        problems.append(Problem("endpoint", found))
    if problems or endpoint is None:
        raise BrokenRule(problems)
    kept = {name: program for name, program in headers.items() if program is not None}
    programs = _Programs(when, order_by, endpoint, kept, payload, address, rule.endpoint)
    named = compiler.names | payload.names
    columns = [name for name in EVENT_COLUMNS if name in named or "event" in named]
    return Template(rule.method, programs, named & lookups.keys(), columns)


def _literal_problems(rule: Rule) -> list[Problem]:
    problems = []
    if re.search(r"[\r\n\0]", rule.endpoint.strip()):
        problems.append(Problem("endpoint", said("it has a line break or NUL")))
    for name, value in rule.headers.items():
        if re.search(r"[\r\n\0]", value.strip()):
            problems.append(Problem(f"headers.{name}", said("the value has a line break or NUL")))
    return problems
