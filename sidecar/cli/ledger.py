"""`mih ledger`: is anything missing? Moodle's log is read again and every row accounted for."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress as Bar

from sidecar.bridge.account import Became, Ledger, Missing
from sidecar.bridge.ledger import Asked, Progress
from sidecar.bridge.ledger import ledger as take
from sidecar.bridge.repair import Repaired, repair
from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.desk import moment
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, yes_option
from sidecar.cli.sources import Reader, reader
from sidecar.errors import ExitCode
from sidecar.store.find import known_filter
from sidecar.store.words import count

_MOST_NAMED = 50
_COLUMNS = ("hour", "rule", "rows", "delivered", "waiting", "dead", "filtered", "other", "unaccounted")
_WAITING = (Became.PENDING, Became.PARKED)
_FILTERED = (Became.TOO_OLD, Became.WHERE, Became.WHEN)
_SHOWN = {Became.DELIVERED, Became.COUNTED, Became.DEAD, Became.MISSING, *_WAITING, *_FILTERED}


@click.command()
@click.option("--since", default="24h", show_default=True, metavar="WHEN", help="Since then: 2h, 7d, a time.")
@click.option("--until", metavar="WHEN", help="Up to the hour of then; by default up to now.")
@click.option("--rule", help="Only this rule.")
@click.option("--repair", "mend", is_flag=True, help="Queue what is missing, with the ids it would have had.")
@yes_option
@config_option
@json_option
def ledger(
    *, since: str, until: str | None, rule: str | None, mend: bool, yes: bool, config: Path, as_json: bool
) -> int:
    """Account for every row of Moodle's log that a rule names, hour by hour.

    Ends with code 0 only if nothing is unaccounted, else with 6.
    """
    with reader(config) as at:
        begin = moment(since, at.at.now)
        assert begin is not None
        found = _take(at, Asked(begin, moment(until, at.at.now), rule))
        if not found.lines and rule is not None:
            with at.sources.store.read() as conn:
                known_filter(conn, at.sources.settings, service=None, rule=rule)
        done = _repaired(at, found, yes=yes) if mend and found.missing else None
    if as_json:
        output.show_json(view(found) | ({"repaired": _repair_view(done)} if mend else {}))
    else:
        _show(found)
        _tell(done)
    left = found.unaccounted - (done.queued + done.dead if done else 0)
    return ExitCode.UNACCOUNTED if left or found.stopped_at else ExitCode.OK


def view(found: Ledger) -> dict[str, Any]:
    """Return a ledger as scripts read it."""
    return {
        "since": found.since,
        "until": found.until,
        "position": found.position,
        "rows": sum(line.rows for line in found.lines),
        "totals": dict(found.totals),
        "unaccounted": found.unaccounted,
        "missing": [asdict(one) for one in found.missing],
        "short": dict(found.short),
        "gap_ids": sum(found.gap_ids.values()),
        "hours": [
            {"hour": line.hour, "rule": line.rule, "rows": line.rows, "by_count": line.by_count}
            | {"counts": dict(line.counts)}
            for line in found.lines
        ],
        "remarks": list(remarks(found)),
    }


def remarks(found: Ledger) -> Iterator[str]:
    """Say what this ledger cannot know."""
    if found.position is None:
        yield "Nothing has been read yet: the first start of `mih run` begins."
        return
    if found.in_force_since is None:
        yield "No rule has judged any row yet; rows are accounted for from the first one on."
    elif found.since < found.in_force_since:
        first = f"{found.in_force_since:%Y-%m-%d %H:%M}"
        yield f"Rules are known since {first} UTC; rows that were read before are not counted."
    if found.by_count:
        yield (
            "by count: deliveries that old may have been pruned (retention.delivered_days); they are compared"
            " with the hourly counts, and what these lack has no ids."
        )
    if found.totals.get(Became.TOO_OLD):
        yield (
            "too_old: counted back from the rows around it and tail.gap_patience more; in doubt a row that"
            " left no trace was too old."
        )
    for rule in found.broken:
        yield f"{rule}: an earlier version of this rule is not understood any more; its rows are not judged."
    if found.stopped_at is not None:
        yield f"Not all was read: it took too long. Rows up to id {found.stopped_at} are in it."


def _take(at: Reader, asked: Asked) -> Ledger:
    with _bar() as each:
        return take(at.sources, asked, each=each)


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    """Show how far it is, where somebody looks."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading Moodle's log", total=None)
        yield lambda at: bar.update(task, completed=at.position - at.first, total=max(at.last - at.first, 1))


def _repaired(at: Reader, found: Ledger, *, yes: bool) -> Repaired:
    rules = Counter(one.rule for one in found.missing)
    named = ", ".join(f"{rule} {n:,}" for rule, n in sorted(rules.items()))
    output.confirm(f"Queue {count(len(found.missing), 'delivery', 'deliveries')} ({named})?", yes=yes)
    return repair(at.sources, at.book, found.missing, author())


def _show(found: Ledger) -> None:
    if found.lines:
        output.table([_row(line.hour, line.rule, line.counts) for line in found.lines], _COLUMNS)
    for remark in remarks(found):
        click.echo(remark)
    if found.gap_ids:
        click.echo(
            f"{count(sum(found.gap_ids.values()), 'id')} below the cursor may still appear: `mih gaps list`."
        )
    for one in found.missing[:_MOST_NAMED]:
        click.echo(f"  {_named(one)}")
    if len(found.missing) > _MOST_NAMED:
        click.echo(f"  and {len(found.missing) - _MOST_NAMED:,} more: --json names all")
    for rule, n in found.short.items():
        click.echo(f"  rule {rule}: {n:,} by count")
    click.echo(f"{found.unaccounted:,} unaccounted")


def _row(hour: datetime, rule: str, counts: Any) -> dict[str, Any]:
    def of(*kinds: Became) -> int:
        return sum(counts.get(kind, 0) for kind in kinds)

    delivered = of(Became.DELIVERED, Became.COUNTED)
    return {
        "hour": hour,
        "rule": rule,
        "rows": sum(counts.values()),
        "delivered": f"{delivered:,} by count" if of(Became.COUNTED) else delivered,
        "waiting": of(*_WAITING),
        "dead": of(Became.DEAD),
        "filtered": of(*_FILTERED),
        "other": ", ".join(f"{kind} {counts[kind]:,}" for kind in counts if kind not in _SHOWN) or None,
        "unaccounted": of(Became.MISSING),
    }


def _named(one: Missing) -> str:
    return f"rule {one.rule}, log row {one.log_id}, hour {output.words(one.hour)}, delivery {one.delivery_id}"


def _tell(done: Repaired | None) -> None:
    if done is None:
        return
    click.echo(f"Queued {count(done.queued, 'delivery', 'deliveries')}, {count(done.dead, 'dead letter')}.")
    for one, why in done.left[:_MOST_NAMED]:
        click.echo(f"  left: rule {one.rule}, log row {one.log_id}: {why}")


def _repair_view(done: Repaired | None) -> dict[str, Any]:
    if done is None:
        return {"queued": 0, "dead": 0, "left": []}
    left = [{"rule": one.rule, "log_id": one.log_id, "why": why} for one, why in done.left]
    return {"queued": done.queued, "dead": done.dead, "left": left}
