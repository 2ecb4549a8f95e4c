"""`mih queue`: deliveries on their way, one by one."""

from pathlib import Path

import click

from sidecar.bridge import byhand
from sidecar.cli import output
from sidecar.cli.desk import desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, limit_option
from sidecar.model import DeliveryState
from sidecar.store import deliveries, log, shapes
from sidecar.store.find import find_delivery, known_filter
from sidecar.store.overview import obstacles

_COLUMNS = ("id", "service", "rule", "state", "tries", "due_at", "last_error")
_STATES = [str(state) for state in DeliveryState]


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
    rows = [shapes.delivery(row, waiting.get(row.service)) for row in found]
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
        tries = [shapes.attempt(one) for one in log.find(conn, delivery_id=row.delivery_id)]
    view = {**shapes.delivery(row, waiting), **shapes.request(row)}
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
        row = byhand.retry(at.store, key, now=at.now)
        with at.store.read() as conn:
            obstacle = obstacles(conn, at.settings.services, {row.service: None}).get(row.service)
    wait = f", but parked: {obstacle}" if obstacle else ""
    click.echo(f"Delivery {row.id} ({row.delivery_id}) is due now{wait}.")


@queue.command("cancel")
@click.argument("key", metavar="ID")
@config_option
def cancel(key: str, config: Path) -> None:
    """Never send a pending or dead delivery; `retry` takes that back while it is kept."""
    with desk(config) as at:
        row = byhand.cancel(at.store, key, now=at.now)
    click.echo(f"Delivery {row.id} ({row.delivery_id}) is cancelled.")


def _state(row: shapes.View) -> str:
    return f"parked: {row['parked']}" if row["parked"] else str(row["state"])
