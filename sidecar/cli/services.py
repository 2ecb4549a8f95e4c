"""`mih services`: what is configured, how it fares, and the switch that parks its deliveries."""

from pathlib import Path

import click

from sidecar.bridge import byhand
from sidecar.cli import output
from sidecar.cli.author import author
from sidecar.cli.describe import describe_service
from sidecar.cli.desk import desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option
from sidecar.store import overview, shapes
from sidecar.store.find import known
from sidecar.store.words import count

_COLUMNS = ("name", "type", "base_url", "circuit", "pending", "dead", "in the way")


@click.group()
def services() -> None:
    """The systems that deliveries go to."""


services.add_command(describe_service)


@services.command("list")
@config_option
@json_option
def list_services(config: Path, as_json: bool) -> None:
    """List all services of the configuration, and those that are gone from it but still owed something."""
    with desk(config) as at, at.store.read() as conn:
        rows = [
            shapes.service(lot, at.settings.services.get(lot.service))
            for lot in overview.lots(conn, at.settings.services)
        ]
    shown = [{**row, "circuit": row["health"], "in the way": row["obstacle"]} for row in rows]
    output.show_rows(rows if as_json else shown, _COLUMNS, as_json=as_json, empty="No service is configured.")


@services.command("show")
@click.argument("name")
@config_option
@json_option
def show_service(name: str, config: Path, as_json: bool) -> None:
    """Show one service with its settings. Secrets are not shown."""
    with desk(config) as at, at.store.read() as conn:
        lots = {lot.service: lot for lot in overview.lots(conn, at.settings.services)}
    view = shapes.service(lots[known(name, lots, "service")], at.settings.services.get(name))
    output.show_thing({**view, "settings": shapes.options(at.settings.services.get(name))}, as_json=as_json)


@services.command("pause")
@click.argument("name")
@config_option
def pause(name: str, config: Path) -> None:
    """Stop sending to a service: its deliveries are parked, none is dropped, no try is spent."""
    with desk(config) as at, at.store.write() as conn:
        byhand.switch(conn, at.settings, name, paused=True, now=at.now, by=author())
        waiting = {lot.service: lot.pending for lot in overview.lots(conn, at.settings.services)}
    owed = count(waiting.get(name, 0), "delivery", "deliveries")
    click.echo(f"{name} is paused; {owed} parked. `mih services resume {name}` sends them.")


@services.command("resume")
@click.argument("name")
@config_option
def resume(name: str, config: Path) -> None:
    """Send to a paused service again, beginning with what was parked."""
    with desk(config) as at, at.store.write() as conn:
        byhand.switch(conn, at.settings, name, paused=False, now=at.now, by=author())
        obstacle = overview.obstacles(conn, at.settings.services, {name: None}).get(name)
    click.echo(
        f"{name} is resumed." if obstacle is None else f"{name} is resumed, but still parked: {obstacle}."
    )
