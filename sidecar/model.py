"""The nouns: what passes between rooms, as frozen values. Standard library only."""

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sidecar.quick import quick

# The name space of all delivery ids. Never change it: receivers deduplicate by these ids.
_DELIVERY_NAMESPACE = uuid.UUID("5c1b1a52-7a43-5d0f-9f0e-2b8f7c6d3e11")
_NAMESPACE_BYTES = _DELIVERY_NAMESPACE.bytes  # a property, which would be computed each time
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # the two bits that say whose layout it is


@quick
@dataclass(frozen=True, slots=True)
class Event:
    """One row of Moodle's log, decoded. The names are Moodle's column names."""

    id: int
    eventname: str
    component: str
    action: str
    target: str
    objecttable: str | None
    objectid: int | None
    crud: str
    edulevel: int
    contextid: int | None
    contextlevel: int | None
    contextinstanceid: int | None
    userid: int | None
    courseid: int | None
    relateduserid: int | None
    anonymous: int
    other: Any
    timecreated: int
    origin: str | None
    ip: str | None
    realuserid: int | None
    other_problem: str | None = None  # why `other` could not be decoded; no column of Moodle's


EVENT_COLUMNS: tuple[str, ...] = tuple(name for name in Event.__dataclass_fields__ if name != "other_problem")


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids first..last below the cursor that were not there when the tail passed them.

    With `bits` only some of them were missing: those whose bit is set, the first id's being the lowest. So a
    log that only uses every other id is a few gaps and not one for each.
    """

    first_id: int
    last_id: int
    seen_at: datetime
    number: int | None = None
    bits: int | None = None

    @property
    def width(self) -> int:
        """How many ids it spans, missing or not."""
        return self.last_id - self.first_id + 1

    @property
    def missing(self) -> int:
        """How many ids are missing."""
        return self.width if self.bits is None else self.bits.bit_count()

    def lacks(self, id_: int) -> bool:
        """Return whether this id was missing."""
        inside = self.first_id <= id_ <= self.last_id
        return inside and (self.bits is None or bool(self.bits >> (id_ - self.first_id) & 1))


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the tail of one site has read, and which replica may move it."""

    site: str
    position: int
    fence: int
    leased_by: str | None
    leased_until: datetime | None
    caught_up_at: datetime | None
    head: int | None = None
    problem: str | None = None


class DeliveryState(StrEnum):
    """Where a delivery stands. Parked is no state: it is pending while its service is not to be called."""

    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


@quick
@dataclass(frozen=True, slots=True)
class Delivery:
    """One payload owed to one service. `body` is frozen when it is queued: retries send the same bytes."""

    delivery_id: str
    rule: str | None
    rule_version: str | None
    service: str
    event: str | None
    log_id: int | None
    method: str
    endpoint: str
    body: str | None
    content_type: str | None
    created_at: datetime
    event_at: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    linger_s: float = 0  # when it is queued: how long it may wait for others to share a request with
    slow: bool = False  # when it is queued: whether what is new may pass it
    order_key: str | None = None  # those of one key leave one after the other, by `log_id`
    expires_at: datetime | None = None  # not to be sent any more from then on

    @property
    def route(self) -> "Route":
        """What it shares with all that can be in one request with it."""
        return Route(self.method, self.endpoint, tuple(sorted(self.headers.items())), self.content_type)


@dataclass(frozen=True, slots=True)
class Route:
    """Of a request all but its body."""

    method: str
    endpoint: str
    headers: tuple[tuple[str, str], ...]
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that nobody has claimed yet. Not `due`: it lingers, so that others can join it."""

    number: int
    rule: str | None
    route: Route
    octets: int
    due: bool
    log_id: int | None = None
    order_key: str | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery in this process's hands until its lease ends. `token` names the claim that took it."""

    number: int
    delivery: Delivery
    attempts: int
    token: str
    probe: bool = False


class Outcome(StrEnum):
    """What one attempt says about the delivery and about the service."""

    DELIVERED = "delivered"  # accepted
    BUSY = "busy"  # alive, wants it later: 408, 425, 429
    REJECTED = "rejected"  # alive, will never want it: other 4xx, redirects
    FAILED = "failed"  # ill: network errors, timeouts, 5xx, nonsense
    INVALID = "invalid"  # nothing was sent, and never can be: our side refuses it
    UNSENT = "unsent"  # nothing was sent, through nobody's fault here: a proxy or token server is ill

    @property
    def alive(self) -> bool:
        """Whether the service gave a sign of health, whatever it thinks of the delivery."""
        return self in {Outcome.DELIVERED, Outcome.BUSY, Outcome.REJECTED}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try: a value, never an exception. `error` is a sentence without secrets."""

    outcome: Outcome
    started_at: datetime
    latency_ms: float
    status: int | None = None
    error: str | None = None
    response: str | None = None
    retry_after_s: float | None = None
    request: str | None = None  # what was sent, where it is to be kept


class Step(StrEnum):
    """What becomes of a claimed delivery."""

    DONE = "done"
    RETRY = "retry"  # again at `at`, one attempt spent
    PARK = "park"  # again at `at`, no attempt spent: it was not sent, or it was the probe of an ill service
    BURY = "bury"  # a dead letter


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do next with a delivery: the retry policy's whole answer."""

    step: Step
    at: datetime | None = None
    reason: "DeadReason | None" = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """A claimed delivery with what happened to it (no attempt: it was not sent) and what becomes of it."""

    claimed: Claimed
    attempt: Attempt | None
    decision: Decision


class CircuitState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Circuit:
    """What we believe about a service's health. Open: nothing is sent until `probe_at`, then one probe."""

    service: str
    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    opened_at: datetime | None = None
    probe_at: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    failed_probes: int = 0  # in a row; each makes the next cooldown longer
    window_at: datetime | None = None  # since when the following two are counted
    window_requests: int = 0
    window_failures: int = 0
    drain_before: datetime | None = None  # what was due by then is a backlog, which leaves at `drain_rate`


class DeadReason(StrEnum):
    """Why a delivery was given up; docs/resilience.md says what to do about each."""

    EXHAUSTED = "exhausted"  # every retry failed
    REJECTED = "rejected"  # the service answered that it will never take it
    RENDER = "render"  # the condition or template failed on this row
    TOO_LARGE = "too_large"  # the payload is over the service's limit
    INVALID = "invalid"  # the rendered request cannot be sent at all
    REMOVED = "removed"  # its service or rule was deleted, or it was given up by hand, while it waited
    EXPIRED = "expired"  # it waited longer than its rule allows


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery given up, with all that is needed to understand and replay it."""

    delivery: Delivery
    reason: DeadReason
    error: str
    attempts: int = 0
    row: Mapping[str, Any] | None = None
    status: int | None = None
    response: str | None = None


class Held(StrEnum):
    """Why a row that a rule's event names matched did not become a delivery; counted per rule and hour."""

    WHERE = "where"  # a column did not have the wanted value
    WHEN = "when"  # the condition was false
    TOO_OLD = "too_old"  # older than max_event_age


class Level(StrEnum):
    """How well something is."""

    WELL = "well"
    UNKNOWN = "unknown"  # it cannot be known, and nobody is disturbed for that
    ATTENTION = "attention"  # works, but not as it should
    ILL = "ill"  # something is not delivered, or not read

    @property
    def rank(self) -> int:
        """The worse, the higher."""
        return tuple(Level).index(self)


@dataclass(frozen=True, slots=True)
class Watched:
    """What was last seen of one thing about Moodle. `code` and `detail` become words elsewhere."""

    subject: str
    level: Level
    code: str
    since_at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


def delivery_id(site: str, rule: str, log_id: int) -> str:
    """Return the id of the delivery of one log row by one rule: the same for ever, on every replica."""
    return _uuid5(f"{site}/{rule}/{log_id}")


def order_key(site: str, rule: str, text: str) -> str | None:
    """Return the short hash by which deliveries of one rule and one key are told; None: they have no key."""
    if not text.strip():
        return None
    return hashlib.sha256(f"{site}/{rule}/{text.strip()}".encode()).hexdigest()[:16]


def batch_id(delivery_ids: Iterable[str]) -> str:
    """Return the id of a request with these deliveries in this order: the same whenever they meet again."""
    return _uuid5("\n".join(delivery_ids))


def _uuid5(name: str) -> str:
    """Return what `str(uuid.uuid5(...))` returns (RFC 9562, 5.5) at half its cost: each row asks for it."""
    made = hashlib.sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    return f"{made[:8]}-{made[8:12]}-5{made[13:16]}-{_VARIANT[made[16]]}{made[17:20]}-{made[20:32]}"
