"""What the API answers about events, trials of rules, stories and groups of dead letters, field by field."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from sidecar.bridge.compare import Sign
from sidecar.bridge.history import Stop
from sidecar.bridge.letters import Advice
from sidecar.bridge.preview import Verdict
from sidecar.bridge.replay import Fate
from sidecar.bridge.shown import Remark
from sidecar.bridge.story import Kind, RuleNow
from sidecar.model import DeadReason, DeliveryState, Held

_PERSONAL = "With role manage"


class MadeOf(BaseModel):
    """A delivery that a rule made of a row."""

    number: int
    delivery_id: str
    state: DeliveryState


class Interest(BaseModel):
    """A rule that wants the event of a row, and what became of it."""

    rule: str
    state: str = Field(description="of the rule: on, shadow, off, or gone from the configuration")
    held: Held | None = Field(description="where: a column does not fit")
    made: MadeOf | None = Field(
        description="Its delivery; without one and without `held`: its `when` was false, the row too old, or"
        " the rule was not in force"
    )


class EventRow(BaseModel):
    """A row of Moodle's log, decoded; persons only with role manage, and never of anonymous rows."""

    id: int
    eventname: str
    component: str | None
    action: str | None
    target: str | None
    objecttable: str | None
    objectid: int | None
    crud: str | None
    edulevel: int | None
    contextid: int | None
    contextlevel: int | None
    contextinstanceid: int | None
    userid: int | None
    courseid: int | None
    relateduserid: int | None
    anonymous: int | None
    other: Any = Field(description=_PERSONAL)
    timecreated: int | None
    origin: str | None
    ip: str | None
    realuserid: int | None
    other_problem: str | None = Field(description="Why `other` could not be decoded")


class LoggedEvent(BaseModel):
    """A row of Moodle's log with the rules that want its event."""

    event: EventRow
    rules: Sequence[Interest]


class EventPage(BaseModel):
    """Some rows, the newest first."""

    items: Sequence[LoggedEvent]
    next: int | None = Field(description="Ask again with before=this; a short page may have one, too")
    looked_at: int = Field(description="How many ids were looked at; a page ends after 20,000")


class Kindred(BaseModel):
    """A kind of event."""

    name: str
    component: str
    title: str = Field(description="Its name in words")
    rows: int = Field(description="Of it among the newest ids; 0: it was not seen")
    last_id: int | None
    known: bool = Field(description="Whether Moodle 4.5 itself comes with it")


class Names(BaseModel):
    """Kinds of events: those seen in this Moodle first, then what it could write."""

    items: Sequence[Kindred]
    after: int = Field(description="Counted were the rows above this id")
    head: int
    at: datetime = Field(description="When it was counted; that is done again after five minutes")


class FieldOf(BaseModel):
    """Something that rows of an event had."""

    name: str = Field(description="As a template names it")
    rows: int = Field(description="In how many of the rows it was not empty")
    kinds: Sequence[str]
    samples: Sequence[str] = Field(description=_PERSONAL)


class FieldsOf(BaseModel):
    """The fields of an event, by its newest rows."""

    rows: int = Field(description="How many rows were looked at, 20 at most")
    fields: Sequence[FieldOf]


class Misfit(BaseModel):
    """A column of `where` that has another value than is wanted."""

    column: str
    wanted: Any
    found: Any


class Shown(BaseModel):
    """A request as it would go out; secrets are stars."""

    method: str
    address: str
    headers: Mapping[str, str]
    body: str | None
    content_type: str | None
    size: int = Field(description="Bytes of the body")
    limit: int = Field(description="max_payload of the service")
    remarks: Sequence[Remark]


class Preview(BaseModel):
    """What a rule makes of a row."""

    verdict: Verdict
    event: EventRow | None = Field(description="The row as the rule's template sees it")
    misfits: Sequence[Misfit]
    reason: DeadReason | None
    error: str | None = Field(description="Why it would become a dead letter")
    delivery_id: str | None
    request: Shown | None
    remarks: Sequence[Remark]


class Hour(BaseModel):
    """What an hour's rows would have come to: matched, failed, where, when."""

    hour: datetime
    counts: Mapping[str, int]


class History(BaseModel):
    """How often a rule would have matched."""

    since: datetime = Field(description="What was asked for")
    back_to: datetime = Field(description="What happened since then is counted")
    stopped: Stop | None = Field(description="Why it is not all that was asked for; null: it is")
    rows: int = Field(description="How many rows of the rule's events were read")
    totals: Mapping[str, int]
    hours: Sequence[Hour]


class Moment(BaseModel):
    """Something that happened to a delivery, or will."""

    at: datetime | None
    kind: Kind
    parameters: Mapping[str, Any]
    ahead: bool


class Story(BaseModel):
    """A delivery, moment by moment."""

    id: int
    delivery_id: str
    state: DeliveryState
    rule_now: RuleNow = Field(description="Whether its rule has changed since it was rendered")
    edited: bool
    original: str | None = Field(description="With role manage: what was rendered, if it was edited since")
    moments: Sequence[Moment]


class Group(BaseModel):
    """Dead letters of one service that died alike."""

    reason: DeadReason
    service: str
    status: int | None
    count: int
    oldest: datetime
    newest: datetime
    advice: Advice = Field(description="What probably mends them")


class Line(BaseModel):
    """One line of a comparison."""

    sign: Sign
    text: str


class Comparison(BaseModel):
    """A dead letter as sent and as rendered again."""

    differs: bool
    lines: Sequence[Line]
    refused: Fate | None = Field(description="Why it cannot be rendered again")
    detail: str | None
