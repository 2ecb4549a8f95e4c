"""`mih circuits`: what the replicas believe about each service's health, and how to set that right."""

from datetime import datetime
from pathlib import Path

import click

from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.desk import Desk, desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option
from sidecar.model import Circuit, CircuitState
from sidecar.store import audit, shapes
from sidecar.store import circuits as table
from sidecar.store.find import known
from sidecar.store.words import span

_COLUMNS = ("service", "state", "failures", "opened_at", "probe_at", "last_error")


@click.group()
def circuits() -> None:
    """The circuit breakers, one a service: an open one parks deliveries until a probe succeeds."""


@circuits.command("list")
@config_option
@json_option
def list_circuits(config: Path, as_json: bool) -> None:
    """List all circuits."""
    with desk(config) as at:
        rows = [shapes.circuit(found) for found in _all(at).values()]
    shown = [{**row, "state": shapes.HEALTH[row["state"]]} for row in rows]
    output.show_rows(rows if as_json else shown, _COLUMNS, as_json=as_json, empty="No service is configured.")


@circuits.command("show")
@click.argument("name")
@config_option
@json_option
def show_circuit(name: str, config: Path, as_json: bool) -> None:
    """Show one service's circuit."""
    with desk(config) as at:
        found = _all(at)
    output.show_thing(shapes.circuit(found[known(name, found, "service")]), as_json=as_json)


@circuits.command("reset")
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="All services.")
@config_option
def reset_circuit(name: str | None, every: bool, config: Path) -> None:
    """Close a circuit by hand: what is parked is sent at once, and failures are counted from zero."""
    if every == (name is not None):
        raise click.UsageError("Give the NAME of a service, or --all.")
    with desk(config) as at:
        before = _all(at)
        chosen = sorted(before) if name is None else [known(name, before, "service")]
        with at.store.write() as conn:
            table.reset(conn, chosen, now=at.now)
            for service in chosen:
                audit.note(conn, author(), "circuit.reset", f"service {service}", now=at.now)
        for service in chosen:
            click.echo(_told(before[service], at.now))
    if not chosen:
        click.echo("No service is configured.")


def _all(at: Desk) -> dict[str, Circuit]:
    with at.store.read() as conn:
        return table.load_with(conn, at.settings.services)


def _told(before: Circuit, now: datetime) -> str:
    if before.state is CircuitState.CLOSED:
        return f"{before.service}: was closed already."
    since = f" for {span((now - before.opened_at).total_seconds())}" if before.opened_at else ""
    return f"{before.service}: closed; it was {shapes.health(before)}{since}."
