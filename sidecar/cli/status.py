"""`mih status`: everything on one page, and its first sentence says whether all is well."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from sidecar.cli import output
from sidecar.cli.desk import Desk, desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, words
from sidecar.clock import SystemClock
from sidecar.errors import BrokerUnavailable
from sidecar.model import Circuit, CircuitState, Cursor, Level
from sidecar.store import relayed, shapes
from sidecar.store.overview import Lot, Overview, Process, look
from sidecar.store.sentences import remark_of, remedy, say
from sidecar.store.verdict import judge
from sidecar.store.words import count, span

_SUBJECTS = {"log_store": "log store", "json_format": "log format"}
_KINDS = {"where": "its where did not hold", "when": "its condition was false", "too_old": "too old"}


@click.command()
@config_option
@json_option
def status(config: Path, as_json: bool) -> None:
    """Show on one page how things stand."""
    with desk(config, tables=False) as at:
        if at.unready:
            _say_unready(at.settings.site, at.unready, as_json)
            return
        with at.store.read() as conn:
            found = look(conn, at.settings, now=at.now)
        relay = _relay(at)
    if as_json:
        output.show_json({**shapes.overview(found), "relay": relay})
    else:
        _print(found)
        _print_relay(relay)


def _relay(at: Desk) -> dict[str, Any] | None:
    """Return what RabbitMQ carries, by the store and by its queues; None where it carries nothing.

    A queue does not count what a process has taken.
    """
    settings = at.settings
    if settings.dispatch.engine != "rabbitmq" or settings.dispatch.broker is None:
        return None
    # What speaks AMQP is only loaded where it is needed.
    from sidecar.transports.relay.door import depths, door_of  # noqa: PLC0415

    with at.store.read() as conn:
        carried = relayed.count(conn, settings.services)
    try:
        left = depths(door_of(settings.dispatch.broker, settings.site), settings.services, SystemClock())
    except BrokerUnavailable as error:
        return {"problem": str(error), "waiting": None, "services": []}
    services = [
        {"service": name, "carried": carried.get(name, 0), "ready": left[name]} for name in settings.services
    ]
    return {"problem": None, "waiting": left[""], "services": services}


def _print_relay(found: dict[str, Any] | None) -> None:
    if found is None:
        return
    _heading("RabbitMQ")
    if found["problem"]:
        click.echo(output.printable(found["problem"]))
        return
    output.show_rows(found["services"], ("service", "carried", "ready"), as_json=False, empty="no service")
    click.echo(f"waiting for a retry: {found['waiting']:,}")


def _say_unready(site: str, sentence: str, as_json: bool) -> None:
    if as_json:
        output.show_json({"well": False, "summary": sentence, "site": site, "ready": False})
    else:
        click.echo(sentence)


def _print(found: Overview) -> None:
    for remark in judge(found).remarks:
        click.echo(output.printable(f"{say(remark, found.at)}."))
    _heading(f"Processes ({found.site})")
    _print_processes(found)
    _heading("Log")
    _print_log(found)
    _heading("Moodle")
    _print_moodle(found)
    _heading("Services")
    _print_services(found)
    _heading("Held back in the last 24 h")
    held = [{"rule": rule, "reason": _KINDS[what], "rows": n} for rule, what, n in found.held]
    output.show_rows(held, ("rule", "reason", "rows"), as_json=False, empty="nothing")
    fresh = f", {found.letters_last_day:,} of the last 24 h" if found.letters_last_day else ""
    _heading(f"Dead letters: {sum(n for _, _, n in found.letters):,}{fresh}")
    letters = [{"service": service, "reason": reason, "letters": n} for service, reason, n in found.letters]
    output.show_rows(letters, ("service", "reason", "letters"), as_json=False, empty="none")


def _heading(text: str) -> None:
    click.echo(f"\n{text}")


def _print_processes(found: Overview) -> None:
    rows = [
        {
            "process": f"{process.host}:{process.pid}",
            "role": process.role,
            "version": process.version,
            "seen": _ago(process.seen_at, found.at),
            "tail round": _ago(process.tail_at, found.at),
            "dispatch round": _ago(process.dispatch_at, found.at),
            "state": _condition(process),
        }
        for process in found.processes
    ]
    output.show_rows(rows, list(rows[0]) if rows else (), as_json=False, empty="none is running")


def _condition(process: Process) -> str:
    if not process.alive:
        return "silent"
    return "ill" if process.ailment or process.problem else "well"


def _print_log(found: Overview) -> None:
    cursor = found.cursor
    if cursor is None:
        click.echo("not read yet: the first start of `mih run` puts the cursor where tail.start says")
        return
    click.echo(f"read up to row {cursor.position:,}{_behind(cursor)}")
    looked = _ago(found.polled_at, found.at)
    click.echo(f"by {cursor.leased_by or 'nobody just now'}" + (f", last look {looked}" if looked else ""))
    click.echo(
        f"missing ids: {count(found.ids_open, 'id')} in {count(found.gaps_open, 'gap')} may still appear, "
        f"{found.ids_given_up:,} given up"
    )


def _print_moodle(found: Overview) -> None:
    rows = [
        {
            "watched": _SUBJECTS.get(one.subject, one.subject),
            "level": one.level,
            "since": _ago(one.since_at, found.at),
        }
        for one in found.watched
    ]
    empty = "not looked at yet: a process that tails does so once a minute"
    output.show_rows(rows, ("watched", "level", "since"), as_json=False, empty=empty)
    for one in found.watched:
        if one.level is not Level.WELL:
            said = remark_of(one)
            click.echo(output.printable(f"{say(said, found.at)}."))
            if mend := remedy(said):
                click.echo(output.printable(f"  {mend}"))


def _behind(cursor: Cursor) -> str:
    behind = max((cursor.head or cursor.position) - cursor.position, 0)
    if behind:
        return f" of {cursor.head:,}: {count(behind, 'row')} behind"
    return f", the end; last complete {words(cursor.caught_up_at)} UTC" if cursor.caught_up_at else ""


def _print_services(found: Overview) -> None:
    rows = [
        {
            "service": lot.service,
            "circuit": _health(lot.circuit, found.at),
            "pending": lot.pending,
            "in the way": lot.obstacle,
            "sending": lot.sending,
            "oldest": _ago(lot.oldest, found.at),
            "dead": lot.dead,
        }
        for lot in found.lots
    ]
    output.show_rows(rows, list(rows[0]) if rows else (), as_json=False, empty="none is configured")
    for lot in found.lots:
        _print_error(lot, found.at)


def _print_error(lot: Lot, now: datetime) -> None:
    found = lot.circuit
    if found.state is not CircuitState.CLOSED and found.last_error:
        click.echo(output.printable(f"{lot.service}, {_ago(found.last_error_at, now)}: {found.last_error}"))


def _health(found: Circuit, now: datetime) -> str:
    """Return a circuit in words: since when, and when the next probe goes out."""
    if found.state is CircuitState.CLOSED:
        return f"closed, {count(found.failures, 'failure')}" if found.failures else "closed"
    since = f" for {span((now - found.opened_at).total_seconds())}" if found.opened_at else ""
    if found.state is CircuitState.HALF_OPEN:
        return f"half-open{since}, probing"
    wait_s = (found.probe_at - now).total_seconds() if found.probe_at else 0
    return f"open{since}, next probe " + (f"in {span(wait_s)}" if wait_s > 0 else "is due")


def _ago(moment: datetime | None, now: datetime) -> str | None:
    return None if moment is None else f"{span((now - moment).total_seconds())} ago"
