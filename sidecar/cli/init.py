"""`mih init`: a first configuration file that loads as it is."""

import os
from pathlib import Path

import click

from sidecar.errors import HubError
from sidecar.settings import json_schema, starter
from sidecar.settings.addresses import has_password

# Only its shape matters: with a password in it, the file reads the URL from MOODLE_DB_URL.
_BY_ENVIRONMENT = "mysql+pymysql://moodle:secret@localhost/moodle"


@click.command()
@click.option("--url", help="URL of Moodle's database  [default: $MOODLE_DB_URL when mih starts]")
@click.option("--site", default="campus", show_default=True, help="Name of this Moodle.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("config/sidecar.yaml"),
    show_default=True,
    help="The file to write.",
)
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
def init(url: str | None, site: str, output: Path, force: bool) -> None:
    """Write a commented configuration to start from, and its schema; passwords stay out."""
    wanted = url or os.environ.get("MOODLE_DB_URL") or _BY_ENVIRONMENT
    _write(output, starter(wanted, site), force)
    schema = output.with_name("sidecar.schema.json")
    _write(schema, json_schema(), force=True)  # generated: an older one is of an older version
    click.echo(f"Wrote {output}, and {schema.name} beside it, by which editors complete and check it. Next:")
    if has_password(wanted):
        click.echo("  export MOODLE_DB_URL=...      the URL of Moodle's database")
    shown = "" if output == Path("config/sidecar.yaml") else f" -c {output}"
    click.echo(f"  mih check{shown}\n  mih migrate{shown}\n  mih run{shown}")


def _write(output: Path, text: str, force: bool) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise HubError(
            f"{output} is there already and was not touched: give another --output, or --force."
        ) from None
    except OSError as error:
        raise HubError(f"{output} cannot be written: {error.strerror}.") from error
