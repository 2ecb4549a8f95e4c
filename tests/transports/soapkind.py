"""The contract suite's requests as calls of a SOAP service, whose WSDL is in the cache already."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.model import Attempt
from sidecar.transports.base import Request, Transport
from sidecar.transports.soap_cache import Kept, Shelf, library
from tests.transports.soapserver import ABSTRACT_WSDL, COMMON_XSD, SIS_XSD, wsdl


@dataclass(frozen=True, slots=True)
class SoapKind:
    """Sends each request to /x as a call of the operation Note, and its body as what that takes."""

    transport: Transport

    def send(self, request: Request) -> Attempt:
        body = request.body
        if body is not None and not body.startswith(b"{"):
            body = b'{"text": "' + body + b'"}'
        return self.transport.send(replace(request, endpoint="Note", body=body))

    def close(self) -> None:
        self.transport.close()


def keep_wsdl(folder: Path, base_url: str) -> str:
    """Put a WSDL of a service at /x of `base_url` into the cache, and return the URL that it has there."""
    library.forget()
    parts = urlsplit(base_url)
    own = f"{parts.scheme}://{parts.netloc}"
    note = '<xs:element name="a" type="xs:int" minOccurs="0"/>'
    text = note + '<xs:element name="text" type="xs:string" minOccurs="0"/>'
    documents = {
        "x.wsdl": wsdl(f"{own}/x"),
        "abstract.wsdl": ABSTRACT_WSDL,
        "sis.xsd": SIS_XSD.replace(note, text),
        "common.xsd": COMMON_XSD,
    }
    shelf = Shelf(folder / "moodle-integration-hub" / "wsdl")
    for name, content in documents.items():
        shelf.put(f"{own}/{name}", Kept(content.encode(), datetime.now(UTC)))
    return f"{own}/x.wsdl"
