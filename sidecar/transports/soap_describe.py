"""What a SOAP service offers, as values that a command can print: operations and payloads to paste."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sidecar.clock import Clock
from sidecar.errors import HubError, said, text_of
from sidecar.settings import Service
from sidecar.transports.soap_cache import WsdlUnavailable
from sidecar.transports.soap_shape import Argument, Operation, operations
from sidecar.transports.soap_wsdl import WsdlReader

_SAMPLES: dict[str, Any] = {
    "boolean": True,
    "date": "2026-03-02",
    "dateTime": "2026-03-02T08:00:00Z",
    "time": "08:00:00",
    "duration": "PT90M",
    "decimal": 0,
    "float": 0,
    "double": 0,
}
_WHOLE = ("int", "long", "short", "byte")


@dataclass(frozen=True, slots=True)
class Offer:
    """One operation, with the endpoint that names it and a payload with a value for each argument."""

    endpoint: str
    service: str
    port: str
    version: str
    address: str | None
    arguments: tuple[Argument, ...]

    @property
    def payload(self) -> dict[str, Any]:
        """Return a payload that the operation takes."""
        return _sample(self.arguments)

    def yaml(self) -> str:
        """Return what a rule needs to call it."""
        lines = [f"# {self.service}.{self.port}, SOAP {self.version}", f"endpoint: {self.endpoint}"]
        if not self.arguments:
            return "\n".join([*lines, "payload: {}  # it takes no arguments"])
        return "\n".join([*lines, "payload:", *_lines(self.arguments, "  ")])


@dataclass(frozen=True, slots=True)
class Offers:
    """All that a service offers. `stored` when the WSDL was not asked for now but taken from the cache."""

    offers: tuple[Offer, ...]
    read_at: datetime
    stored: bool


def describe(service: Service, clock: Clock, *, refresh: bool = False) -> Offers:
    """Return what a SOAP service offers. Raises HubError when there is no WSDL to be had."""
    reader = WsdlReader(service, clock)
    try:
        wsdl = (reader.renew if refresh else reader.wsdl)(service.timeout)
    except WsdlUnavailable as error:
        raise HubError(said("The WSDL cannot be used: %(why)s", why=text_of(error))) from error
    finally:
        reader.close()
    found = list(operations(wsdl.document, service.soap))
    return Offers(tuple(_offer(one, found) for one in found), wsdl.read_at, wsdl.stored)


def _offer(one: Operation, among: list[Operation]) -> Offer:
    """Name an operation as short as it stays clear that it is this one."""
    first = next(other for other in among if other.name == one.name)
    endpoint = one.name if one is first else f"{one.service}.{one.port}.{one.name}"
    return Offer(endpoint, one.service, one.port, one.version, one.address, one.arguments())


def _sample(arguments: tuple[Argument, ...]) -> dict[str, Any]:
    return {one.name: _values(one) if one.repeated else _value(one) for one in arguments}


def _values(one: Argument) -> list[Any]:
    return [] if one.again else [_value(one)]


def _value(one: Argument) -> Any:
    if one.parts:
        return _sample(one.parts)
    if one.again:
        return None
    whole = one.type.lower().endswith("integer") or one.type.lower().removeprefix("unsigned") in _WHOLE
    return 0 if whole else _SAMPLES.get(one.type, "")


def _lines(arguments: tuple[Argument, ...], indent: str) -> Iterator[str]:
    for one in arguments:
        about = "  # " + ", ".join(_about(one))
        if one.parts:
            yield f"{indent}{_key(one.name)}:{about}"
            yield from _nested(one, indent)
        else:
            value = json.dumps(_values(one) if one.repeated else _value(one))
            yield f"{indent}{_key(one.name)}: {value}{about}"


def _nested(one: Argument, indent: str) -> Iterator[str]:
    inner = list(_lines(one.parts, indent + ("    " if one.repeated else "  ")))
    if one.repeated:
        inner[0] = f"{indent}  - {inner[0].lstrip()}"
    yield from inner


def _about(one: Argument) -> Iterator[str]:
    yield one.type
    if one.repeated:
        yield "any number"
    if not one.required:
        yield "optional"


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and not name.isdigit() else json.dumps(name)
