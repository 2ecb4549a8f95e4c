"""`mih audit`: who changed what, when and by which door."""

from pathlib import Path

import click

from sidecar.cli import output
from sidecar.cli.desk import desk, moment
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, limit_option
from sidecar.store import audit as table
from sidecar.store import shapes

_COLUMNS = ("done_at", "who", "via", "action", "object", "detail")


@click.group()
def audit() -> None:
    """What people changed: by the dashboard, the HTTP API and commands."""


@audit.command("list")
@click.option("--who", help="Only what this token, user or account did.")
@click.option("--action", help="Only these, such as service.change.")
@click.option("--object", "thing", help='Only of this, such as "service crm".')
@click.option("--since", metavar="WHEN", help="Only since then: 2h, 7d, a time.")
@limit_option
@config_option
@json_option
def list_changes(
    *,
    who: str | None,
    action: str | None,
    thing: str | None,
    since: str | None,
    limit: int,
    config: Path,
    as_json: bool,
) -> None:
    """List changes, the newest first."""
    with desk(config) as at, at.store.read() as conn:
        found = table.find(
            conn, who=who, action=action, thing=thing, since=moment(since, at.now), limit=limit
        )
    rows = [shapes.change(row) for row in found]
    output.show_rows(rows, _COLUMNS, as_json=as_json, empty="Nothing was changed, or nothing matches.")
