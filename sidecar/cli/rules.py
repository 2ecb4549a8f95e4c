"""`mih rules`: which events go where, by the file, and whether that is in force."""

import os
from datetime import timedelta
from pathlib import Path

import click
from sqlalchemy import Connection

from sidecar.bridge.match import version_of
from sidecar.cli import output
from sidecar.cli.desk import desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option
from sidecar.cli.tryout import rule_history, test_rule
from sidecar.cli.wish import Wish, completed
from sidecar.errors import ConfigError
from sidecar.settings import Settings, gallery, rule_name, rule_text
from sidecar.store import counts, made, shapes
from sidecar.store import rules as table
from sidecar.store.find import known

_COLUMNS = ("name", "event", "service", "request", "state", "in_force")


@click.group()
def rules() -> None:
    """Which events become deliveries, and to whom."""


rules.add_command(test_rule)
rules.add_command(rule_history)


@rules.command("list")
@config_option
@json_option
def list_rules(config: Path, as_json: bool) -> None:
    """List all rules of the configuration and those in force."""
    with desk(config) as at, at.store.read() as conn:
        rows = _views(conn, at.settings)
    shown = [{**row, "request": f"{row['method']} {row['endpoint']}".strip()} for row in rows]
    output.show_rows(rows if as_json else shown, _COLUMNS, as_json=as_json, empty="No rule is configured.")


@rules.command("gallery")
@json_option
def list_gallery(as_json: bool) -> None:
    """List the ready templates that come with the program."""
    rows = [
        {"template": one.name, "event": list(one.events), "format": one.format, "about": one.about}
        for one in gallery()
    ]
    output.show_rows(rows, ("template", "format", "event"), as_json=as_json, empty="There is none.")


@rules.command("new")
@config_option
@click.option("--event", help="The event class or pattern  [default: the template's]")
@click.option("--service", help="Name of the service that gets it.")
@click.option("--template", help="A ready template of `mih rules gallery`, or none for the whole event.")
@click.option("--name", help="Name of the rule  [default: after the template or event]")
def new_rule(
    config: Path, event: str | None, service: str | None, template: str | None, name: str | None
) -> None:
    """Print a rule to paste under `rules:`, with a ready template; asks for what is not given."""
    settings = _readable(config)
    services = sorted(settings.services) if settings else []
    wish = completed(Wish(event, service, template), services)
    ready = wish.ready
    taken = [rule.name for rule in settings.rules] if settings else []
    called = name or rule_name(ready.name if ready else None, wish.events[0], taken)
    assert wish.service is not None
    click.echo(rule_text(called, wish.events, wish.service, ready, known=wish.service in services), nl=False)


def _readable(config: Path) -> Settings | None:
    """Return the settings, None where the file is not there or broken: a rule can be made all the same."""
    try:
        return made.load(config, os.environ)
    except ConfigError:
        return None


@rules.command("show")
@click.argument("name")
@config_option
@json_option
def show_rule(name: str, config: Path, as_json: bool) -> None:
    """Show one rule, and what it came to in the last 24 hours."""
    with desk(config) as at, at.store.read() as conn:
        found = {row["name"]: row for row in _views(conn, at.settings)}
        tally = counts.totals(conn, since=at.now - timedelta(hours=24))
    view = found[known(name, found, "rule")]
    view["last_24h"] = {what: n for rule, what, n in tally if rule == name}
    written = next((rule for rule in at.settings.rules if rule.name == name), None)
    view["definition"] = written.model_dump(mode="json") if written else None
    output.show_thing(view, as_json=as_json)


def _views(conn: Connection, settings: Settings) -> list[shapes.View]:
    written = {rule.name: (rule, version_of(rule)) for rule in settings.rules}
    return shapes.rules(table.all_rows(conn), written, settings.made)
