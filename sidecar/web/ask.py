"""What a request may ask for in its path and query: names, numbers, moments, pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import Connection, Row

from sidecar.errors import said
from sidecar.model import DeadReason, DeliveryState
from sidecar.settings.values import NAME_PATTERN
from sidecar.store import dlq, pile
from sidecar.store.trends import Window

_LARGEST = 2**63 - 1
NO_NUL = r"^[^\x00]*$"
KEY_PATTERN = r"^[0-9A-Za-z-]{1,36}$"


def _moment(value: object) -> object:
    """Read ISO 8601; without a zone it is UTC."""
    if not isinstance(value, str):
        return value
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(said("expected a time such as 2026-03-02T14:00:00Z")) from None


Moment = Annotated[datetime, BeforeValidator(_moment, json_schema_input_type=datetime)]
NameText = Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]

ServiceName = Annotated[NameText, Path(description="Name of a service", examples=["crm"])]
RuleName = Annotated[NameText, Path(description="Name of a rule", examples=["new-user-to-crm"])]
Key = Annotated[
    str,
    Path(pattern=KEY_PATTERN, description="The delivery's number or its delivery id", examples=["41"]),
]
Number = Annotated[int, Path(ge=1, le=_LARGEST, description="The number that the list shows")]
OneService = Annotated[NameText | None, Query(description="Only those of this service")]
OneRule = Annotated[NameText | None, Query(description="Only those of this rule")]
OneState = Annotated[DeliveryState | None, Query(description="Only those in this state")]
OneReason = Annotated[DeadReason | None, Query(description="Only those given up for this reason")]
OneSpan = Annotated[Window, Query(description="How far back")]
OneLogRow = Annotated[
    int | None, Query(ge=0, le=_LARGEST, description="Only those of this row of Moodle's log")
]
OneStatus = Annotated[int | None, Query(ge=0, le=999, description="Only those whose last answer was this")]
PartOfEvent = Annotated[
    str | None, Query(max_length=255, pattern=NO_NUL, description="Only those with this in the event's name")
]
PartOfError = Annotated[
    str | None, Query(max_length=200, pattern=NO_NUL, description="Only those with this in the last error")
]
Until = Annotated[Moment | None, Query(description="Only those before then, ISO 8601")]
Since = Annotated[Moment | None, Query(description="Only those since then, ISO 8601")]


@dataclass(frozen=True, slots=True)
class Slice:
    """Which part of a list."""

    before: Annotated[
        int | None, Query(ge=1, le=_LARGEST, description="Only those below: next of the page before")
    ] = None
    limit: Annotated[int, Query(ge=1, le=500, description="Rows at most")] = 50

    def next_after(self, numbers: list[int]) -> int | None:
        """Return where the next page begins, None if this was the last."""
        return numbers[-1] if len(numbers) == self.limit else None


Paged = Annotated[Slice, Depends()]


@dataclass(frozen=True, slots=True)
class Letters:
    """Which dead letters: those that match everything that is named."""

    service: OneService = None
    rule: OneRule = None
    reason: OneReason = None
    since: Since = None

    def count(self, conn: Connection) -> int:
        """Return how many there are."""
        return dlq.count(conn, service=self.service, rule=self.rule, reason=self.reason, since=self.since)

    def page(self, conn: Connection, *, before: int | None, limit: int) -> Sequence[Row[Any]]:
        """Return some of them, the newest first, below the number `before`."""
        choice = pile.Choice(service=self.service, rule=self.rule, reason=self.reason, since=self.since)
        return pile.search(conn, choice, before=before, limit=limit).rows


OfLetters = Annotated[Letters, Depends()]


class Choice(BaseModel):
    """Which dead letters: all, or those that match everything that is named."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"service": "crm", "reason": "exhausted", "count": 17}]},
    )

    all: bool = Field(default=False, description="All of them; else name at least one of the following")
    service: NameText | None = None
    rule: NameText | None = None
    reason: DeadReason | None = None
    since: Moment | None = None
    count: int = Field(
        ge=0,
        le=_LARGEST,
        description="How many you have seen that there are (GET /api/v1/dead-letters/count): with another"
        " number nothing is done. It is not looked at with before.",
    )
    before: int | None = Field(
        default=None, ge=1, le=_LARGEST, description="Go on: next of the answer before"
    )

    @property
    def letters(self) -> Letters:
        """The filters alone."""
        return Letters(self.service, self.rule, self.reason, self.since)
