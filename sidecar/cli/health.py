"""`mih health`: one look for a container's health check."""

import socket
from pathlib import Path

import click

from sidecar.cli.desk import desk
from sidecar.cli.options import config_option
from sidecar.errors import ExitCode, HubError
from sidecar.store.overview import Process, processes

_HOST_LENGTH = 60


@click.command()
@config_option
def health(config: Path) -> None:
    """Exit with 0 if a sidecar on this host is alive and makes its rounds, else with 1 and the reason."""
    host = socket.gethostname()[:_HOST_LENGTH]
    try:
        with desk(config) as at, at.store.read() as conn:
            ours = [one for one in processes(conn, at.settings, now=at.now) if one.host == host]
    except HubError as error:
        # Docker knows 0 and 1 only.
        raise _Ill(str(error)) from None
    well = [one for one in ours if one.ailment is None]
    if not well:
        raise _Ill(_reason(ours, host))
    click.echo(f"well: process {well[-1].pid} ({well[-1].role})")


def _reason(ours: list[Process], host: str) -> str:
    if not ours:
        return f"No sidecar on {host} has signed in."
    return f"Process {ours[-1].pid} is ill: {ours[-1].ailment}."


class _Ill(HubError):
    """The sidecar of this host is not well."""

    exit_code = ExitCode.FAILED
