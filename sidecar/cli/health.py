"""`mih health`: one look for a container's health check."""

import json
import os
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

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

    The process itself is asked: on web.health_port, else on the port of its dashboard. Where no dashboard
    answers it goes by what the process has written into the store.
    """
    host = socket.gethostname()[:_HOST_LENGTH]
    try:
        web = parse(read(config, os.environ)).web
        if web.health_port is not None:
            click.echo(_asked(web.host, web.health_port))
            return
        if web.enabled and (word := _dashboard_says(web.host, web.port)):
            click.echo(word)
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
    try:
        said = _answer(host, port)
    except (OSError, HTTPException, ValueError) as error:
        raise _Ill(f"Nobody answers on {host} port {port} (web.health_port): {error}.") from None
    return _well(said, port)


def _dashboard_says(host: str, port: int) -> str | None:
    """Ask the dashboard; None if it is not ours that answers there. Raises _Ill with the reason."""
    try:
        said = _answer(host, port)
    except (OSError, HTTPException, ValueError):
        return None
    return _well(said, port) if said.get("status") in {"well", "ill"} else None


def _answer(host: str, port: int) -> dict[str, Any]:
    """Return what /healthz says. Raises OSError, HTTPException or ValueError where there is no such thing."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where it listens everywhere
    connection = HTTPConnection(here, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/healthz")
        said = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    if not isinstance(said, dict):
        raise ValueError("this is no answer to /healthz")
    return said


def _well(said: Mapping[str, Any], port: int) -> str:
    if said.get("status") != "well":
        raise _Ill(f"The process is ill: {said.get('reason')}.")
    return f"well: the process that listens on port {port}"


def _reason(ours: list[Process], host: str) -> str:
    if not ours:
        return f"No sidecar on {host} has signed in."
    return f"Process {ours[-1].pid} is ill: {ours[-1].ailment}."


class _Ill(HubError):
    """The sidecar of this host is not well."""

    exit_code = ExitCode.FAILED
