"""`mih replay`: rows of Moodle's log go through a rule again, or for the first time; live ones pass them."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress as Bar

from sidecar.bridge.backfill import Backfill
from sidecar.bridge.harvest import Harvester
from sidecar.bridge.planned import (
    Edge,
    Rehearsal,
    Wanted,
    begin,
    counted,
    found,
    planned,
    rehearsed,
    switched,
)
from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.desk import desk, moment
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, limit_option, yes_option
from sidecar.cli.sources import Reader, reader
from sidecar.errors import ExitCode
from sidecar.store import overview, replays
from sidecar.store.replays import Replay, ReplayState
from sidecar.store.words import count, span

_COLUMNS = (
    "id",
    "state",
    "rule",
    "ids",
    "expected",
    "looked_at",
    "queued",
    "known",
    "filtered",
    "dead",
    "problem",
)
_LOOK_S = 0.5
_READS = {"all", "tail"}


@click.group(invoke_without_command=True)
@click.option("--rule", help="The rule, as it is today.")
@click.option("--from", "first", metavar="WHEN|ID", help="From this row, or from this time on: 7d, a time.")
@click.option("--to", "last", metavar="WHEN|ID", help="Up to this row, or to before this time; default: now.")
@click.option("--ids", help="These rows: 1,2,5-9.")
@click.option("--rate", metavar="N/s", help="So many deliveries a second at most.")
@click.option("--again", is_flag=True, help="Also what was delivered before: it is sent once more.")
@click.option("--dry-run", is_flag=True, help="Render all of it and say what would come of it.")
@click.option("--now", "here", is_flag=True, help="Queue it in this command, where no sidecar runs.")
@click.option("--detach", is_flag=True, help="Begin it, and do not wait for its end.")
@yes_option
@config_option
@json_option
@click.pass_context
def replay(ctx: click.Context, /, rule: str | None, as_json: bool, config: Path, **given: Any) -> int | None:
    """Deliver rows of Moodle's log by a rule, also from before the sidecar was there.

    The running sidecar does it, in a slow lane that live events overtake; it survives restarts.
    """
    if ctx.invoked_subcommand is not None:
        return None
    with reader(config) as at:
        wanted = _wanted(rule, given, at.at.now)
        plan = planned(at.sources, at.book, wanted, author())
        if given["dry_run"]:
            return _rehearse(at, plan, as_json=as_json)
        return _run(at, plan, given, as_json=as_json)


@replay.command("list")
@limit_option
@config_option
@json_option
def list_replays(limit: int, config: Path, as_json: bool) -> None:
    """List replays, the newest first."""
    with desk(config) as at, at.store.read() as conn:
        rows = [view(one) for one in replays.find(conn, at.settings.site, limit=limit)]
    output.show_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing was ever replayed from the log.")


@replay.command("show")
@click.argument("number", metavar="ID", type=click.IntRange(1))
@config_option
@json_option
def show_replay(number: int, config: Path, as_json: bool) -> None:
    """Show one replay."""
    with desk(config) as at:
        output.show_thing(view(found(at.store, number)), as_json=as_json)


@replay.command("pause")
@click.argument("number", metavar="ID", type=click.IntRange(1))
@config_option
def pause_replay(number: int, config: Path) -> None:
    """Queue no more of a replay; what is queued is sent."""
    _switch(config, number, ReplayState.PAUSED)
    click.echo(f"Replay {number} is paused: `mih replay resume {number}` goes on.")


@replay.command("resume")
@click.argument("number", metavar="ID", type=click.IntRange(1))
@click.option("--now", "here", is_flag=True, help="Queue the rest in this command, where no sidecar runs.")
@config_option
def resume_replay(number: int, here: bool, config: Path) -> int:
    """Go on with a replay that was paused; with --now also with one that a killed command left."""
    if not here:
        _switch(config, number, ReplayState.RUNNING)
        click.echo(f"Replay {number} goes on.")
        return ExitCode.OK
    with reader(config) as at:
        if found(at.sources.store, number).state is ReplayState.PAUSED:
            switched(at.sources.store, number, ReplayState.RUNNING, author(), now=at.at.now)
        return _tell(_queue_here(at, number), as_json=False)


@replay.command("cancel")
@click.argument("number", metavar="ID", type=click.IntRange(1))
@yes_option
@config_option
def cancel_replay(number: int, yes: bool, config: Path) -> None:
    """End a replay for good; what is queued is sent."""
    output.confirm(f"Cancel replay {number} for good?", yes=yes)
    _switch(config, number, ReplayState.CANCELLED)
    click.echo(f"Replay {number} is cancelled.")


def view(one: Replay) -> dict[str, Any]:
    """Return a replay as scripts read it."""
    hidden = ("fence", "leased_by", "leased_until", "next_at", "site")
    shown = {key: value for key, value in asdict(one).items() if key not in hidden}
    return {"id": shown.pop("id"), "state": shown.pop("state"), **shown}


def _switch(config: Path, number: int, to: ReplayState) -> None:
    with desk(config) as at:
        switched(at.store, number, to, author(), now=at.now)


def _wanted(rule: str | None, given: dict[str, Any], now: datetime) -> Wanted:
    if rule is None:
        raise click.UsageError("Name the --rule, and which rows: --ids, or --from and --to.")
    if (given["ids"] is None) == (given["first"] is None):
        raise click.UsageError("Name which rows: either --ids, or --from with or without --to.")
    if given["ids"] is not None and given["last"] is not None:
        raise click.UsageError("--to goes with --from, not with --ids.")
    first, last = _edge(given["first"], "--from", now), _edge(given["last"], "--to", now)
    return Wanted(rule, given["ids"], first, last, _rate(given["rate"]), given["again"])


def _edge(text: str | None, option: str, now: datetime) -> Edge:
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    try:
        return moment(text, now)
    except click.BadParameter as error:
        raise click.BadParameter(f"{error.message}, or a row's id", param_hint=option) from None


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 10_000:
        raise click.BadParameter(
            f'"{text}" is no rate: write deliveries a second, such as 20/s', param_hint="--rate"
        )
    return rate


def _rehearse(at: Reader, plan: Replay, *, as_json: bool) -> int:
    last = Rehearsal(plan)
    for so_far in rehearsed(at.sources, at.book, plan):
        last = so_far
    said = {
        "would_queue": last.queued,
        "known": last.known,
        "would_fail": last.dead,
        "filtered": {what: n for what, n in last.held.items() if what in {"where", "when"}},
        "rows": last.replay.looked_at,
        "errors": last.errors[:10],
    }
    output.show_thing(said, as_json=as_json)
    return ExitCode.OK


def _run(at: Reader, plan: Replay, given: dict[str, Any], *, as_json: bool) -> int:
    rows = counted(at.sources, at.book, plan)
    plan = replace(plan, expected=rows.rows)
    output.confirm(_question(plan, complete=rows.complete), yes=given["yes"])
    number = begin(at.sources.store, plan, author())
    if given["here"]:
        return _tell(_queue_here(at, number), as_json=as_json)
    if given["detach"]:
        return _tell(found(at.sources.store, number), as_json=as_json)
    return _tell(_watched(at, number), as_json=as_json)


def _question(plan: Replay, *, complete: bool) -> str:
    about = count(plan.expected, "row") if complete else f"more than {count(plan.expected, 'row')}"
    lasts = f", at least {span(plan.expected / plan.rate)}" if plan.rate else ""
    known = "also what was delivered before" if plan.again else "without what was delivered before"
    return f"Replay {about} of the events of {plan.rule} (ids {_short(plan.ids)}{lasts}), {known}?"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _somebody_runs(at: Reader) -> bool:
    with at.sources.store.read() as conn:
        processes = overview.processes(conn, at.sources.settings, now=at.sources.clock.now())
    return any(one.alive and one.role in _READS for one in processes)


def _queue_here(at: Reader, number: int) -> Replay:
    """Queue all of it, whatever waits already: nobody else is there to overtake."""
    sources = at.sources
    backfill = Backfill(
        sources.moodle,
        sources.store,
        sources.log,
        replica=f"command-{author().who[:40]}-{number}",
        clock=sources.clock,
        lease_s=sources.settings.tail.lease,
        most_waiting=None,
    )
    harvester = Harvester(sources.settings, at.book)
    with _bar(found(sources.store, number)) as show:
        while (at_now := found(sources.store, number)).state is ReplayState.RUNNING:
            before = at_now.position
            queued = backfill.step(number, harvester)
            after = found(sources.store, number)
            show(after)
            if not queued and after.position == before and after.state is ReplayState.RUNNING:
                time.sleep(_LOOK_S)  # for its rate, or for another process that holds it
    backfill.release(number)
    return at_now


def _watched(at: Reader, number: int) -> Replay:
    """Show how far the sidecar has got with it; Ctrl-C only stops watching."""
    with _bar(found(at.sources.store, number)) as show:
        try:
            while (one := found(at.sources.store, number)).state is ReplayState.RUNNING:
                show(one)
                if not _somebody_runs(at):
                    click.echo(f"No sidecar runs: the next `mih run` goes on with replay {number}.", err=True)
                    break
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            click.echo(f"Replay {number} goes on: `mih replay show {number}`.", err=True)
    return one


@contextmanager
def _bar(one: Replay) -> Iterator[Any]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task(f"Replay {one.id}", total=max(one.expected, 1))
        yield lambda now: bar.update(task, completed=now.looked_at)


def _tell(one: Replay, *, as_json: bool) -> int:
    if as_json:
        output.show_json(view(one))
    else:
        click.echo(
            f"Replay {one.id} is {one.state}: {one.queued:,} queued, {one.known:,} known already,"
            f" {one.filtered:,} filtered, {count(one.dead, 'dead letter')}, of {count(one.looked_at, 'row')}."
        )
        if one.problem:
            click.echo(one.problem, err=True)
    return ExitCode.FAILED if one.problem else ExitCode.OK
