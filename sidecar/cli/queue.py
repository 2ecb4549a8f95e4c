"""`mih queue`: deliveries on their way, one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from sidecar.bridge import byhand
from sidecar.bridge.byhand import Ending
from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.desk import Desk, desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, limit_option, yes_option
from sidecar.model import DeliveryState
from sidecar.settings import Kind
from sidecar.store import deliveries, log, order, shapes
from sidecar.store.find import find_delivery, known_filter
from sidecar.store.overview import obstacles
from sidecar.store.waiting import count_waiting
from sidecar.store.words import count

_COLUMNS = ("id", "service", "rule", "state", "tries", "due_at", "last_error")
_STATES = [str(state) for state in DeliveryState]
_ENDINGS = {
    Ending.CANCEL: ("Never send", "cancelled; `mih queue retry` takes that back, one by one"),
    Ending.BURY: ("Give up", "buried: `mih dlq list --reason removed` shows them"),
}


@dataclass(frozen=True, slots=True)
class Of:
    """All deliveries that wait for one service, or were made by one rule."""

    kind: Kind
    name: str


def waiting_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command --service and --rule, of which one can be named, as `of`."""

    @click.option("--service", help="All that wait for this service.")
    @click.option("--rule", help="All that wait and were made by this rule.")
    @wraps(command)
    def chosen(*, service: str | None, rule: str | None, **options: Any) -> None:
        if service and rule:
            raise click.UsageError("Name a service or a rule, not both.")
        of = Of(Kind.SERVICE, service) if service else Of(Kind.RULE, rule) if rule else None
        command(of=of, **options)

    return chosen


@click.group()
def queue() -> None:
    """Deliveries: those on their way, and those of the last days. ID is the number or the delivery id."""


@queue.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--service", help="Only those to this service.")
@click.option("--rule", help="Only those of this rule.")
@limit_option
@config_option
@json_option
def list_deliveries(
    *, state: str | None, service: str | None, rule: str | None, limit: int, config: Path, as_json: bool
) -> None:
    """List deliveries, the newest first."""
    wanted = DeliveryState(state) if state else None
    with desk(config) as at, at.store.read() as conn:
        found = deliveries.find(conn, state=wanted, service=service, rule=rule, limit=limit)
        if not found:
            known_filter(conn, at.settings, service=service, rule=rule)
        waiting = obstacles(conn, at.settings.services, {row.service: None for row in found})
        behind = order.waits_for(conn, found)
    rows = [shapes.delivery(row, waiting.get(row.service), waits_for=behind.get(row.id)) for row in found]
    shown = [{**row, "state": _state(row), "tries": row["attempts"]} for row in rows]
    output.show_rows(rows if as_json else shown, _COLUMNS, as_json=as_json, empty="No delivery matches.")


@queue.command("show")
@click.argument("key", metavar="ID")
@config_option
@json_option
def show_delivery(key: str, config: Path, as_json: bool) -> None:
    """Show one delivery: what is sent, where it stands, and every try so far."""
    with desk(config) as at, at.store.read() as conn:
        row = find_delivery(conn, key)
        waiting = obstacles(conn, at.settings.services, {row.service: None}).get(row.service)
        behind = order.waits_for(conn, [row]).get(row.id)
        tries = [shapes.attempt(one) for one in log.find(conn, delivery_id=row.delivery_id)]
    view = {**shapes.delivery(row, waiting, waits_for=behind), **shapes.request(row)}
    if as_json:
        output.show_json({**view, "tries": tries})
        return
    output.show_thing(view, as_json=False, texts=("last_error", "payload"))
    click.echo("\ntries, the newest first:")
    columns = ("id", "created_at", "outcome", "status", "latency_ms", "error")
    output.show_rows(tries, columns, as_json=False, empty="none yet")


@queue.command("retry")
@click.argument("key", metavar="ID")
@config_option
def retry(key: str, config: Path) -> None:
    """Send a waiting, dead or cancelled delivery now, with the same id and bytes and all its tries."""
    with desk(config) as at:
        row = byhand.retry(at.store, key, now=at.now, by=author())
        with at.store.read() as conn:
            obstacle = obstacles(conn, at.settings.services, {row.service: None}).get(row.service)
    wait = f", but parked: {obstacle}" if obstacle else ""
    click.echo(f"Delivery {row.id} ({row.delivery_id}) is due now{wait}.")


@queue.command("cancel")
@click.argument("key", metavar="[ID]", required=False)
@waiting_option
@yes_option
@config_option
def cancel(key: str | None, of: Of | None, yes: bool, config: Path) -> None:
    """Never send a pending or dead delivery, or any that waits; `retry` takes that back for a while."""
    if (key is None) == (of is None):
        raise click.UsageError("Name one delivery, or all that wait with --service or --rule.")
    with desk(config) as at:
        if of is not None:
            _settle(at, of, Ending.CANCEL, yes=yes)
        elif key is not None:
            row = byhand.cancel(at.store, key, now=at.now, by=author())
            click.echo(f"Delivery {row.id} ({row.delivery_id}) is cancelled.")


@queue.command("bury")
@waiting_option
@yes_option
@config_option
def bury(of: Of | None, yes: bool, config: Path) -> None:
    """Give up all deliveries that wait: they become dead letters, to be replayed or deleted later."""
    if of is None:
        raise click.UsageError("Name what to give up: --service or --rule.")
    with desk(config) as at:
        _settle(at, of, Ending.BURY, yes=yes)


def _settle(at: Desk, of: Of, ending: Ending, *, yes: bool) -> None:
    with at.store.read() as conn:
        waiting = count_waiting(conn, of.kind, of.name)
        if not waiting:
            named = {kind: of.name if of.kind is kind else None for kind in Kind}
            known_filter(conn, at.settings, service=named[Kind.SERVICE], rule=named[Kind.RULE])
    if not waiting:
        click.echo(f"Nothing waits for the {of.kind} {of.name}.")
        return
    owed = count(waiting, "delivery", "deliveries")
    verb, done = _ENDINGS[ending]
    output.confirm(f"{verb} {owed} of the {of.kind} {of.name}?", yes=yes)
    settled = byhand.settle_waiting(at.store, of.kind, of.name, ending, now=at.now, by=author())
    click.echo(f"{count(settled, 'delivery', 'deliveries')} {done}.")


def _state(row: shapes.View) -> str:
    if row["parked"]:
        return f"parked: {row['parked']}"
    return f"waits for {row['waits_for']} of the same key" if row["waits_for"] else str(row["state"])
