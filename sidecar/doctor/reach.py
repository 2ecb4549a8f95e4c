"""Can a service be reached? Name, connection and TLS handshake, in words; no request is ever sent."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpcore

from sidecar.settings import Service
from sidecar.transports.connection import new_context, trust_of, way_of
from sidecar.transports.network import AddressRefused, permitted
from sidecar.transports.proxy import proxy_of

_LONGEST_S = 5.0
_PORTS = {"http": 80, "https": 443, "amqp": 5672, "amqps": 5671}
_TLS = ("https", "amqps")
# OpenSSL's X509_V_ERR_ numbers: openssl/x509_vfy.h.
_UNKNOWN_CA = (18, 19, 20, 21)


@dataclass(slots=True)
class Reached:
    """How far we got. `problem` and `remedy` are empty where a request could be sent now."""

    address: str
    resolved: list[str] = field(default_factory=list)
    problem: str | None = None
    remedy: str | None = None
    expires_at: datetime | None = None

    @property
    def private(self) -> bool:
        """Whether what is sent there stays in this machine or a private network, so far as one can tell."""
        if self.resolved:
            return all(ipaddress.ip_address(one.partition("%")[0]).is_private for one in self.resolved)
        return "." not in self.address.rpartition(":")[0]


def reach_all(services: Mapping[str, Service]) -> dict[str, Reached]:
    """Try all services at once; takes as long as the slowest, five seconds at most for each step."""
    found = {name: Reached(_shown(service)) for name, service in services.items()}
    # Daemons: a resolver that hangs can be neither told to stop nor waited for.
    threads = {
        name: threading.Thread(target=_reach, args=(services[name], found[name]), daemon=True)
        for name in services
    }
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        thread.join(_LONGEST_S * 3)
        if thread.is_alive():
            found[name] = Reached(
                _shown(services[name]), problem="its name could not be resolved in time", remedy=_DNS
            )
    return found


_DNS = "check the host in base_url and this machine's DNS (/etc/resolv.conf)"


def _shown(service: Service) -> str:
    host, port = _endpoint(service)
    return f"{host}:{port}"


def _endpoint(service: Service) -> tuple[str, int]:
    """Return where a connection goes first: to the service, or to the proxy before it."""
    proxy = proxy_of(service.proxy)
    if proxy is not None:
        return proxy.host, proxy.port
    parts = urlsplit(service.base_url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _reach(service: Service, into: Reached) -> None:
    host, port = _endpoint(service)
    limit = min(service.timeout, _LONGEST_S)
    try:
        into.resolved = sorted(
            {str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
        )
        address = permitted(host, into.resolved, service.network)
        with closing(_connected(address, port, limit)) as plain:
            if urlsplit(service.base_url).scheme in _TLS and service.proxy is None:
                into.expires_at = _shake_hands(plain, host, service)
    except AddressRefused as error:
        into.problem = f"{into.address} is refused by the network rules: {error}"
        into.remedy = "see network in the configuration"
    except (OSError, UnicodeError) as error:
        into.problem, into.remedy = _in_words(error, into.address, limit)


def _connected(addresses: Sequence[str], port: int, limit: float) -> socket.socket:
    """Connect to the first address that answers: to those that were judged, not to the name again."""
    problem: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), limit / len(addresses))
        except OSError as error:
            problem = error
    raise problem or OSError("the name has no address")


def _shake_hands(plain: socket.socket, host: str, service: Service) -> datetime | None:
    try:
        context = new_context(trust_of(way_of(service)))
    except httpcore.ConnectError as error:
        raise OSError(str(error)) from error
    with context.wrap_socket(plain, server_hostname=host) as secured:
        end = (secured.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(end)), UTC) if end else None


def _in_words(error: OSError | UnicodeError, address: str, limit: float) -> tuple[str, str | None]:
    match error:
        case socket.gaierror() | UnicodeError():
            return f"the name of {address} cannot be resolved", _DNS
        case ssl.SSLCertVerificationError():
            return _certificate(error, address)
        case ssl.SSLError():
            return (
                f"{address} does not speak TLS as it should: {error.reason or error}",
                "is it http, or another port?",
            )
        case TimeoutError():
            return (
                f"no answer from {address} within {limit:g} s",
                "check the host and port, and the firewalls on the way",
            )
        case ConnectionRefusedError():
            return f"{address} refuses connections: nothing listens there", "is it running? check the port"
        case _:
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            return f"{address} cannot be reached: {said}", "check the host, the port and the network"


def _certificate(error: ssl.SSLCertVerificationError, address: str) -> tuple[str, str]:
    match error.verify_code:
        case 10:
            return f"the certificate of {address} has expired", "its operator has to renew it"
        case 9:
            return f"the certificate of {address} is not valid yet", "check the clocks of both machines"
        case 62 | 64:
            return (
                f"the certificate of {address} is for another name",
                "use in base_url the name that it is for",
            )
        case code if code in _UNKNOWN_CA:
            return (
                f"the certificate of {address} is signed by nobody that this machine trusts",
                "add the signing authority to this machine's trusted ones, or name its file in SSL_CERT_FILE",
            )
        case _:
            return f"the certificate of {address} is refused: {error.verify_message}", "renew the certificate"
