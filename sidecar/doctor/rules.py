"""The rules against the real log: do their events exist, and what would the newest row become?"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from sqlalchemy import Connection, column, select, table
from sqlalchemy.exc import SQLAlchemyError

from sidecar.bridge.harvest import LARGE_PAYLOAD, Harvest
from sidecar.bridge.match import CompiledRule, RuleBook
from sidecar.bridge.preview import trial
from sidecar.doctor.case import Case
from sidecar.doctor.findings import Finding, Findings, duration, note, ok, problem, warning
from sidecar.model import Delivery, Event, Held
from sidecar.moodle.catalogue import catalogue
from sidecar.moodle.decode import decode
from sidecar.moodle.names import NameFilter
from sidecar.settings import Rule
from sidecar.store.faults import explain

# As far back as LogStore.recent looks.
_IDS_LOOKED_AT = 200_000
_ROWS_TRIED = 20
_SHOWN = 100
_NAMED_BY = {"amqp": "routing key", "soap": "operation"}


def rules(conn: Connection, case: Case) -> Findings:
    """Yield for every enabled rule whether its events are known, and what its newest row would become."""
    seen = _seen(conn, case)
    for compiled in case.book.rules:
        yield from _names(compiled.rule, seen)
        yield from _preview(conn, case, compiled, seen)


def _seen(conn: Connection, case: Case) -> frozenset[str]:
    """Return the names of the events among the newest rows: one range of the primary key, once."""
    log = table(case.log.name, column("id"), column("eventname"))
    head = case.log.head(conn) or 0
    query = select(log.c.eventname).where(log.c.id > head - _IDS_LOOKED_AT).distinct()
    return frozenset(conn.execute(query).scalars())


def _names(rule: Rule, seen: frozenset[str]) -> Findings:
    for name in rule.events:
        wanted = NameFilter.of([name])
        if any(map(wanted.matches, seen)):
            continue
        if any(map(wanted.matches, catalogue())):
            yield note(f"rule {rule.name}", f"{name}: this Moodle has not written it among its newest rows")
        else:
            yield warning(
                f"rule {rule.name}",
                f"{name}: neither this log nor Moodle 4.5 knows such an event",
                _meant(name, seen | catalogue()) or "right if a plugin writes it, else check the name",
            )


def _meant(name: str, known: Iterable[str]) -> str | None:
    found = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f"did you mean {found[0]}?" if found else None


@dataclass(frozen=True, slots=True)
class _Trial:
    """What one rule makes of the newest rows of its events, whatever their age."""

    events: list[Event]
    harvest: Harvest


def _preview(conn: Connection, case: Case, compiled: CompiledRule, seen: frozenset[str]) -> Findings:
    subject = f"rule {compiled.rule.name}"
    try:
        trial = _try(conn, case, compiled, seen)
    except SQLAlchemyError as error:
        yield problem(subject, f"it could not be rendered: {explain(error, case.moodle.shown)}")
        return
    for letter in trial.harvest.letters[:1]:
        failed = letter.delivery.log_id
        yield problem(
            subject,
            f"row {failed} cannot be delivered: {letter.error}",
            "mend the template, or narrow `when`",
        )
    if trial.harvest.deliveries:
        yield _delivered(case, compiled, trial)
        yield from _large(subject, trial)
    elif not trial.harvest.letters and trial.events:
        yield note(subject, _unmatched(compiled, trial))


def _try(conn: Connection, case: Case, compiled: CompiledRule, seen: frozenset[str]) -> _Trial:
    written = [name for name in compiled.rule.events if any(map(NameFilter.of([name]).matches, seen))]
    rows = {row.id: row for name in written for row in case.log.recent(conn, name, _ROWS_TRIED)}
    newest_first = sorted(rows.values(), key=lambda row: -int(row.id))
    events = [event for event in map(decode, newest_first) if RuleBook([compiled]).for_event(event.eventname)]
    return _Trial(events, trial(conn, case.settings, compiled, events, now=case.clock.now()))


def _delivered(case: Case, compiled: CompiledRule, trial: _Trial) -> Finding:
    delivery = trial.harvest.deliveries[0]
    event = next(event for event in trial.events if event.id == delivery.log_id)
    now = case.clock.now()
    age = duration(max(now.timestamp() - event.timecreated, 0))
    subject, made = f"rule {compiled.rule.name}", f"row {event.id}: {_request(case, delivery)}"
    if compiled.holds_back(event, now) is Held.TOO_OLD:
        return ok(subject, f"{made}; the row is {age} old, beyond max_event_age: only newer ones are sent")
    if compiled.rule.shadow:
        return ok(subject, f"{made}; the row is {age} old; in the shadow: nothing is sent")
    return ok(subject, f"{made}; the row is {age} old")


def _large(subject: str, trial: _Trial) -> Findings:
    for size in trial.harvest.large.values():
        yield note(
            subject,
            f"a payload has {size} bytes, more than {LARGE_PAYLOAD}: every try sends all of it",
            "name only what the receiver needs in `payload`",
        )


def _request(case: Case, delivery: Delivery) -> str:
    service = case.settings.services[delivery.service]
    base, endpoint = service.base_url.rstrip("/"), delivery.endpoint.lstrip("/")
    address = f"{base}/{endpoint}" if endpoint else base
    size = f", {len(delivery.body.encode())} bytes" if delivery.body is not None else ""
    shown = address if len(address) <= _SHOWN else f"{address[:_SHOWN]}..."
    if service.type in _NAMED_BY:  # the method means nothing there
        return f"{_NAMED_BY[service.type]} {endpoint or 'of base_url'}{size}"
    return f"{delivery.method} {shown}{size}"


def _unmatched(compiled: CompiledRule, trial: _Trial) -> str:
    tally = trial.harvest.tally
    reasons = [f"{count} by `{held}`" for held in Held if (count := tally[compiled.rule.name, held])]
    return (
        f"none of the newest {len(trial.events)} rows of its events matches: held back {', '.join(reasons)}"
    )
