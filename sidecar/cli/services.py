"""`mih services`: what is configured, how it fares, and the switch that parks its deliveries."""

from pathlib import Path

import click
from sqlalchemy import Connection

from sidecar.cli import output, views
from sidecar.cli.desk import Desk, desk, known
from sidecar.cli.options import config_option
from sidecar.cli.output import count, json_option
from sidecar.errors import NotFound
from sidecar.settings import Service
from sidecar.store import overview
from sidecar.store import services as table
from sidecar.store.overview import Lot

_COLUMNS = ("name", "type", "base_url", "circuit", "pending", "dead", "in the way")


@click.group()
def services() -> None:
    """The systems that deliveries go to."""


@services.command("list")
@config_option
@json_option
def list_services(config: Path, as_json: bool) -> None:
    """List all services of the configuration, and those that are gone from it but still owed something."""
    with desk(config) as at, at.store.read() as conn:
        rows = [_view(lot, at) for lot in overview.lots(conn, at.settings.services)]
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
    view = _view(lots[known(name, lots, "service")], at)
    output.show_thing({**view, "settings": _settings(at.settings.services.get(name))}, as_json=as_json)


@services.command("pause")
@click.argument("name")
@config_option
def pause(name: str, config: Path) -> None:
    """Stop sending to a service: its deliveries are parked, none is dropped, no try is spent."""
    with desk(config) as at, at.store.write() as conn:
        _switch(conn, name, at, paused=True)
        waiting = {lot.service: lot.pending for lot in overview.lots(conn, at.settings.services)}
    owed = count(waiting.get(name, 0), "delivery", "deliveries")
    click.echo(f"{name} is paused; {owed} parked. `mih services resume {name}` sends them.")


@services.command("resume")
@click.argument("name")
@config_option
def resume(name: str, config: Path) -> None:
    """Send to a paused service again, beginning with what was parked."""
    with desk(config) as at, at.store.write() as conn:
        _switch(conn, name, at, paused=False)
        obstacle = overview.obstacles(conn, at.settings.services, {name: None}).get(name)
    click.echo(
        f"{name} is resumed." if obstacle is None else f"{name} is resumed, but still parked: {obstacle}."
    )


def _switch(conn: Connection, name: str, at: Desk, *, paused: bool) -> None:
    if table.pause(conn, name, pause=paused, now=at.now):
        return
    if name in at.settings.services:
        raise NotFound(f"{name} is in the configuration but not in force yet: start `mih run` with it once.")
    known(name, [row.name for row in table.all_rows(conn)], "service")


def _view(lot: Lot, at: Desk) -> views.View:
    service = at.settings.services.get(lot.service)
    return {
        "name": lot.service,
        "type": service.type if service else None,
        "base_url": service.base_url if service else None,
        "auth": service.auth.type if service else None,
        "enabled": service.enabled if service else None,
        "health": views.health(lot.circuit),
        **{key: value for key, value in views.lot(lot).items() if key not in {"service", "circuit"}},
    }


def _settings(service: Service | None) -> views.View | None:
    """Return the settings; pydantic prints stars for secrets."""
    if service is None:
        return None
    return service.model_dump(mode="json", exclude={"type", "base_url", "enabled"})
