"""`mih services describe`: what a SOAP service offers, to paste into a rule."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from sidecar.cli import output
from sidecar.cli.options import config_option
from sidecar.cli.output import json_option
from sidecar.clock import SystemClock
from sidecar.errors import HubError
from sidecar.store import made
from sidecar.store.find import known


@click.command("describe")
@click.argument("name")
@click.option("--refresh", is_flag=True, help="Read the WSDL anew, whatever is kept of it.")
@config_option
@json_option
def describe_service(name: str, config: Path, as_json: bool, refresh: bool) -> None:
    """Show what a SOAP service offers, each operation with a payload to paste into a rule."""
    configured = made.load(config, os.environ).services
    service = configured[known(name, configured, "service")]
    if service.type != "soap":
        raise HubError(f"{name} is of type {service.type}: only a SOAP service describes itself.")
    # zeep takes half a second to import; only this command needs it.
    from sidecar.transports.soap_describe import describe  # noqa: PLC0415

    clock = click.get_current_context().find_root().obj or SystemClock()
    found = describe(service, clock, refresh=refresh)
    if as_json:
        offers = [asdict(offer) | {"payload": offer.payload} for offer in found.offers]
        output.show_json(asdict(found) | {"offers": offers})
        return
    source = "from the copy that was read" if found.stored else "read"
    click.echo(f"# The WSDL of {name}, {source} {output.iso(found.read_at)}\n")
    click.echo("\n\n".join(output.printable(offer.yaml()) for offer in found.offers))
