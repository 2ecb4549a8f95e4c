"""A SOAP service with a WSDL of three documents; what it is asked is held against the schema by libxml2."""

import base64
import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

from tests.receiver import Exchange, Receiver, answer, message

ENVELOPE = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
TYPE = {"1.1": "text/xml; charset=utf-8", "1.2": "application/soap+xml; charset=utf-8"}
NS = "urn:example:sis"
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"

COMMON_XSD = """<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:c="urn:example:common"
           targetNamespace="urn:example:common" elementFormDefault="qualified">
  <xs:complexType name="Address">
    <xs:sequence>
      <xs:element name="street" type="xs:string"/>
      <xs:element name="lines" type="c:ArrayOfString" minOccurs="0"/>
    </xs:sequence>
    <xs:attribute name="kind" type="xs:string" use="required"/>
  </xs:complexType>
  <xs:complexType name="ArrayOfString">
    <xs:sequence>
      <xs:element name="string" type="xs:string" minOccurs="0" maxOccurs="unbounded"/>
    </xs:sequence>
  </xs:complexType>
  <xs:complexType name="Amount">
    <xs:simpleContent>
      <xs:extension base="xs:decimal"><xs:attribute name="currency" type="xs:string"/></xs:extension>
    </xs:simpleContent>
  </xs:complexType>
  <xs:complexType name="Unit">
    <xs:sequence>
      <xs:element name="name" type="xs:string"/>
      <xs:element name="unit" type="c:Unit" minOccurs="0" maxOccurs="unbounded"/>
    </xs:sequence>
  </xs:complexType>
</xs:schema>
"""

SIS_XSD = """<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:c="urn:example:common" xmlns:s="urn:example:sis"
           targetNamespace="urn:example:sis" elementFormDefault="qualified">
  <xs:import namespace="urn:example:common" schemaLocation="common.xsd"/>
  <xs:element name="Enrol">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="student" type="s:Student"/>
        <xs:element name="course" type="xs:string"/>
        <xs:element name="since" type="xs:dateTime" minOccurs="0"/>
        <xs:element name="fee" type="c:Amount" minOccurs="0"/>
        <xs:element name="note" type="xs:string" nillable="true"/>
        <xs:element name="unit" type="c:Unit" minOccurs="0"/>
      </xs:sequence>
    </xs:complexType>
  </xs:element>
  <xs:complexType name="Student">
    <xs:sequence>
      <xs:element name="id" type="xs:int"/>
      <xs:element name="email" type="xs:string" minOccurs="0" maxOccurs="unbounded"/>
      <xs:element name="born" type="xs:date" minOccurs="0"/>
      <xs:element name="active" type="xs:boolean" minOccurs="0"/>
      <xs:element name="photo" type="xs:base64Binary" minOccurs="0"/>
      <xs:element name="address" type="c:Address" minOccurs="0"/>
    </xs:sequence>
  </xs:complexType>
  <xs:element name="EnrolResponse">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="number" type="xs:int"/>
        <xs:element name="at" type="xs:dateTime" minOccurs="0"/>
      </xs:sequence>
    </xs:complexType>
  </xs:element>
  <xs:element name="Note">
    <xs:complexType>
      <xs:sequence><xs:element name="a" type="xs:int" minOccurs="0"/></xs:sequence>
    </xs:complexType>
  </xs:element>
</xs:schema>
"""

ABSTRACT_WSDL = """<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:xs="http://www.w3.org/2001/XMLSchema"
             xmlns:s="urn:example:sis" targetNamespace="urn:example:sis">
  <types>
    <xs:schema><xs:import namespace="urn:example:sis" schemaLocation="sis.xsd"/></xs:schema>
  </types>
  <message name="EnrolIn"><part name="parameters" element="s:Enrol"/></message>
  <message name="EnrolOut"><part name="parameters" element="s:EnrolResponse"/></message>
  <message name="NoteIn"><part name="parameters" element="s:Note"/></message>
  <portType name="Sis">
    <operation name="Enrol"><input message="s:EnrolIn"/><output message="s:EnrolOut"/></operation>
    <operation name="Note"><input message="s:NoteIn"/></operation>
  </portType>
</definitions>
"""

_BINDING = """
  <binding name="{name}" type="s:Sis">
    <{soap}:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="Enrol"><{soap}:operation soapAction="urn:example:sis/Enrol"/>
      <input><{soap}:body use="literal"/></input><output><{soap}:body use="literal"/></output></operation>
    <operation name="Note"><{soap}:operation soapAction="urn:example:sis/Note"/>
      <input><{soap}:body use="literal"/></input></operation>
  </binding>"""


def wsdl(address: str) -> str:
    """Return the document that imports the others and says where the service is."""
    bindings = _BINDING.format(name="Plain", soap="soap") + _BINDING.format(name="Newer", soap="soap12")
    return f"""<?xml version="1.0"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
             xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:s="urn:example:sis"
             targetNamespace="urn:example:sis">
  <import namespace="urn:example:sis" location="abstract.wsdl"/>{bindings}
  <service name="SisService">
    <port name="Soap11" binding="s:Plain"><soap:address location="{address}"/></port>
    <port name="Soap12" binding="s:Newer"><soap12:address location="{address}"/></port>
  </service>
</definitions>
"""


def envelope(body: str, version: str = "1.1") -> bytes:
    """Return an envelope around a body."""
    return f'<e:Envelope xmlns:e="{ENVELOPE[version]}"><e:Body>{body}</e:Body></e:Envelope>'.encode()


def fault(code: str, reason: str, version: str = "1.1") -> bytes:
    """Return an envelope with a fault."""
    if version == "1.1":
        said = f"<faultcode>{code}</faultcode><faultstring>{reason}</faultstring><detail><x/></detail>"
    else:
        said = (
            f'<e:Code><e:Value>{code}</e:Value></e:Code><e:Reason><e:Text xml:lang="en">{reason}</e:Text>'
            "</e:Reason>"
        )
    return envelope(f"<e:Fault>{said}</e:Fault>", version)


def _schema() -> Any:
    parser = etree.XMLParser()

    class Local(etree.Resolver):  # type: ignore[misc]  # lxml ships no types
        def resolve(self, _url: str, _public_id: str, context: Any) -> Any:
            return self.resolve_string(COMMON_XSD, context)

    parser.resolvers.add(Local())
    return etree.XMLSchema(etree.fromstring(SIS_XSD.encode(), parser, base_url="memory:/sis.xsd"))


# Read once, before there are threads: whoever parses meanwhile may keep an import from being resolved.
_SCHEMA = _schema()
_VALIDATING = threading.Lock()  # what is wrong is told by the schema itself


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was taken. `fields` are the texts of all elements by their path, attributes with an @."""

    operation: str
    version: str
    fields: Mapping[str, str]
    headers: Mapping[str, str]


class SoapServer:
    """Answers at /sis on a receiver; its WSDL is at /sis.wsdl. What the schema refuses is a Client fault."""

    def __init__(self, receiver: Receiver, *, users: Mapping[str, str] | None = None) -> None:
        self.receiver = receiver
        self.calls: list[Call] = []
        self._users = users
        documents = {"sis.xsd": SIS_XSD, "common.xsd": COMMON_XSD, "abstract.wsdl": ABSTRACT_WSDL}
        self.documents = {**documents, "sis.wsdl": wsdl(f"{receiver.url}/sis")}
        self.publish()
        receiver.on("/sis", self.serve)

    @property
    def wsdl_url(self) -> str:
        """The address to use as a base_url."""
        return f"{self.receiver.url}/sis.wsdl"

    def publish(self, **changes: str) -> None:
        """Serve the documents, some of them changed: `sis_xsd="..."`."""
        self.documents |= {name.replace("_", "."): text for name, text in changes.items()}
        for name, text in self.documents.items():
            self.receiver.on(f"/{name}", answer(200, text.encode(), content_type="text/xml"))

    def serve(self, exchange: Exchange) -> bool:
        """Answer a call as the schema wants it."""
        document = etree.fromstring(exchange.request.body)
        version = next(name for name, space in ENVELOPE.items() if document.tag == f"{{{space}}}Envelope")
        status, body = self._answer(document, version, exchange)
        exchange.wire.sendall(message(status, body, {"Content-Type": TYPE[version]}))
        return True

    def _answer(self, document: Any, version: str, exchange: Exchange) -> tuple[int, bytes]:
        headers = {name.lower(): value for name, value in exchange.request.headers}
        assert headers["content-type"].startswith(TYPE[version].partition(";")[0])
        side = ("Client", "Server") if version == "1.1" else ("Sender", "Receiver")
        if self._users is not None and not self._knows(document):
            return 500, fault(f"e:{side[0]}", "the security token could not be authenticated", version)
        content = document.find(f"{{{ENVELOPE[version]}}}Body")[0]
        with _VALIDATING:
            problem = None if _SCHEMA.validate(content) else str(_SCHEMA.error_log.last_error.message)
        if problem:
            return 500, fault(f"e:{side[0]}", problem, version)
        operation = etree.QName(content).localname
        self.calls.append(Call(operation, version, dict(_flat(content)), headers))
        if operation == "Note":
            return 202, b""
        said = "<number>7</number><at>2026-03-02T08:00:00Z</at>"
        return 200, envelope(f'<EnrolResponse xmlns="{NS}">{said}</EnrolResponse>', version)

    def _knows(self, document: Any) -> bool:
        token = document.find(f".//{{{_WSSE}}}UsernameToken")
        if token is None:
            return False
        said = token.find(f"{{{_WSSE}}}Password")
        password = (self._users or {}).get(token.findtext(f"{{{_WSSE}}}Username"), "")
        if said.get("Type").endswith("#PasswordText"):
            return bool(said.text == password)
        nonce = base64.b64decode(token.findtext(f"{{{_WSSE}}}Nonce"))
        created = token.findtext(f"{{{_WSU}}}Created")
        digest = hashlib.sha1(nonce + created.encode() + password.encode()).digest()
        return bool(said.text == base64.b64encode(digest).decode())


def _flat(element: Any, path: str = "") -> Any:
    for name, value in element.attrib.items():
        yield f"{path}@{etree.QName(name).localname}", value
    if len(element) == 0 and path:
        yield path, element.text or ""
    seen: dict[str, int] = {}
    for child in element:
        name = etree.QName(child).localname
        seen[name] = seen.get(name, 0) + 1
        inner = f"{path}/{name}" if path else name
        yield from _flat(child, inner if seen[name] == 1 else f"{inner}[{seen[name]}]")
