"""A rule: which events go where, with which payload."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args, get_type_hints

from pydantic import (
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from sidecar.model import Event
from sidecar.settings.batching import BatchSettings
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
RuleState = Literal["off", "shadow", "on"]


def _word(state: object) -> object:
    """Return on and off for what other readers of YAML make of these words: they take them for booleans."""
    return {True: "on", False: "off"}[state] if isinstance(state, bool) else state


State = Annotated[RuleState, BeforeValidator(_word, json_schema_input_type=RuleState | bool)]

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
    order_by: Annotated[str | None, Limit] = Field(
        default=None,
        description="Expression, such as userid: deliveries with one value leave one by one, by log id",
    )
    expires_after: Age = Field(
        default=None,
        description="Seconds, or 30m, 24h ..., after it was queued that a delivery is not sent any more",
    )
    batch: BatchSettings | None = Field(
        default=None, description="Send many deliveries in one request, as a JSON array; null: one each"
    )
    state: State = Field(
        default="on", description="off: matches nothing; shadow: renders and counts, sends nothing; on"
    )
    enabled: bool = Field(default=True, description="false: as `state: off`")

    @field_validator("where", mode="before")
    @classmethod
    def _numbers(cls, where: object) -> object:
        """Make numbers of numeric texts, as a variable of the environment can only hold text."""
        if not isinstance(where, Mapping):
            return where
        return {column: _fitted(column, wanted) for column, wanted in where.items()}

    @model_validator(mode="after")
    def _one_switch(self) -> Self:
        """Let both words say the same: whoever reads only one of them is not misled."""
        if "off" in (self.state, "on" if self.enabled else "off"):
            # Past the frozen door: the value is still being made.
            object.__setattr__(self, "state", "off")
            object.__setattr__(self, "enabled", False)
        return self

    @property
    def shadow(self) -> bool:
        """Whether it renders and counts but sends nothing."""
        return self.state == "shadow"

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
