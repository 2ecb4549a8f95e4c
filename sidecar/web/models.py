"""What the API answers, field by field: the same as the commands' --json, described for OpenAPI."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from sidecar.bridge.replay import Fate
from sidecar.model import CircuitState, DeadReason, DeliveryState

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Some of a list, the newest first."""

    items: Sequence[T]
    next: int | None = Field(description="Ask again with before=this for what comes next; null: that is all")


class Items(BaseModel, Generic[T]):
    """A whole list."""

    items: Sequence[T]


class Circuit(BaseModel):
    """What is believed about a service's health."""

    service: str
    state: CircuitState
    failures: int = Field(description="Failures in a row")
    opened_at: datetime | None
    probe_at: datetime | None = Field(description="When the next probe goes out")
    last_error: str | None
    last_error_at: datetime | None


class _Owed(BaseModel):
    obstacle: str | None = Field(description="What keeps its deliveries from being sent; null: nothing")
    pending: int
    parked: int = Field(description="Pending ones that wait for the obstacle to go")
    sending: int
    dead: int
    oldest: datetime | None = Field(description="Since when the oldest one that is not delivered waits")


class Lot(_Owed):
    """What is owed to one service."""

    service: str
    circuit: Circuit


class Service(_Owed):
    """A service and how it fares. Without a type: gone from the configuration, but still owed something."""

    name: str
    type: str | None
    base_url: str | None
    auth: str | None = Field(description="The type of its credentials")
    enabled: bool | None
    health: str = Field(description="closed, open or half-open")


class ServiceDetail(Service):
    """A service with its settings; secrets are stars."""

    settings: Mapping[str, Any] | None


class Rule(BaseModel):
    """Which events go where."""

    name: str
    event: Sequence[str]
    service: str
    method: str
    endpoint: str
    enabled: bool
    in_force: str = Field(description="yes, not yet, switched off, an older version, gone from the file ...")


class RuleDetail(Rule):
    """A rule as it is written, and what it came to."""

    last_24h: Mapping[str, int] = Field(description="How many rows were queued, dead, or held back and why")
    definition: Mapping[str, Any] | None = Field(description="With role manage: all of it, payload included")


class Attempt(BaseModel):
    """One try to deliver."""

    id: int
    delivery_id: str
    service: str
    rule: str | None
    method: str
    endpoint: str
    attempt: int
    outcome: str
    status: int | None
    latency_ms: float
    error: str | None
    replica: str
    created_at: datetime


class AttemptDetail(Attempt):
    """One try with what was kept of its bodies."""

    request: str | None = Field(description="With role manage, where the service captures requests")
    response: str | None = Field(description="With role manage: the beginning of the answer")


class Delivery(BaseModel):
    """One payload owed to one service, without the payload."""

    id: int
    delivery_id: str
    service: str
    rule: str | None = Field(description="null: a direct call")
    rule_version: str | None
    event: str | None
    log_id: int | None = Field(description="The row of Moodle's log")
    state: DeliveryState
    parked: str | None = Field(description="What it waits for beside its turn")
    attempts: int
    due_at: datetime | None
    last_status: int | None
    last_error: str | None
    event_at: datetime | None
    created_at: datetime
    settled_at: datetime | None
    leased_by: str | None
    leased_until: datetime | None


class Sent(BaseModel):
    """What a delivery sends."""

    method: str
    endpoint: str
    headers: Mapping[str, str]
    content_type: str | None
    payload: str | None


class DeliveryDetail(Delivery):
    """A delivery with its tries."""

    request: Sent | None = Field(description="With role manage: what is sent")
    tries: Sequence[Attempt] = Field(description="The last 50, the newest first")


class Letter(BaseModel):
    """A delivery given up. `id` is its number among the deliveries."""

    id: int | None
    delivery_id: str
    service: str
    rule: str | None
    event: str | None
    log_id: int | None
    reason: DeadReason
    status: int | None
    attempts: int
    error: str
    created_at: datetime


class LetterDetail(Letter):
    """A dead letter with all that is needed to understand it; what is personal with role manage only."""

    request: Sent | None
    response: str | None
    event_row: Mapping[str, Any] | None


class Left(BaseModel):
    """A dead letter that was not replayed, and why."""

    delivery_id: str
    service: str
    why: Fate
    detail: str | None


class Replayed(BaseModel):
    """What became of the dead letters."""

    replayed: int
    left: Sequence[Left]
    next: int | None = Field(description="Ask again with before=this for the rest; null: that was all")


class Deleted(BaseModel):
    """How many dead letters are gone."""

    deleted: int
    next: int | None = Field(description="Ask again with before=this for the rest; null: that was all")


class Count(BaseModel):
    """How many match."""

    count: int


class Switched(BaseModel):
    """A service after it was paused or resumed."""

    service: str
    paused: bool
    obstacle: str | None = Field(description="What keeps its deliveries from being sent now")


class Process(BaseModel):
    """One process that works on this store."""

    name: str
    role: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    tail_at: datetime | None
    dispatch_at: datetime | None
    alive: bool
    ailment: str | None


class Cursor(BaseModel):
    """How far the log is read."""

    site: str
    position: int
    head: int | None
    behind: int
    leased_by: str | None
    leased_until: datetime | None
    caught_up_at: datetime | None
    problem: str | None


class Gaps(BaseModel):
    """Ids of the log that are missing."""

    open: int
    open_ids: int
    given_up_ids: int


class Held(BaseModel):
    """Rows of the last 24 hours that a rule held back."""

    rule: str
    reason: str
    count: int


class Reason(BaseModel):
    """Dead letters of one service for one reason."""

    service: str
    reason: DeadReason
    count: int


class DeadLetters(BaseModel):
    """Dead letters, counted."""

    total: int
    by_reason: Sequence[Reason]


class Status(BaseModel):
    """How things stand."""

    well: bool
    summary: str = Field(description="One sentence: is all well, and if not, what is wrong")
    site: str
    ready: bool
    at: datetime
    processes: Sequence[Process]
    cursor: Cursor | None
    gaps: Gaps
    services: Sequence[Lot]
    held: Sequence[Held]
    dead_letters: DeadLetters


class Health(BaseModel):
    """Whether the process does its work."""

    status: str = Field(examples=["well", "ill"])
    reason: str | None = Field(description="What is wrong")
