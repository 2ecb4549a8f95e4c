"""Where below its service's address a request goes: a path, a routing key or the name of an operation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sidecar.bridge.render.formats import NAME, URL, Format
from sidecar.errors import said

# AMQP 0-9-1 writes a routing key as a short string.
_LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Address:
    """How placeholders in an endpoint are written, and what is wrong with what comes out.

    `problem` is asked with the rendered endpoint and with the rule's own text.
    """

    form: Format
    problem: Callable[[str, str], str | None]


def address_of(kind: str) -> Address:
    """Return what the endpoint of a rule is whose service is of this type."""
    return _KINDS.get(kind, PATH)


def _of_path(address: str, written: str) -> str | None:
    if _climbs(address) and not _climbs(written):
        return said("data must not put `.` or `..` between the slashes")
    return None


def _of_key(address: str, written: str) -> str | None:  # noqa: ARG001 - as the others
    size = len(address.encode())
    if size <= _LONGEST_KEY:
        return None
    return said("the routing key has %(size)s bytes; AMQP takes %(most)s", size=size, most=_LONGEST_KEY)


def _climbs(address: str) -> bool:
    return any(step in {".", ".."} for step in address.partition("?")[0].split("/"))


PATH = Address(URL, _of_path)
_KINDS: Mapping[str, Address] = {
    "amqp": Address(NAME, _of_key),
    "soap": Address(NAME, lambda address, written: None),  # noqa: ARG005 - the WSDL knows which there are
}
