"""The headers that go with every request of a service: who we are, and what proves it."""

import base64
import re
from collections.abc import Mapping

import httpx

from sidecar import __version__
from sidecar.errors import said
from sidecar.settings import FRAMING_HEADERS, ApiKeyAuth, BasicAuth, BearerAuth, Service

_UNSENDABLE = re.compile(r"[^\t\x20-\x7e]")


def standing_headers(service: Service) -> httpx.Headers:
    """Return the service's headers and credentials; a token of OAuth 2 is put there for each request."""
    headers = httpx.Headers({"User-Agent": f"moodle-integration-hub/{__version__}", "Accept": "*/*"})
    put(headers, {name: value.get_secret_value() for name, value in service.headers.items()})
    match service.auth:
        case BearerAuth(token=token):
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        case ApiKeyAuth(header=header, key=key, query=None):
            headers[header] = key.get_secret_value()
        case BasicAuth(username=username, password=password):
            pair = f"{username}:{password.get_secret_value()}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return headers


def put(headers: httpx.Headers, more: Mapping[str, str]) -> None:
    """Set headers, except those that frame the message. Raises ValueError for what no header can hold."""
    for name, value in more.items():
        if _UNSENDABLE.search(value):
            raise ValueError(
                said(
                    "the header %(name)s holds a line break or another character that no header can",
                    name=name,
                )
            )
        if name.lower() not in FRAMING_HEADERS:
            headers[name] = value
