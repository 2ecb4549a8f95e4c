"""The operations of a WSDL and what they take, as plain values: to choose one, to explain it, to print it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zeep.wsdl.bindings.soap import Soap12Binding, SoapBinding
from zeep.xsd.elements import Element
from zeep.xsd.types import AnySimpleType, ComplexType

from sidecar.errors import said
from sidecar.settings import SoapSettings
from sidecar.settings.wording import did_you_mean, listing

_DEEPEST = 8
_LONGEST_SIGNATURE = 1_500


class Misfit(Exception):
    """The request does not fit the service's WSDL; the text says where and what would fit."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument, or a field of one. `parts` are its own fields; `again`: they were told further up."""

    name: str
    type: str
    required: bool
    repeated: bool
    parts: tuple["Argument", ...] = ()
    again: bool = False

    def __str__(self) -> str:
        inner = f"{{{', '.join(map(str, self.parts))}}}" if self.parts else self.type
        return f"{self.name}{'' if self.required else '?'}: {f'[{inner}]' if self.repeated else inner}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation at one port. `binding` and `message` are zeep's; `address` is the WSDL's."""

    name: str
    service: str
    port: str
    address: str | None
    binding: Any
    message: Any

    @property
    def version(self) -> str:
        """The version of SOAP, 1.1 or 1.2."""
        return "1.2" if isinstance(self.binding, Soap12Binding) else "1.1"

    @property
    def answers(self) -> bool:
        """Whether the WSDL promises an answer; a one-way operation has none."""
        return self.message.output is not None

    @property
    def takes(self) -> Any:
        """The type of its arguments, one of zeep's; None when it takes none."""
        body = self.message.input.body if self.message.input else None
        return None if body is None else body.type

    def arguments(self) -> tuple[Argument, ...]:
        """Return what it takes."""
        takes = self.takes
        if isinstance(takes, ComplexType):
            return tuple(_parts(takes, ()))
        return () if takes is None else (Argument("value", _type_name(takes), True, False),)

    def signature(self) -> str:
        """Return its name and arguments in one line."""
        text = f"{self.name}({', '.join(map(str, self.arguments()))})"
        return text if len(text) <= _LONGEST_SIGNATURE else text[:_LONGEST_SIGNATURE] + "..."


def operations(document: Any, wanted: SoapSettings) -> Iterator[Operation]:
    """Yield the operations at those SOAP ports of a zeep document that the settings do not leave out."""
    for service in document.services.values():
        for port in service.ports.values():
            named = wanted.service in (None, service.name) and wanted.port in (None, port.name)
            if named and isinstance(port.binding, SoapBinding):
                address = (port.binding_options or {}).get("address")
                for name, message in port.binding.all().items():
                    yield Operation(name, service.name, port.name, address, port.binding, message)


def find(document: Any, endpoint: str, wanted: SoapSettings) -> Operation:
    """Return the first operation of the name `Name`, `Port.Name` or `Service.Port.Name`. Raises Misfit."""
    name = endpoint.strip().lstrip("/")
    there = list(operations(document, wanted))
    for one in there:
        if name in (one.name, f"{one.port}.{one.name}", f"{one.service}.{one.port}.{one.name}"):
            return one
    if not there:
        ports = [f"{s.name}.{p.name}" for s in document.services.values() for p in s.ports.values()]
        raise Misfit(
            said(
                "the WSDL has no such SOAP port; it has %(names)s",
                names=listing(ports) if ports else said("none at all"),
            )
        )
    names = list(dict.fromkeys(one.name for one in there))
    if not name:
        raise Misfit(said("the rule's endpoint names no operation; there is %(names)s", names=listing(names)))
    raise Misfit(
        said('the WSDL has no operation "%(name)s"%(hint)s', name=name[:100], hint=did_you_mean(name, names))
    )


def fields(kind: Any) -> dict[str, Any]:
    """Return the elements and attributes of a complex type of zeep's by their names in a payload."""
    found = {name: element for name, element in kind.elements if isinstance(element, Element)}
    return found | dict(kind.attributes)


def array_of(kind: Any) -> tuple[str, Any] | None:
    """Return the only field of a type that is a list in disguise (ArrayOfString), and its name."""
    found = list(fields(kind).items())
    if len(found) == 1 and getattr(found[0][1], "accepts_multiple", False):
        return found[0]
    return None


def _parts(kind: Any, above: tuple[Any, ...]) -> Iterator[Argument]:
    if kind in above or len(above) >= _DEEPEST:
        return
    for name, element in fields(kind).items():
        inner = element.type
        parts = tuple(_parts(inner, (*above, kind))) if isinstance(inner, ComplexType) else ()
        yield Argument(
            name,
            _type_name(inner),
            _is_required(element),
            _is_repeated(element),
            parts,
            again=isinstance(inner, ComplexType) and not parts,
        )


def _is_required(element: Any) -> bool:
    if hasattr(element, "required"):
        return bool(element.required)
    return not (element.is_optional or element.nillable)


def _is_repeated(element: Any) -> bool:
    return not hasattr(element, "required") and bool(element.accepts_multiple)


def _type_name(kind: Any) -> str:
    """Return the name of a type; a nameless one that restricts a simple type goes by that one's."""
    if isinstance(kind, AnySimpleType):
        for base in type(kind).__mro__:
            qname = base.__dict__.get("_default_qname")
            if qname is not None:
                return str(qname.localname)
    return str(kind.qname.localname) if kind.qname is not None else "object"
