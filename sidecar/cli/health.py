"""`mih health`: one look for a container's health check."""

import json
import os
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click

from sidecar.cli.desk import desk
from sidecar.cli.options import config_option
from sidecar.errors import ExitCode, HubError
from sidecar.settings import parse, read
from sidecar.store.overview import Process, processes

_HOST_LENGTH = 60
_PATIENCE_S = 5


@click.command()
@config_option
def health(config: Path) -> None:
    """Exit with 0 if a sidecar on this host is alive and makes its rounds, else with 1 and the reason.

    With web.health_port the process itself is asked there; else what it has written into the store.
    """
    host = socket.gethostname()[:_HOST_LENGTH]
    try:
        web = parse(read(config, os.environ)).web
        if web.health_port is not None:
            click.echo(_asked(web.host, web.health_port))
            return
        with desk(config) as at, at.store.read() as conn:
            ours = [one for one in processes(conn, at.settings, now=at.now) if one.host == host]
    except HubError as error:
        # Docker knows 0 and 1 only.
        raise _Ill(str(error)) from None
    well = [one for one in ours if one.ailment is None]
    if not well:
        raise _Ill(_reason(ours, host))
    click.echo(f"well: process {well[-1].pid} ({well[-1].role})")


def _asked(host: str, port: int) -> str:
    """Ask the listener for health checks; return what is well. Raises _Ill with the reason."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where it listens everywhere
    connection = HTTPConnection(here, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        said = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        raise _Ill(f"Nobody answers on {here} port {port} (web.health_port): {error}.") from None
    finally:
        connection.close()
    if answer.status != HTTPStatus.OK:
        raise _Ill(f"The process is ill: {said.get('reason')}.")
    return f"well: the process that listens on port {port}"


def _reason(ours: list[Process], host: str) -> str:
    if not ours:
        return f"No sidecar on {host} has signed in."
    return f"Process {ours[-1].pid} is ill: {ours[-1].ailment}."


class _Ill(HubError):
    """The sidecar of this host is not well."""

    exit_code = ExitCode.FAILED
