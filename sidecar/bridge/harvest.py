"""Events in, deliveries out: match, look up, render. What cannot be rendered becomes a dead letter."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from sidecar.bridge.batches import joined_octets
from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.bridge.render import PayloadTooLarge, scope
from sidecar.errors import TemplateError, said
from sidecar.model import DeadLetter, DeadReason, Delivery, Event, Held, order_key
from sidecar.moodle import lookups
from sidecar.moodle.decode import mask
from sidecar.settings import Rule, Settings
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

    def add(self, other: "Harvest") -> None:
        """Put what another batch came to with it."""
        self.deliveries += other.deliveries
        self.letters += other.letters
        self.tally += other.tally
        self.large |= other.large


@dataclass(frozen=True, slots=True)
class Judged:
    """An event, a rule that names it, and why that holds it back; None: it is wanted."""

    compiled: CompiledRule
    event: Event
    held: Held | None


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
        wanted = list[Judged]()
        for one in self._pairs(events, lambda _: newest):
            if one.held is None:
                wanted.append(one)
            else:
                harvest.tally[one.compiled.rule.name, one.held] += 1
        for one, found in zip(wanted, self._look_up(conn, wanted), strict=True):
            self._reap(one, found, now, harvest)
        return harvest

    def judge(
        self, conn: Connection, events: Sequence[Event], *, newest: Callable[[Event], datetime], now: datetime
    ) -> list[Judged]:
        """Return what the rules that name these events think of them; of templates only `when` is run.

        `newest` says from which moment the age of an event is counted. A `when` that fails holds nothing
        back: the tail makes a dead letter of it.
        """
        judged = list(self._pairs(events, newest))
        free = [one for one in judged if one.held is None]
        unmet = {
            (one.compiled.rule.name, one.event.id)
            for one, found in zip(free, self._look_up(conn, free), strict=True)
            if not self._wants(one, found, now)
        }
        return [
            replace(one, held=Held.WHEN) if (one.compiled.rule.name, one.event.id) in unmet else one
            for one in judged
        ]

    def render(
        self, wanted: Judged, records: Mapping[str, lookups.Record], *, now: datetime
    ) -> Delivery | None:
        """Return the delivery of one event by one rule; None if the rule's condition does not hold."""
        rule, event, template = wanted.compiled.rule, wanted.event, wanted.compiled.template
        names = self._scope(wanted, records, now)
        if not template.condition(names):
            return None
        made = template.render_all(names)
        # By position, in the order of its fields: by name it takes twice as long.
        return Delivery(
            names["delivery"]["id"],
            rule.name,
            wanted.compiled.version,
            rule.service,
            event.eventname,
            event.id,
            made.method,
            made.endpoint,
            made.body,
            made.content_type,
            now,
            _moment(event.timecreated),
            made.headers,
            rule.batch.linger if rule.batch else 0,
            False,
            order_key(self.settings.site, rule.name, template.order_key(names)),
            _after(now, rule.expires_after),
        )

    def _pairs(self, events: Sequence[Event], newest: Callable[[Event], datetime]) -> Iterator[Judged]:
        """Yield events with each rule that names them, as that rule sees them, judged by age and columns."""
        for event in events:
            for compiled in self.book.for_event(event.eventname):
                seen = mask(event) if event.anonymous and compiled.rule.anonymous == "mask" else event
                yield Judged(compiled, seen, compiled.holds_back(seen, newest(event)))

    def _wants(self, wanted: Judged, records: Mapping[str, lookups.Record], now: datetime) -> bool:
        try:
            return wanted.compiled.template.condition(self._scope(wanted, records, now))
        except Exception:  # noqa: BLE001 - as when the tail renders it: whatever fails here becomes a letter
            return True

    def _scope(
        self, wanted: Judged, records: Mapping[str, lookups.Record], now: datetime
    ) -> Mapping[str, Any]:
        rule, event = wanted.compiled.rule, wanted.event
        return scope(
            event,
            records,
            rule=rule.name,
            service=rule.service,
            delivery_id=self.settings.delivery_id(rule.name, event.id),
            site=self.settings.site,
            now=now,
            site_url=self.settings.site_url,
            columns=wanted.compiled.template.columns,
        )

    def _look_up(self, conn: Connection, wanted: Sequence[Judged]) -> Sequence[Mapping[str, lookups.Record]]:
        needs = frozenset[str]().union(*(one.compiled.template.needs for one in wanted))
        events = [one.event for one in wanted]
        return lookups.fetch(conn, events, needs, self.settings.moodle.prefix)

    def _reap(
        self, wanted: Judged, records: Mapping[str, lookups.Record], now: datetime, harvest: Harvest
    ) -> None:
        name = wanted.compiled.rule.name
        try:
            delivery = self.render(wanted, records, now=now)
        except Exception as error:  # noqa: BLE001 - one row that cannot be rendered must not stop the tail
            text = error.text if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            reason = DeadReason.TOO_LARGE if isinstance(error, PayloadTooLarge) else DeadReason.RENDER
            self._bury(wanted, reason, text, now, harvest)
            return
        if delivery is None:
            harvest.tally[name, Held.WHEN] += 1
            return
        size = size_of(delivery)
        fault = self._fault(delivery, wanted.compiled.rule, size)
        if fault is not None:
            self._bury(wanted, *fault, now, harvest)
        elif wanted.compiled.rule.shadow:
            harvest.tally[name, counts.SHADOW] += 1
        else:
            harvest.deliveries.append(delivery)
            if size > LARGE_PAYLOAD:
                harvest.large[name] = size
            harvest.tally[name, counts.QUEUED] += 1

    def _bury(self, wanted: Judged, reason: DeadReason, error: str, now: datetime, harvest: Harvest) -> None:
        rule = wanted.compiled.rule
        if rule.shadow:
            harvest.tally[rule.name, counts.SHADOW_FAILED] += 1
            return
        harvest.letters.append(self._letter(wanted, reason, error, now))
        harvest.tally[rule.name, counts.DEAD] += 1

    def _fault(self, delivery: Delivery, rule: Rule, size: int) -> tuple[DeadReason, str] | None:
        """Return why a rendered delivery of so many bytes cannot be sent, or None."""
        service = self.settings.services.get(delivery.service)
        size = size if rule.batch is None else joined_octets(size, 1)
        if service is not None and size > service.max_payload:
            name = f"services.{delivery.service}.max_payload"
            return DeadReason.TOO_LARGE, _too_large(size, name, service.max_payload)
        if rule.batch is not None and size > rule.batch.max_bytes:
            name = said("batch.max_bytes of the rule %(name)s", name=rule.name)
            return DeadReason.TOO_LARGE, _too_large(size, name, rule.batch.max_bytes)
        if len(delivery.endpoint) > _LONGEST_ENDPOINT:
            return DeadReason.INVALID, said(
                "the endpoint has more than %(n)s characters", n=_LONGEST_ENDPOINT
            )
        headers = delivery.headers
        if headers and sum(len(name) + len(headers[name]) for name in headers) > _LONGEST_HEADERS:
            return DeadReason.INVALID, said("the headers have more than %(n)s characters", n=_LONGEST_HEADERS)
        return None

    def _letter(self, wanted: Judged, reason: DeadReason, error: str, now: datetime) -> DeadLetter:
        rule, event = wanted.compiled.rule, wanted.event
        unsent = Delivery(
            delivery_id=self.settings.delivery_id(rule.name, event.id),
            rule=rule.name,
            rule_version=wanted.compiled.version,
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
        return DeadLetter(unsent, reason, error, row=asdict(event))


def unstorable(harvest: Harvest, error: Exception) -> Harvest:
    """Return the harvest of one row with its deliveries as dead letters that hold nothing of the row."""
    unstored = [*harvest.deliveries, *(letter.delivery for letter in harvest.letters)]
    reason = f"the store cannot hold it: {type(error).__name__}"
    letters = [
        DeadLetter(replace(delivery, body=None, headers={}), DeadReason.INVALID, reason)
        for delivery in unstored
    ]
    return Harvest(letters=letters, tally=harvest.tally)


def _too_large(size: int, name: str, most: int) -> str:
    return said("the payload has %(size)s bytes; %(name)s is %(most)s", size=size, name=name, most=most)


def size_of(delivery: Delivery) -> int:
    """Return the bytes of a delivery's payload."""
    body = delivery.body or ""
    return len(body) if body.isascii() else len(body.encode())


def _after(now: datetime, seconds: float | None) -> datetime | None:
    try:
        return None if seconds is None else now + timedelta(seconds=seconds)
    except OverflowError:
        return None  # later than there are dates: never


def _moment(timecreated: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(timecreated, UTC)
    except (OverflowError, ValueError, OSError):
        return None
