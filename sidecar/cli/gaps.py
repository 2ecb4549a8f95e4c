"""`mih gaps`: ids of Moodle's log that were not there when the tail passed them."""

from pathlib import Path

import click

from sidecar.cli import output
from sidecar.cli.desk import desk
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option, limit_option
from sidecar.model import Gap
from sidecar.store import gaps as table
from sidecar.store import shapes

_COLUMNS = ("first_id", "last_id", "ids", "state", "seen_at", "closed_at", "reason")


@click.group()
def gaps() -> None:
    """Missing ids below the cursor: asked again until their row appears or cannot appear any more."""


@gaps.command("list")
@limit_option
@config_option
@json_option
def list_gaps(limit: int, config: Path, as_json: bool) -> None:
    """List the open gaps, the lowest first, then those given up, the latest first."""
    with desk(config) as at, at.store.read() as conn:
        rows = [_view(gap, table.OPEN) for gap in table.waiting(conn, at.settings.site)]
        rows += [
            {**_view(one.gap, "given up"), "closed_at": one.closed_at, "reason": one.reason}
            for one in table.closed(conn, at.settings.site, limit=limit)
        ]
    output.show_rows(rows[:limit], _COLUMNS, as_json=as_json, empty="No id is missing.")


def _view(gap: Gap, state: str) -> shapes.View:
    return {
        "first_id": gap.first_id,
        "last_id": gap.last_id,
        "ids": gap.missing,
        "state": state,
        "seen_at": gap.seen_at,
        "closed_at": None,
        "reason": None,
    }
