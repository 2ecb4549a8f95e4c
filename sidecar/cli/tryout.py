"""`mih rules test` and `mih rules history`: what a rule would do, with nothing sent and nothing written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection

from sidecar.bridge.history import Bounds, History, Stop, history, last
from sidecar.bridge.match import CompiledRule
from sidecar.bridge.preview import Preview, Verdict, find_event, preview
from sidecar.bridge.shown import Remark
from sidecar.cli import output
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option
from sidecar.clock import Clock, SystemClock
from sidecar.errors import ExitCode
from sidecar.hub import load
from sidecar.moodle.logstore import LogStore
from sidecar.settings import Settings
from sidecar.store.engine import Database
from sidecar.store.faults import blame
from sidecar.store.find import known
from sidecar.store.words import count

_VERDICTS = {
    Verdict.MATCHES: "matches",
    Verdict.OTHER_EVENT: "does not match: its event is none of the rule's",
    Verdict.WHERE: "does not match: `where`",
    Verdict.WHEN: "does not match: `when` is false",
    Verdict.FAILS: "would become a dead letter",
    Verdict.NO_ROW: "no row",
}
_REMARKS = {
    Remark.COMPRESSED: "it is sent compressed",
    Remark.ENVELOPE: "these are the arguments: the envelope is made from the WSDL when it is sent",
    Remark.LARGE: "this is large, and every try sends all of it: name only what the receiver needs",
    Remark.MASKED: "the row is anonymous: the persons in it are taken out",
    Remark.RULE_OFF: "the rule is off",
    Remark.SERVICE_OFF: "the service is switched off: its deliveries wait",
    Remark.SHADOW: "the rule is in the shadow: nothing is sent",
    Remark.TOO_OLD: "the row is beyond max_event_age: only newer ones are sent",
    Remark.UNSENDABLE: "no message can be like that: see the address and the headers",
}
_STOPS = {Stop.ROWS: "so many rows were read", Stop.SECONDS: "the time was over"}


@dataclass(frozen=True, slots=True)
class _Bench:
    """A rule and what it is tried with."""

    conn: Connection
    settings: Settings
    compiled: CompiledRule
    log: LogStore
    clock: Clock


@contextmanager
def _bench(config: Path, name: str) -> Iterator[_Bench]:
    loaded = load(config, os.environ)
    rules = {item.rule.name: item for item in loaded.book.all}
    compiled = rules[known(name, rules, "rule")]
    moodle = Database(loaded.settings.moodle.url.get_secret_value(), pool_size=1)
    log = LogStore(loaded.settings.moodle.prefix, loaded.settings.moodle.log_table)
    clock = click.get_current_context().find_root().obj or SystemClock()
    try:
        with blame(f"moodle.url ({moodle.shown})"), moodle.read() as conn:
            yield _Bench(conn, loaded.settings, compiled, log, clock)
    finally:
        moodle.close()


@click.command("test")
@click.argument("name")
@click.option(
    "--id", "log_id", type=click.IntRange(0, 2**63 - 1), help="A row of Moodle's log  [default: the newest]"
)
@config_option
@json_option
def test_rule(name: str, log_id: int | None, config: Path, as_json: bool) -> int:
    """Try a rule on a row of Moodle's log: does it match, and what exactly would go out?

    Exits with 1 unless the row matches and can be rendered.
    """
    with _bench(config, name) as at:
        event = find_event(at.conn, at.log, at.compiled.rule, log_id)
        found = preview(at.conn, at.settings, at.compiled, event, clock=at.clock)
    if as_json:
        output.show_json(_as_json(found))
    else:
        _tell(found, log_id)
    return ExitCode.OK if found.verdict is Verdict.MATCHES else ExitCode.FAILED


def _as_json(found: Preview) -> dict[str, Any]:
    view = {name: getattr(found, name) for name in found.__dataclass_fields__ if name != "rule"}
    inner = {name: asdict(value) for name, value in view.items() if name in {"event", "request"} and value}
    return {"rule": found.rule.name, **view, **inner, "misfits": [asdict(one) for one in found.misfits]}


def _tell(found: Preview, log_id: int | None) -> None:
    if found.event is None:
        which = f"{log_id} in Moodle's log" if log_id is not None else "of its events among the newest"
        click.echo(f"There is no row {which}.")
        return
    click.echo(
        output.printable(f"Row {found.event.id}, {found.event.eventname}: {_VERDICTS[found.verdict]}.")
    )
    for one in found.misfits:
        click.echo(output.printable(f"  {one.column} is {one.found!r}, wanted {output.words(one.wanted)}"))
    if found.error:
        click.echo(output.printable(f"  {found.error}"))
    for remark in found.remarks:
        click.echo(f"  note: {_REMARKS[remark]}")
    if found.request:
        request = found.request
        lines = [f"{request.method} {request.address}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        click.echo(output.printable("\n" + "\n".join(lines)))
        click.echo(output.printable(f"\n{request.body}") if request.body is not None else "\n(no body)")
        click.echo(f"\n{request.size:,} bytes of {request.limit:,}")


@click.command("history")
@click.argument("name")
@click.option("--days", type=click.FloatRange(0, 31, min_open=True), default=7, show_default=True)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=20, show_default=True)
@config_option
@json_option
def rule_history(name: str, days: float, seconds: float, config: Path, as_json: bool) -> None:
    """Count how often a rule would have matched in the last --days, for at most --seconds."""
    bounds = Bounds(span=timedelta(days=days), seconds=seconds)
    with _bench(config, name) as at:
        pieces = history(at.conn, at.settings, at.compiled, log=at.log, clock=at.clock, bounds=bounds)
        found = last(pieces)
    if as_json:
        hours = [{"hour": hour, "counts": counts} for hour, counts in found.hours.items()]
        names = ("since", "back_to", "stopped", "rows", "totals")
        output.show_json({**{name: getattr(found, name) for name in names}, "hours": hours})
        return
    _tell_history(found)


def _tell_history(found: History) -> None:
    kinds = [kind for kind in ("matched", "failed", "where", "when") if kind in found.totals]
    rows = [
        {"hour": hour, **{kind: tally.get(kind, 0) for kind in kinds}} for hour, tally in found.hours.items()
    ]
    output.show_rows(rows, ["hour", *kinds], as_json=False, empty="No row of its events.")
    totals = ", ".join(f"{found.totals[kind]:,} {kind}" for kind in kinds)
    click.echo(
        f"\n{count(found.rows, 'row')}{': ' + totals if totals else ''}, since {output.words(found.back_to)}."
    )
    if found.stopped:
        click.echo(f"Stopped before {output.words(found.since)}: {_STOPS[found.stopped]}.")
