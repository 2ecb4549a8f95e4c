"""What every transport takes and gives, and where they are found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from sidecar.clock import Clock
from sidecar.errors import ConfigError
from sidecar.model import Attempt
from sidecar.settings import Service
from sidecar.transports.steps import Steps


@dataclass(frozen=True, slots=True)
class Request:
    """One message to a service. `delivery_id` lets the receiver recognise a repetition.

    Of a good answer at most `keep_bytes` are wanted back; the beginning of any other always is.
    """

    delivery_id: str
    method: str
    endpoint: str
    body: bytes | None
    content_type: str | None
    headers: Mapping[str, str] = field(default_factory=dict)
    keep_bytes: int = 0
    event: str | None = None


class Transport(Protocol):
    """A connection to one service, used by one thread.

    `send` returns an Attempt whatever happens: refused, hung, nonsense. It ends within the service's timeout.
    """

    def send(self, request: Request) -> Attempt:
        """Send once and wait for the answer."""
        ...

    def close(self) -> None:
        """Close the connection; the transport can be used again and reconnects."""
        ...


@runtime_checkable
class SendsMany(Protocol):
    """What a transport may do, too: send several requests and wait for all answers together.

    `at_once` is how many it wants at most. Each request has an Attempt of its own, in their order.
    """

    at_once: int

    def send_many(self, requests: Sequence[Request]) -> list[Attempt]:
        """Send each once and wait for the answers, all within the service's timeout."""
        ...


@runtime_checkable
class SendsInSteps(Protocol):
    """What a transport may do, too: send, and let its thread do other things until the answer is there.

    Not `in_steps`: it waits by itself all the same.
    """

    in_steps: bool

    def sending(self, request: Request) -> Steps[Attempt]:
        """Do what `send` does in steps."""
        ...


_GROUP = "mih.transports"

TransportFactory = Callable[[Service, Clock], Transport]


def open_transport(service: Service, clock: Clock) -> Transport:
    """Return a new transport for `service`. Raises ConfigError when no package provides its type."""
    factory = _factory(service.type)
    if factory is None:
        there = ", ".join(sorted(entry_points(group=_GROUP).names))
        raise ConfigError([f'unknown service type "{service.type}"; there are: {there}'])
    return factory(service, clock)


@cache
def _factory(kind: str) -> TransportFactory | None:
    """Load one transport only: each brings a large library."""
    found = entry_points(group=_GROUP, name=kind)
    return next((entry.load() for entry in found), None)
