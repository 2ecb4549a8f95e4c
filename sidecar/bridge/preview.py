"""A rule tried on a row of the log: does it match, and what would go out? Nothing is sent or written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection

from sidecar.bridge.harvest import LARGE_PAYLOAD, Harvest, Harvester
from sidecar.bridge.match import CompiledRule, Misfit, RuleBook
from sidecar.bridge.shown import Remark, Shown, shown
from sidecar.clock import Clock
from sidecar.model import DeadReason, Event, Held
from sidecar.moodle.decode import decode, mask
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Rule, Settings

# The last second that a datetime can be: broken rows have stranger ones.
_LATEST = 253_402_300_799


class Verdict(StrEnum):
    """What a rule makes of a row."""

    MATCHES = "matches"
    OTHER_EVENT = "other_event"  # the row's event is none of the rule's
    WHERE = "where"
    WHEN = "when"
    FAILS = "fails"  # it would become a dead letter
    NO_ROW = "no_row"  # there is no such row, or none of these events among the newest


@dataclass(frozen=True, slots=True)
class Preview:
    """What one rule makes of one row. `event` is as its template sees it: persons masked if they must be."""

    rule: Rule
    verdict: Verdict
    event: Event | None = None
    misfits: tuple[Misfit, ...] = ()
    reason: DeadReason | None = None
    error: str | None = None
    delivery_id: str | None = None
    request: Shown | None = None
    remarks: tuple[Remark, ...] = ()


def find_event(conn: Connection, log: LogStore, rule: Rule, log_id: int | None) -> Event | None:
    """Return the event of a row, by default of the newest that the rule's event names want.

    By the primary key; the newest is looked for among the newest 200,000 ids.
    """
    if log_id is not None:
        row = log.row(conn, log_id)
        return decode(row) if row is not None else None
    rows = [row for name in rule.events for row in log.recent(conn, name, 1)]
    return decode(max(rows, key=lambda row: int(row.id))) if rows else None


def preview(
    conn: Connection, settings: Settings, compiled: CompiledRule, event: Event | None, *, clock: Clock
) -> Preview:
    """Return what the rule makes of the event, also of one that is off, and whatever the row's age."""
    rule, now = compiled.rule, clock.now()
    if event is None:
        return Preview(rule, Verdict.NO_ROW)
    seen = mask(event) if event.anonymous and rule.anonymous == "mask" else event
    if not RuleBook([compiled.switched_on()]).for_event(event.eventname):
        return Preview(rule, Verdict.OTHER_EVENT, seen)
    misfits = compiled.misfits(seen)
    if misfits:
        return Preview(rule, Verdict.WHERE, seen, misfits)
    harvest = trial(conn, settings, compiled, [event], now=now)
    remarks = tuple(_remarks(settings, compiled, seen, now))
    number = settings.delivery_id(rule.name, event.id)
    if harvest.letters:
        letter = harvest.letters[0]
        return Preview(rule, Verdict.FAILS, seen, (), letter.reason, letter.error, number, remarks=remarks)
    if not harvest.deliveries:
        return Preview(rule, Verdict.WHEN, seen, delivery_id=number)
    sent = shown(harvest.deliveries[0], settings.services[rule.service], clock)
    large = [Remark.LARGE] if sent.size > LARGE_PAYLOAD else []
    return Preview(
        rule,
        Verdict.MATCHES,
        seen,
        delivery_id=number,
        request=sent,
        remarks=(*remarks, *large, *sent.remarks),
    )


def trial(
    conn: Connection, settings: Settings, compiled: CompiledRule, events: Sequence[Event], *, now: datetime
) -> Harvest:
    """Return what the tail would make of these events, were the rule on and none of them too old."""
    if not events:
        return Harvest()
    # Counted back from the oldest of them, none is too old.
    oldest = min(event.timecreated for event in events)
    newest = datetime.fromtimestamp(min(max(oldest, 0), _LATEST), UTC)
    harvester = Harvester(settings, RuleBook([compiled.switched_on()]))
    return harvester.gather(conn, events, newest=newest, now=now)


def _remarks(settings: Settings, compiled: CompiledRule, event: Event, now: datetime) -> list[Remark]:
    rule, service = compiled.rule, settings.services[compiled.rule.service]
    said = {
        Remark.RULE_OFF: rule.state == "off",
        Remark.SHADOW: rule.shadow,
        Remark.SERVICE_OFF: not service.enabled,
        Remark.MASKED: bool(event.anonymous) and rule.anonymous == "mask",
        Remark.TOO_OLD: compiled.holds_back(event, now) is Held.TOO_OLD,
    }
    return [remark for remark, holds in said.items() if holds]
