"""A real server behind a door, for each transport of the contract, and the way to it."""

import base64
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sidecar.clock import SystemClock
from sidecar.model import Attempt
from sidecar.settings import Service
from sidecar.transports.base import Transport, open_transport
from tests.broker import RabbitMQ
from tests.receiver import Behaviour, Exchange, Receiver, answer
from tests.transports.brokers import Inbox
from tests.transports.certificates import Authority
from tests.transports.conftest import request
from tests.transports.doors import Door
from tests.transports.soapkind import SoapKind, keep_wsdl
from tests.transports.soapserver import SoapServer, wsdl

RIGHT, WRONG = "s3cret-right", "s3cret-wrong"
_BASIC = base64.b64encode(f"moodle:{RIGHT}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Tools:
    """What all stages share; authority and broker are only asked for where they are needed."""

    folder: Path
    stack: ExitStack
    authority: Callable[[], Authority]
    broker: Callable[[], RabbitMQ]


class RestStage:
    """An HTTP server. The others do some of it in another way."""

    kind, scheme = "rest", "http"
    garbage = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"
    endless = b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 2000
    # What goes over the wire when it is about the message itself.
    bait = b'{"a": 1}'

    def __init__(self, tools: Tools, door: Door, host: str = "127.0.0.1", *, secure: bool = False) -> None:
        self._tools, self._door, self._secure = tools, door, secure
        self.own = f"{self.scheme}{'s' if secure else ''}://{host}:{door.port}"
        self.where = f"{host}:{door.port}"
        self._base_url = self.own
        self.serve()

    def serve(self) -> None:
        """Start the server, or the one after it, and have the door lead to it."""
        context = self._tools.authority().server("IP:127.0.0.1") if self._secure else None
        self.server = self._tools.stack.enter_context(Receiver(context))
        self._door.leads_to = self.server.port
        self._publish()

    def stop(self) -> None:
        """End the server without notice."""
        self.server.close()

    def guard(self) -> None:
        """Have the server refuse whoever does not know the password."""
        self.server.on("/x", _guarded(answer()))

    def connect(self, password: str = RIGHT, **options: Any) -> Transport:
        """Open a transport that trusts the server's authority."""
        values = {"type": self.kind, "base_url": self._base_url, "timeout": 10, "auth": self._auth(password)}
        tls = {"ca": str(self._signer().file)} if self._secure else {}
        network = options.pop("network", None)
        service = Service.model_validate(values | {"tls": tls} | options)
        transport = open_transport(service.within(network) if network else service, SystemClock())
        self._tools.stack.callback(transport.close)
        return self._suited(transport)

    def send(self, transport: Transport) -> Attempt:
        """Send the message of the contract."""
        return transport.send(request("/x"))

    def _publish(self) -> None:
        """Put up what the service needs before it can be called."""

    def _auth(self, password: str) -> dict[str, str]:
        return {"type": "basic", "username": "moodle", "password": password}

    def _signer(self) -> Authority:
        return self._tools.authority()

    def _suited(self, transport: Transport) -> Transport:
        return transport


class SoapStage(RestStage):
    """A SOAP service whose WSDL is in the cache already."""

    kind = "soap"
    bait = b":a>1</"

    def guard(self) -> None:
        self.server.on("/x", SoapServer(self.server, users={"moodle": RIGHT}).serve)

    def _publish(self) -> None:
        self._base_url = keep_wsdl(self._tools.folder, self.own)

    def _auth(self, password: str) -> dict[str, str]:
        return {**super()._auth(password), "type": "wsse"}

    def _suited(self, transport: Transport) -> Transport:
        return SoapKind(transport)


class WsdlStage(RestStage):
    """A SOAP service whose WSDL has to be read first."""

    kind = "soap"
    bait = b"GET /sis.wsdl"

    def guard(self) -> None:
        self.server.on("/sis.wsdl", _guarded(answer(200, wsdl(f"{self.own}/sis").encode())))

    def _publish(self) -> None:
        SoapServer(self.server).publish(sis_wsdl=wsdl(f"{self.own}/sis"))
        self._base_url = f"{self.own}/sis.wsdl"

    def _suited(self, transport: Transport) -> Transport:
        return SoapKind(transport)


class AmqpStage(RestStage):
    """A broker with a queue."""

    kind, scheme = "amqp", "amqp"
    half = b"\x01\x00\x00"
    endless = b"\x01\x00\x00\x00\x00\x01\x00" + b"x" * 200

    def serve(self) -> None:
        broker = self._tools.broker()
        broker.start()
        self._door.leads_to = urlsplit(broker.tls_url()).port or 0 if self._secure else broker.port
        if not hasattr(self, "_inbox"):
            self._inbox = Inbox(broker)
            self._tools.stack.callback(self._inbox.remove)

    def stop(self) -> None:
        self._tools.broker().kill()

    def guard(self) -> None:
        """Do nothing: a broker always wants to know who we are."""

    def send(self, transport: Transport) -> Attempt:
        return transport.send(request(self._inbox.name))

    def _auth(self, password: str) -> dict[str, str]:
        # The user that every new broker has.
        return {"type": "basic", "username": "guest", "password": "guest" if password == RIGHT else password}

    def _signer(self) -> Authority:
        return self._tools.broker().authority


STAGES = {"rest": RestStage, "amqp": AmqpStage, "soap": SoapStage, "wsdl": WsdlStage}


def _guarded(then: Behaviour) -> Behaviour:
    def behave(exchange: Exchange) -> bool:
        known = exchange.request.header("authorization") == f"Basic {_BASIC}"
        return (then if known else answer(401))(exchange)

    return behave
