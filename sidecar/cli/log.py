"""`mih log`: the request log, one row a try."""

from pathlib import Path

import click

from sidecar.cli import output
from sidecar.cli.desk import desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, limit_option
from sidecar.errors import NotFound
from sidecar.store import log as table
from sidecar.store import shapes
from sidecar.store.find import find_delivery, known_filter

_COLUMNS = ("id", "created_at", "service", "try", "outcome", "status", "ms", "error")


@click.group()
def log() -> None:
    """Every try to deliver: status, latency, error."""


@log.command("list")
@click.option("--service", help="Only those at this service.")
@click.option("--rule", help="Only those of this rule.")
@click.option("--delivery", metavar="ID", help="Only those of this delivery: its number or its delivery id.")
@limit_option
@config_option
@json_option
def list_attempts(
    *, service: str | None, rule: str | None, delivery: str | None, limit: int, config: Path, as_json: bool
) -> None:
    """List tries, the newest first."""
    with desk(config) as at, at.store.read() as conn:
        key = find_delivery(conn, delivery).delivery_id if delivery else None
        found = table.find(conn, service=service, rule=rule, delivery_id=key, limit=limit)
        if not found:
            known_filter(conn, at.settings, service=service, rule=rule)
    rows = [shapes.attempt(row) for row in found]
    shown = [{**row, "try": row["attempt"], "ms": row["latency_ms"]} for row in rows]
    output.show_rows(rows if as_json else shown, _COLUMNS, as_json=as_json, empty="No try matches.")


@log.command("show")
@click.argument("number", metavar="ID", type=click.IntRange(1, 2**63 - 1))
@config_option
@json_option
def show_attempt(number: int, config: Path, as_json: bool) -> None:
    """Show one try with the beginning of its answer. ID is the number that `mih log list` shows."""
    with desk(config) as at, at.store.read() as conn:
        row = table.get(conn, number)
        newest = table.find(conn, limit=1)
    if row is None:
        there = f"the newest is {newest[0].id}" if newest else "nothing was sent yet"
        raise NotFound(f"There is no try {number} in the request log: {there}.")
    view = {**shapes.attempt(row), "request": row.request, "response": row.response}
    output.show_thing(view, as_json=as_json, texts=("error", "request", "response"))
