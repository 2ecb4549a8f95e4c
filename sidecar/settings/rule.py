"""A rule: which events go where, with which payload."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import (
    Field,
    field_validator,
)

from sidecar.model import Event
from sidecar.settings.policies import RuleRetry
from sidecar.settings.section import Section
from sidecar.settings.service import FormatName
from sidecar.settings.values import (
    Age,
    Events,
    HeaderNames,
    Limit,
    Name,
    Seconds,
)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
Scalar = str | int | None

# The columns of an event that hold numbers: `where: {courseid: "2"}` means the number 2.
NUMERIC_COLUMNS: frozenset[str] = frozenset(
    name for name, hint in get_type_hints(Event).items() if hint is int or int in get_args(hint)
)


class Rule(Section):
    """Which events go where, with which payload."""

    name: Name = Field(description="Unique name; part of every delivery id, so renaming it makes a new rule")
    event: Events = Field(description="Event class, a pattern with *, or a list of them")
    service: str = Field(description="Name of the service that gets it")
    endpoint: str = Field(
        default="", description="Path appended to the service's base_url; may hold placeholders"
    )
    method: Method = Field(default="POST", description="HTTP method")
    headers: Annotated[Mapping[str, str], HeaderNames] = Field(
        default={}, description="Headers of this rule's requests; their values may hold placeholders"
    )
    where: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(
        default={}, description="Column: value or list of values; all must hold"
    )
    when: str | None = Field(default=None, description="Sandboxed Jinja2 expression; checked after where")
    payload: Any = Field(
        default=None,
        description="Template text, `file:name` under config/payloads, or a mapping; none: the whole event",
    )
    format: FormatName | None = Field(
        default=None, description="What this rule's payload is written in; null: the service's format"
    )
    max_event_age: Age = Field(
        default=86400.0,
        description="Seconds, or 24h, 7d ...: older events are held back and counted; none: no limit",
    )
    anonymous: Literal["mask", "reveal"] = Field(
        default="mask", description="Whether the person behind an anonymous event leaves"
    )
    retry: RuleRetry = RuleRetry()
    timeout: Annotated[Seconds | None, Limit] = Field(
        default=None, le=600, description="Seconds until a request is given up; null: the service's"
    )
    enabled: bool = Field(default=True, description="false: the rule matches nothing")

    @field_validator("where", mode="before")
    @classmethod
    def _numbers(cls, where: object) -> object:
        """Make numbers of numeric texts, as a variable of the environment can only hold text."""
        if not isinstance(where, Mapping):
            return where
        return {column: _fitted(column, wanted) for column, wanted in where.items()}

    @property
    def events(self) -> tuple[str, ...]:
        """The event patterns as a tuple."""
        return (self.event,) if isinstance(self.event, str) else self.event


def _fitted(column: str, wanted: Any) -> Any:
    if isinstance(wanted, list | tuple):
        return tuple(_fitted(column, one) for one in wanted)
    if column in NUMERIC_COLUMNS and isinstance(wanted, str) and is_whole(wanted):
        return int(wanted)
    return wanted


def is_whole(text: str) -> bool:
    """Tell whether a text is a number that fits a column of Moodle's log."""
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 20
