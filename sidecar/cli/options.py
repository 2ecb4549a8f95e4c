"""Options that several commands share."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("config/sidecar.yaml"),
    show_default=True,
    envvar="MIH_CONFIG",
    help="The configuration file.",
)
