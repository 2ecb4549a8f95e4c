"""What a SOAP service that is not saved yet offers, read from its WSDL."""

from sidecar.errors import said
from sidecar.hub import Hub
from sidecar.settings import Kind, Problem, Service
from sidecar.workshop.bench import bench_of
from sidecar.workshop.draft import draft_service
from sidecar.workshop.refusals import BadDefinition


def operations(hub: Hub, name: str, values: object) -> list[str]:
    """Return the endpoints that name its operations; STARS stand for what is kept under that name.

    Raises BadDefinition, and HubError when there is no WSDL to be had.
    """
    # Only with SOAP: zeep takes half a second to load.
    from sidecar.transports.soap_describe import describe  # noqa: PLC0415

    bench = bench_of(hub)
    draft = draft_service(bench.source, name, values, bench.definition(Kind.SERVICE, name))
    assert isinstance(draft.made, Service)
    if draft.made.type != "soap":
        raise BadDefinition([Problem("type", said("only SOAP services have a WSDL"))])
    service = draft.made.within(hub.settings.network.rules(private=False))
    return [offer.endpoint for offer in describe(service, hub.clock, refresh=True).offers]
