"""What a proxy says of the browser behind it is believed of trusted proxies only."""

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

_Networks = tuple[IPv4Network | IPv6Network, ...]


def look_behind(scope: Scope, trusted: tuple[str, ...]) -> None:
    """Put the browser's own address, scheme and host into the scope, where a trusted proxy names them."""
    networks = _networks(trusted)
    peer = (scope.get("client") or ("", 0))[0]
    if not networks or not _is_in(peer, networks):
        return
    headers = Headers(scope=scope)
    addresses = _items(headers, "x-forwarded-for")
    # Whoever is before the nearest trusted proxy can write what it likes: read from the end.
    stranger = next((one for one in reversed(addresses) if not _is_in(one, networks)), None)
    if stranger is not None and _is_address(stranger):
        scope["client"] = (stranger, 0)
    if schemes := _items(headers, "x-forwarded-proto"):
        scope["scheme"] = "https" if schemes[-1].lower() == "https" else "http"
    if hosts := _items(headers, "x-forwarded-host"):
        MutableHeaders(scope=scope)["host"] = hosts[-1]


def _items(headers: Headers, name: str) -> list[str]:
    lines = ",".join(headers.getlist(name))
    return [item.strip() for item in lines.split(",") if item.strip()]


@lru_cache(maxsize=8)
def _networks(ranges: tuple[str, ...]) -> _Networks:
    return tuple(map(ip_network, ranges))


def _is_in(text: str, networks: _Networks) -> bool:
    return _is_address(text) and any(ip_address(text) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
