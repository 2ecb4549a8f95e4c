"""What the API answers, field by field: the same as the commands' --json, described for OpenAPI."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from sidecar.bridge.replay import Fate
from sidecar.model import CircuitState, DeadReason, DeliveryState, Level
from sidecar.settings import Kind
from sidecar.settings.rule import RuleState
from sidecar.store.trends import Window

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
    source: str | None = Field(description="file, or here: made in the dashboard or by the API")
    broken: str | None = Field(description="Why it cannot be called whatever else is well; null: it can")
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
    state: RuleState | None = Field(
        default=None, description="off, shadow or on; null: gone from the configuration"
    )
    in_force: str = Field(description="yes, not yet, switched off, an older version, gone, broken: why ...")
    source: str = Field(description="file, or here: made in the dashboard or by the API")


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
    waits_for: int | None = Field(description="The delivery of the same order key that has to go first")
    attempts: int
    due_at: datetime | None
    last_status: int | None
    last_error: str | None
    event_at: datetime | None
    expires_at: datetime | None = Field(description="When it is too old to be sent")
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
    next_begins_at: datetime | None = Field(description="With per_second: ask again with begins_at=this, too")


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
    problem: str | None = Field(description="What keeps it from its work, as its log says it")
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
    last_hour: int = Field(description="Given up within the last hour, and not replayed or deleted since")
    last_day: int
    by_reason: Sequence[Reason]


class Remark(BaseModel):
    """One thing that is to be said. `code` and `params` stay the same in every language."""

    level: Level
    code: str = Field(examples=["service.down"])
    text: str = Field(description="In English, without the full stop")
    remedy: str | None
    params: Mapping[str, Any] = Field(description="Seconds where the name ends with _s")


class Watched(BaseModel):
    """One thing that is watched of Moodle. unknown: the text says which right is missing."""

    subject: str = Field(examples=["cron"])
    level: Level
    code: str
    since: datetime
    text: str
    remedy: str | None


class Waiting(BaseModel):
    """All that is not delivered yet."""

    waiting: int
    parked: int
    oldest: datetime | None


class Flaw(BaseModel):
    """Why a service or rule is not in force."""

    kind: Kind
    name: str
    reason: str
    shadowed: bool = Field(description="The file has one of this name, which is in force in its place")


class Status(BaseModel):
    """How things stand."""

    well: bool
    level: Level = Field(description="The worst of the remarks")
    summary: str = Field(description="In a few sentences: is all well, and if not, what is wrong")
    remarks: Sequence[Remark] = Field(description="The same one by one, the worst first")
    site: str
    ready: bool
    at: datetime
    processes: Sequence[Process]
    cursor: Cursor | None
    polled_at: datetime | None = Field(description="When the log was last looked at")
    gaps: Gaps
    queue: Waiting
    services: Sequence[Lot]
    definitions: Sequence[Flaw] = Field(description="Services and rules that are not in force, and why")
    moodle: Sequence[Watched]
    held: Sequence[Held]
    dead_letters: DeadLetters


class Fared(BaseModel):
    """What a service came to. Latencies are those of accepted tries, within 10 %."""

    service: str
    delivered: int = Field(description="Tries that were accepted")
    failed: int = Field(description="Tries that were not")
    dead: int = Field(description="Deliveries given up")
    success: float | None = Field(description="0 to 1; null: there was no try")
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None


class Point(BaseModel):
    """One step of a chart."""

    begins_at: datetime
    delivered: int
    failed: int
    dead: int
    p50_ms: float | None = Field(description="Only of one service")
    p95_ms: float | None


class Stats(BaseModel):
    """How services fared up to the last full minute."""

    span: Window
    step_s: int = Field(description="Seconds between two points")
    services: Sequence[Fared]
    points: Sequence[Point]


class Health(BaseModel):
    """Whether the process does its work."""

    status: str = Field(examples=["well", "ill"])
    reason: str | None = Field(description="What is wrong")
