"""Which addresses may be connected to, as a frozen value that goes with each service."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator

from sidecar.errors import said

IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """`deny` wins over `allow`. `private`: private and loopback addresses need not be listed in `allow`.

    The default is that of services from the configuration file: their neighbours on a campus are private.
    """

    allow: tuple[IPNetwork, ...] = ()
    deny: tuple[IPNetwork, ...] = ()
    private: bool = True


def _range(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError:
        raise ValueError(_hint(text)) from None


def _hint(text: str) -> str:
    try:
        mended = ip_network(text.strip(), strict=False)
        return said("this has bits beyond its length: write %(range)s", range=str(mended))
    except ValueError:
        return said("expected a range of addresses such as 10.20.0.0/16, 192.0.2.7 or fd00:20::/32")


Range = Annotated[str, AfterValidator(_range)]
