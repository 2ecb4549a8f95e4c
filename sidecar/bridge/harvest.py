"""Events in, deliveries out: match, look up, render. What cannot be rendered becomes a dead letter."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection

from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.bridge.render import PayloadTooLarge, scope
from sidecar.errors import TemplateError
from sidecar.model import DeadLetter, DeadReason, Delivery, Event, Held, delivery_id
from sidecar.moodle import lookups
from sidecar.moodle.decode import mask
from sidecar.settings import Settings
from sidecar.store import counts

_LONGEST_ENDPOINT = 8_000
_LONGEST_HEADERS = 16_000
# Bytes; most receivers' webhooks are a hundredth of it, and every try sends all of it.
LARGE_PAYLOAD = 20_480


@dataclass(slots=True)
class Harvest:
    """What a batch of events came to."""

    deliveries: list[Delivery] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    large: dict[str, int] = field(default_factory=dict)  # bytes of a rule's payload that is worth a word


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event and a rule that wants it."""

    compiled: CompiledRule
    event: Event


class Harvester:
    """Applies one state of the configuration to events."""

    def __init__(self, settings: Settings, book: RuleBook) -> None:
        self.settings = settings
        self.book = book

    def gather(
        self, conn: Connection, events: Sequence[Event], *, newest: datetime, now: datetime
    ) -> Harvest:
        """Return what `events` come to. Reads Moodle once per table that a template uses; writes nothing."""
        harvest = Harvest()
        candidates = self._candidates(events, newest, harvest)
        records = self._look_up(conn, candidates)
        for candidate, found in zip(candidates, records, strict=True):
            self._reap(candidate, found, now, harvest)
        return harvest

    def render(
        self, candidate: Candidate, records: Mapping[str, lookups.Record], *, now: datetime
    ) -> Delivery | None:
        """Return the delivery of one event by one rule; None if the rule's condition does not hold."""
        rule, event, template = candidate.compiled.rule, candidate.event, candidate.compiled.template
        number = delivery_id(self.settings.site, rule.name, event.id)
        names = scope(
            event,
            records,
            rule=rule.name,
            service=rule.service,
            delivery_id=number,
            site=self.settings.site,
            now=now,
            site_url=self.settings.site_url,
        )
        if not template.condition(names):
            return None
        made = template.render_all(names)
        return Delivery(
            delivery_id=number,
            rule=rule.name,
            rule_version=candidate.compiled.version,
            service=rule.service,
            event=event.eventname,
            log_id=event.id,
            method=made.method,
            endpoint=made.endpoint,
            body=made.body,
            content_type=made.content_type,
            created_at=now,
            event_at=_moment(event.timecreated),
            headers=made.headers,
        )

    def _candidates(self, events: Sequence[Event], newest: datetime, harvest: Harvest) -> list[Candidate]:
        candidates = []
        for event in events:
            for compiled in self.book.for_event(event.eventname):
                seen = mask(event) if event.anonymous and compiled.rule.anonymous == "mask" else event
                held = compiled.holds_back(seen, newest)
                if held is None:
                    candidates.append(Candidate(compiled, seen))
                else:
                    harvest.tally[compiled.rule.name, held] += 1
        return candidates

    def _look_up(
        self, conn: Connection, candidates: Sequence[Candidate]
    ) -> Sequence[Mapping[str, lookups.Record]]:
        needs = frozenset[str]().union(*(candidate.compiled.template.needs for candidate in candidates))
        events = [candidate.event for candidate in candidates]
        return lookups.fetch(conn, events, needs, self.settings.moodle.prefix)

    def _reap(
        self, candidate: Candidate, records: Mapping[str, lookups.Record], now: datetime, harvest: Harvest
    ) -> None:
        name = candidate.compiled.rule.name
        try:
            delivery = self.render(candidate, records, now=now)
        except Exception as error:  # noqa: BLE001 - one row that cannot be rendered must not stop the tail
            text = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            reason = DeadReason.TOO_LARGE if isinstance(error, PayloadTooLarge) else DeadReason.RENDER
            harvest.letters.append(self._letter(candidate, reason, text, now))
            harvest.tally[name, counts.DEAD] += 1
            return
        if delivery is None:
            harvest.tally[name, Held.WHEN] += 1
            return
        fault = self._fault(delivery)
        if fault is None:
            harvest.deliveries.append(delivery)
            if (size := size_of(delivery)) > LARGE_PAYLOAD:
                harvest.large[name] = size
            harvest.tally[name, counts.QUEUED] += 1
        else:
            harvest.letters.append(self._letter(candidate, *fault, now))
            harvest.tally[name, counts.DEAD] += 1

    def _fault(self, delivery: Delivery) -> tuple[DeadReason, str] | None:
        """Return why a rendered delivery cannot be sent, or None."""
        service = self.settings.services.get(delivery.service)
        size = size_of(delivery)
        if service is not None and size > service.max_payload:
            name = f"services.{delivery.service}.max_payload"
            return DeadReason.TOO_LARGE, f"the payload has {size} bytes; {name} is {service.max_payload}"
        if len(delivery.endpoint) > _LONGEST_ENDPOINT:
            return DeadReason.INVALID, f"the endpoint has more than {_LONGEST_ENDPOINT} characters"
        if sum(len(name) + len(value) for name, value in delivery.headers.items()) > _LONGEST_HEADERS:
            return DeadReason.INVALID, f"the headers have more than {_LONGEST_HEADERS} characters"
        return None

    def _letter(self, candidate: Candidate, reason: DeadReason, error: str, now: datetime) -> DeadLetter:
        rule, event = candidate.compiled.rule, candidate.event
        unsent = Delivery(
            delivery_id=delivery_id(self.settings.site, rule.name, event.id),
            rule=rule.name,
            rule_version=candidate.compiled.version,
            service=rule.service,
            event=event.eventname,
            log_id=event.id,
            method=rule.method,
            endpoint=rule.endpoint[:_LONGEST_ENDPOINT],
            body=None,
            content_type=None,
            created_at=now,
            event_at=_moment(event.timecreated),
        )
        return DeadLetter(unsent, reason, error.replace("\0", "\ufffd"), row=asdict(event))


def size_of(delivery: Delivery) -> int:
    """Return the bytes of a delivery's payload."""
    return len(delivery.body.encode()) if delivery.body else 0


def _moment(timecreated: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(timecreated, UTC)
    except (OverflowError, ValueError, OSError):
        return None
