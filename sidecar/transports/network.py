"""A name becomes the addresses that may be connected to: looked up once, each judged, no second look-up.

What is connected to is what was judged, so a name that points elsewhere at its next look-up gains nothing.
"""

import socket
import threading
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from queue import Empty, SimpleQueue

import httpcore

from sidecar.errors import said
from sidecar.settings.networks import IPNetwork, NetworkRules

_Address = IPv4Address | IPv6Address
FILE_RULES = NetworkRules()


class AddressRefused(httpcore.ConnectError):
    """The network rules allow none of the addresses of {host}: nothing was sent."""


# Where clouds hand out credentials to whoever asks: AWS, Google, Azure, Oracle, Alibaba.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "192.0.0.192",
        "100.100.100.200",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)


def _ranges(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ip_network(text) for text in texts)


# The special-purpose registries of IANA (RFC 6890), in the order in which they are looked at.
_NEVER: Mapping[str, tuple[IPNetwork, ...]] = {
    said("unspecified"): _ranges("0.0.0.0/8", "::/128"),
    said("link-local"): _ranges("169.254.0.0/16", "fe80::/10"),
    said("multicast"): _ranges("224.0.0.0/4", "ff00::/8"),
    said("broadcast"): _ranges("255.255.255.255/32"),
}
_PRIVATE: Mapping[str, tuple[IPNetwork, ...]] = {
    said("loopback"): _ranges("127.0.0.0/8", "::1/128"),
    said("private"): _ranges("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
}
_TRANSLATED, _RESERVED = said("a translated IPv4 address (NAT64)"), said("reserved")
_ODD: Mapping[str, tuple[IPNetwork, ...]] = {
    said("an IPv4 address in the clothes of IPv6"): _ranges("::ffff:0:0/96", "::/96"),
    _TRANSLATED: _ranges("64:ff9b::/96", "64:ff9b:1::/48"),
    said("a tunnel to an IPv4 address (6to4, Teredo)"): _ranges("2002::/16", "2001::/32", "192.88.99.0/24"),
    said("for documentation only"): _ranges(
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"
    ),
    _RESERVED: _ranges(
        "192.0.0.0/24", "198.18.0.0/15", "240.0.0.0/4", "100::/64", "2001::/23", "5f00::/16", "fec0::/10"
    ),
}
_UNICAST = ip_network("2000::/3")


def verdict(address: str, rules: NetworkRules = FILE_RULES) -> str | None:
    """Say why the rules refuse an address and how to allow it; None if it may be connected to."""
    return _verdict(ip_address(address.partition("%")[0]), rules)


def checked_addresses(
    host: str, port: int, rules: NetworkRules = FILE_RULES, *, within_s: float
) -> list[str]:
    """Look a name up and return its addresses that may be connected to: connect to these, not to the name.

    Raises AddressRefused if it has others only, ConnectTimeout if the look-up takes longer than `within_s`,
    and ConnectError if nobody knows the name.
    """
    return permitted(host, look_up(host, port, within_s=within_s), rules)


def permitted(host: str, addresses: list[str], rules: NetworkRules) -> list[str]:
    """Return those addresses of `host` that may be connected to. Raises AddressRefused if none may."""
    refusals = {address: reason for address in addresses if (reason := verdict(address, rules))}
    allowed = [address for address in addresses if address not in refusals]
    if addresses and not allowed:
        reason = next(iter(refusals.values()))
        raise AddressRefused(
            reason if host in refusals else said("%(host)s is at %(reason)s", host=host, reason=reason)
        )
    return allowed


def look_up(host: str, port: int, *, within_s: float) -> list[str]:
    """Return all addresses of a name. The system's resolver knows no deadline: a thread of its own waits."""
    answer: SimpleQueue[list[str] | Exception] = SimpleQueue()
    threading.Thread(target=_ask, args=(host, port, answer), name="look-up", daemon=True).start()
    try:
        found = answer.get(timeout=within_s)
    except Empty:
        raise httpcore.ConnectTimeout(said("the name %(host)s was not resolved in time", host=host)) from None
    if isinstance(found, Exception):
        raise httpcore.ConnectError(str(found)) from found
    return found


def _ask(host: str, port: int, answer: "SimpleQueue[list[str] | Exception]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answer.put(list(dict.fromkeys(str(address[0]) for *_, address in found)))
    except (OSError, UnicodeError) as error:
        answer.put(error)


def _verdict(address: _Address, rules: NetworkRules) -> str | None:
    if address in _METADATA:
        return said(
            "%(address)s, where a cloud hands out credentials: this is never allowed", address=address
        )
    if (kind := _kind(address, _NEVER)) is not None:
        return said("%(address)s, which is %(kind)s: this is never allowed", address=address, kind=kind)
    denied = _within(address, rules.deny)
    if denied is not None:
        return said(
            "%(address)s, which is denied: take %(range)s out of network.deny to allow it",
            address=address,
            range=denied,
        )
    listed = _within(address, rules.allow) is not None
    if (kind := _kind(address, _PRIVATE)) is not None:
        return None if listed or rules.private else _refusal(address, kind)
    if (kind := _oddity(address)) is not None and not listed:
        return _refusal(address, kind)
    inner = _embedded(address)
    return _verdict(inner, rules) if inner is not None else None


def _refusal(address: _Address, kind: str) -> str:
    return said(
        "%(address)s, which is %(kind)s: add %(range)s to network.allow to allow it",
        address=address,
        kind=kind,
        range=f"{address}/{address.max_prefixlen}",
    )


def _oddity(address: _Address) -> str | None:
    kind = _kind(address, _ODD)
    unassigned = isinstance(address, IPv6Address) and address not in _UNICAST
    return kind or (_RESERVED if unassigned else None)


def _embedded(address: _Address) -> IPv4Address | None:
    """Return the IPv4 address that a listed translation leads to: it is judged like any other."""
    if isinstance(address, IPv4Address):
        return None
    if address.teredo:
        return address.teredo[1]
    if any(address in net for net in _ODD[_TRANSLATED]):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    compatible = IPv4Address(int(address)) if address in ip_network("::/96") else None
    return address.ipv4_mapped or address.sixtofour or compatible


def _kind(address: _Address, table: Mapping[str, tuple[IPNetwork, ...]]) -> str | None:
    return next((kind for kind, nets in table.items() if _within(address, nets)), None)


def _within(address: _Address, nets: tuple[IPNetwork, ...]) -> IPNetwork | None:
    return next((net for net in nets if address.version == net.version and address in net), None)
