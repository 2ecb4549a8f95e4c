"""One HTTP connection with one deadline, as an httpx transport.

httpx's own pool walks all its connections at every request, and its timeouts are per read: a server that
sends one byte a second is never given up. A sender thread needs one connection and one deadline.
"""

import logging
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certifi
import httpcore
import httpx

from sidecar.errors import said
from sidecar.settings import NetworkRules, Service, TlsSettings
from sidecar.transports.deadline import Deadline
from sidecar.transports.http1 import Http1
from sidecar.transports.http2 import Http2
from sidecar.transports.network import FILE_RULES, checked_addresses, permitted
from sidecar.transports.proxy import Proxy, proxy_of
from sidecar.transports.stream import Plain, Stream

# At level DEBUG they write down whole headers, credentials too; what happened is in the attempt.
for _name in ("httpcore", "hpack"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


_SYSTEM_TRUST = TlsSettings()


@dataclass(frozen=True, slots=True)
class Way:
    """How to get to a service: where it may be, whom to trust, and what lies between."""

    rules: NetworkRules = FILE_RULES
    tls: TlsSettings = _SYSTEM_TRUST
    proxy: Proxy | None = None
    http2: bool = False


def way_of(service: Service) -> Way:
    """Return the way that a service's settings ask for."""
    return Way(service.network, service.tls, proxy_of(service.proxy), service.http2)


_STRAIGHT = Way()


class OneConnection(httpx.BaseTransport):
    """Keeps one connection and opens another when it is gone or the origin is a different one."""

    def __init__(self, deadline: Deadline, way: Way = _STRAIGHT) -> None:
        self._deadline = deadline
        self._way = way
        self._connection: Http1 | Http2 | None = None
        self._origin: tuple[str, str, int | None] | None = None
        self._was_reused = False

    @property
    def was_stale(self) -> bool:
        """Whether a failure may only mean that the server had closed the kept connection meanwhile."""
        return self._was_reused and not self._deadline.heard

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.ask(request)
        return self.answer()

    def ask(self, request: httpx.Request) -> Http1 | None:
        """Send a request; return where to wait for the answer, None where that is one step with sending."""
        self._deadline.heard = False
        url, headers, proxy = request.url, request.headers.raw, self._way.proxy
        target = url.raw_path
        if proxy and url.scheme == "http":
            target = b"http://" + url.netloc + target
            headers = [*headers, *proxy.headers]
        return self._to(url).ask(request, target, headers)

    def answer(self) -> httpx.Response:
        """Return the answer when its head is there. Its body is read as it is asked for."""
        assert self._connection is not None
        return self._connection.answer()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _to(self, url: httpx.URL) -> "Http1 | Http2":
        origin = (url.scheme, url.host, url.port)
        connection = self._connection
        self._was_reused = connection is not None and origin == self._origin and connection.usable
        if connection is None or not self._was_reused:
            self.close()
            self._origin = origin
            connection = self._connection = self._open(url)
        return connection

    def _open(self, url: httpx.URL) -> "Http1 | Http2":
        """Connect. With HTTP/2 the connection is made by the first request."""
        secure = url.scheme == "https"
        tls = tls_context(trust_of(self._way)) if secure else None
        network = Network(self._deadline, self._way, tunnel=secure)
        if tls and self._way.http2:
            return Http2(url, tls, network)
        stream = network.connect_tcp(url.host, url.port or (443 if secure else 80))
        return Http1(stream.start_tls(tls, server_hostname=url.host) if tls else stream)


class Network(httpcore.NetworkBackend):
    """Connects within the deadline, to what the network rules allow, through the proxy where there is one.

    Through a proxy `tunnel` decides: the proxy connects us to the service, or takes our requests itself.
    """

    def __init__(self, deadline: Deadline, way: Way = _STRAIGHT, *, tunnel: bool = False) -> None:
        self._deadline = deadline
        self._way = way
        self._tunnel = tunnel
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline holds
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        self._deadline.start_connecting()
        proxy = self._way.proxy
        if proxy is None:
            return self._dial(host, port, local_address, socket_options)
        if _is_figure(host):
            permitted(host, [host], self._way.rules)
        with proxy.blamed():
            stream = self._dial(proxy.host, proxy.port, local_address, socket_options)
        if self._tunnel:
            proxy.tunnel(stream, host, port, self._deadline.left_to_connect)
            self._deadline.heard = False
        return stream

    def _dial(self, host: str, port: int, local_address: str | None, options: Iterable[Any] | None) -> Stream:
        """Connect to the first address that answers: to the ones that were judged, not to the name again."""
        within_s = self._deadline.left_to_connect()
        addresses = checked_addresses(host, port, self._way.rules, within_s=within_s)
        problem: Exception | None = None
        for number, address in enumerate(addresses):
            share = self._deadline.left_to_connect() / (len(addresses) - number)
            try:
                stream = self._real.connect_tcp(address, port, share, local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
            else:
                return Plain(stream, self._deadline)
        raise problem or httpcore.ConnectError(said("%(host)s has no address", host=host))


def _is_figure(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Trust:
    """What a TLS context is made of. With the files' times in it, renewed files make a new context."""

    tls: TlsSettings = _SYSTEM_TRUST
    http2: bool = False
    written: tuple[int, ...] = ()


def trust_of(way: Way) -> Trust:
    """Return what is to be trusted now. Raises httpcore.ConnectError if a file of it is away."""
    files = [name for name in (way.tls.ca, way.tls.cert, way.tls.key) if name]
    try:
        return Trust(way.tls, way.http2, tuple(Path(name).stat().st_mtime_ns for name in files))
    except OSError as error:
        raise httpcore.ConnectError(said("a file of tls cannot be read: %(why)s", why=error)) from error


_SYSTEM = Trust()


@cache
def tls_context(trust: Trust = _SYSTEM) -> ssl.SSLContext:
    """Return the context that all connections with this trust share: to make one takes long."""
    return new_context(trust)


def new_context(trust: Trust) -> ssl.SSLContext:
    """Trust what this system trusts and the public authorities, or the given one alone; show our certificate.

    Not shared between HTTP/1.1 and HTTP/2: httpcore writes the protocols that it offers into the context.
    """
    context = ssl.create_default_context(cafile=trust.tls.ca)
    if trust.tls.ca is None:
        context.load_verify_locations(certifi.where())
    if trust.tls.cert:
        password = trust.tls.key_password.get_secret_value()
        try:
            context.load_cert_chain(trust.tls.cert, trust.tls.key, password)
        except OSError as error:
            raise httpcore.ConnectError(
                said("the certificate or key of tls cannot be used: %(why)s", why=error)
            ) from error
    return context
