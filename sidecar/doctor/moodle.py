"""Moodle and its log: which release, whether it is being written, and whether the tail can keep up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from sidecar.doctor.case import Case, Memory
from sidecar.doctor.findings import Findings, duration, note, ok, problem, split_remedy, warning
from sidecar.moodle.proof import Method, horizon
from sidecar.moodle.site import AHEAD_S, SKEW_S, STANDARD_STORE, Fact, SiteFacts, facts, skew_s
from sidecar.moodle.watch import reach

_SILENT_S = 86_400


@dataclass(frozen=True, slots=True)
class Asked:
    """What Moodle and its database said, and between which two moments of this machine's clock."""

    site: SiteFacts
    before: datetime
    after: datetime


def ask(conn: Connection, case: Case) -> Asked:
    """Ask Moodle and its database what they say of themselves."""
    before = case.clock.now()
    return Asked(facts(conn, case.settings.moodle.prefix), before, case.clock.now())


def moodle(case: Case, asked: Asked) -> Findings:
    """Yield what Moodle says of itself, and how its database's clock stands."""
    site = asked.site
    if site.release.value is not None:
        yield ok("Moodle", f"release {site.release.value}")
    yield from _log_store(case, site.log_stores.value)
    yield from _json(site.jsonformat.value)
    yield from _increment(site.auto_increment_increment.value or 1)
    yield from _unknown(site)
    if site.now.value is not None:
        yield from clock("the clock of Moodle's database", site.now.value, asked.before, asked.after)


def clock(subject: str, there: datetime, before: datetime, after: datetime) -> Findings:
    """Compare a database's clock, read between two moments, with this machine's."""
    skew = skew_s(there, before, after)
    if abs(skew) <= SKEW_S:
        yield ok(subject, "agrees with this machine's")
        return
    where = "ahead of" if skew > 0 else "behind"
    yield warning(
        subject,
        f"is {duration(abs(skew))} {where} this machine's",
        "set both machines' clocks by the network (chrony, systemd-timesyncd)",
    )


def _unknown(site: SiteFacts) -> Findings:
    """Yield one note for each reason why something is not known."""
    known: dict[str, Fact[Any]] = {
        "release": site.release,
        "log store": site.log_stores,
        "jsonformat": site.jsonformat,
        "loglifetime": site.loglifetime_days,
    }
    reasons: dict[str, list[str]] = {}
    for name, fact in known.items():
        if fact.unknown is not None:
            reasons.setdefault(fact.unknown, []).append(name)
    for reason, names in reasons.items():
        text, remedy = split_remedy(reason)
        yield note(", ".join(names), f"not known: {text}", remedy and f"only to have it checked: {remedy}")


def _log_store(case: Case, stores: tuple[str, ...] | None) -> Findings:
    if case.settings.moodle.log_table != "logstore_standard_log":
        yield note(
            "log store", f"whether Moodle writes {case.log.name} cannot be told: it is no standard log"
        )
    elif stores is None:
        return
    elif STANDARD_STORE in stores:
        yield ok("log store", "the standard log store is enabled")
    else:
        yield problem(
            "log store",
            "the standard log store is not enabled: Moodle writes nothing that could be read",
            "enable it: Site administration > Plugins > Logging > Manage log stores",
        )


def _json(enabled: bool | None) -> Findings:
    if enabled is False:
        yield note(
            "jsonformat",
            "Moodle writes `other` as PHP serialize(); that is read as well, objects in it are refused",
            "Site administration > Plugins > Logging > Standard log: JSON format",
        )


def _increment(step: int) -> Findings:
    if step > 1:
        yield note(
            "auto_increment_increment",
            f"ids grow in steps of {step} (a cluster?): every hole between them is remembered for a while",
        )


def proof(conn: Connection, case: Case) -> Findings:
    """Yield how a missing id of the log is known to be missing for ever."""
    found = horizon(conn, case.clock.now())
    if found.method is not Method.PATIENCE:
        yield ok("gaps", f"a missing id is given up on proof ({found.method})")
        return
    text, remedy = split_remedy(found.reason)
    patience = duration(case.settings.tail.gap_patience)
    yield note("gaps", f"a missing id is given up after {patience}, tail.gap_patience. {text}", remedy)


def log(conn: Connection, case: Case, memory: Memory, days: int | None) -> Findings:
    """Yield how the log stands to the cursor; Moodle deletes rows after `days`, 0 is never."""
    head = case.log.head(conn)
    yield from _newest(conn, case, head)
    yield from _cursor(case, memory)
    cursor = memory.cursor
    if cursor is None:
        return
    if head is not None and head < cursor.position:
        yield problem(
            "cursor",
            f"the newest row is {head}, but rows up to {cursor.position} were read already: the table was"
            " restored or emptied, and the tail stands still",
            "mih cursor set latest, or mih cursor set ID to read again from that row",
        )
        return
    yield from _progress(head, cursor.position)
    yield from _cleanup(conn, case, cursor.position, days)


def _newest(conn: Connection, case: Case, head: int | None) -> Findings:
    row = case.log.row(conn, head) if head is not None else None
    if row is None:
        yield note("log", "is empty: Moodle has not written anything yet")
        return
    age = case.clock.now().timestamp() - row.timecreated
    if age > _SILENT_S:
        yield warning(
            "log",
            f"its newest row, {row.id}, is {duration(age)} old",
            "is this the database of the live Moodle, and is the log still written?",
        )
    elif age < -AHEAD_S:
        yield warning(
            "log",
            f"its newest row, {row.id}, was written {duration(-age)} from now",
            "set the clock of Moodle's web server by the network",
        )
    else:
        yield ok("log", f"its newest row, {row.id}, is {duration(max(age, 0))} old")


def _cursor(case: Case, memory: Memory) -> Findings:
    others = ", ".join(memory.other_sites)
    if memory.cursor is None and memory.readable:
        yield note(
            "cursor", f"there is none yet: the first start begins at tail.start, {case.settings.tail.start}"
        )
    if others and memory.cursor is None:
        yield warning(
            "site",
            f"the store knows {others}, but not {case.settings.site}: if the site was renamed, all delivery"
            " ids change, and receivers cannot recognise a repetition",
            "put the old name back into `site`, unless this is another Moodle",
        )
    elif others:
        yield note("site", f"the store also holds the cursor of {others}")


def _progress(head: int | None, position: int) -> Findings:
    left = (head or position) - position
    if left:
        yield ok("cursor", f"rows up to {position} are read; at most {left:,} wait")
    else:
        yield ok("cursor", f"all rows are read, up to {position}")


def _cleanup(conn: Connection, case: Case, position: int, days: int | None) -> Findings:
    found = reach(conn, case.log, position, now=case.clock.now())
    if found.overtaken:
        yield problem(
            "loglifetime",
            f"the log begins at row {found.first}, but only rows up to {position} were read:"
            " what was between is gone",
            "keep the log longer (Site administration > Plugins > Logging > Standard log),"
            " and the sidecar running",
        )
    elif found.is_late(days):
        yield warning(
            "loglifetime",
            f"the next row to read is {duration(found.unread_age_s)} old, and Moodle deletes rows after"
            f" {days} days",
            "let the sidecar catch up, or keep the log longer",
        )
    elif days is not None:
        kept = f"keeps rows for {days} days" if days else "keeps rows for ever"
        yield ok("loglifetime", f"Moodle {kept}")
