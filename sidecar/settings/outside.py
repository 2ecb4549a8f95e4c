"""How a service is reached: token servers, proxies and certificate files that cannot be used."""

import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sidecar.errors import said
from sidecar.settings.addresses import web_url_problem
from sidecar.settings.broker import ESCAPED

# What only REST does, and what only HTTP knows.
_OF_REST = ("signing", "success_status", "retry_status", "gzip", "http2")


def outside_problems(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (option, sentence) for everything about a service's way that cannot work."""
    kind, url = service.get("type", "rest"), service.get("base_url")
    if kind != "rest":
        yield from (
            (name, said("this is for services of type rest only")) for name in _OF_REST if service.get(name)
        )
    if service.get("http2") is True and isinstance(url, str) and url.lower().startswith("http:"):
        yield "http2", said("it is agreed upon in the TLS handshake: it needs https:// in base_url")
    auth, proxy = service.get("auth"), service.get("proxy")
    token_url = auth.get("token_url") if isinstance(auth, dict) else None
    if isinstance(token_url, str) and token_url and (text := token_url_problem(token_url)):
        yield "auth.token_url", text
    if isinstance(proxy, str) and (text := proxy_problem(proxy)):
        yield "proxy", text
    tls = service.get("tls")
    yield from tls_problems(tls if isinstance(tls, dict) else {})


def token_url_problem(url: str) -> str | None:
    """Say why no token can be asked for there; such a URL may hold a query."""
    return web_url_problem(url.partition("?")[0], "https://login.example.org/oauth2/token")


def proxy_problem(url: str) -> str | None:
    """Say why no proxy can be behind this URL, without repeating it: it may hold a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return said("its host or port cannot be read; %(escaped)s", escaped=ESCAPED)
    if parts.scheme != "http" or not host or port == 0:
        return said(
            "expected http://proxy.example.org:3128; what is sent to https:// is encrypted on its way"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return said("nothing may follow the port; %(escaped)s", escaped=ESCAPED)
    if re.search(r"[\x00-\x20\x7f]", url) or not url.isascii():
        return said("it holds a blank or another character that cannot be here; %(escaped)s", escaped=ESCAPED)
    return None


def tls_problems(tls: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (option, sentence) for files of certificates that cannot be used."""
    ca, cert, key = (tls.get(name) for name in ("ca", "cert", "key"))
    if key is not None and cert is None:
        yield "tls.key", said("a key without its certificate: name that in cert")
    unread = False
    for name, file in (("ca", ca), ("cert", cert), ("key", key)):
        text = _file_problem(file) if isinstance(file, str) else None
        unread = unread or text is not None
        if text:
            yield f"tls.{name}", text
    if unread:
        return
    password = tls.get("key_password") or ""
    if isinstance(ca, str) and not _loads(lambda context: context.load_verify_locations(ca)):
        yield "tls.ca", said("the file holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    if isinstance(cert, str) and not _loads(
        lambda context: context.load_cert_chain(cert, key, str(password))
    ):
        yield "tls.cert", _PAIR


_PAIR = said(
    "certificate and key cannot be used: both have to be PEM and belong together, and an encrypted key needs"
    " the right key_password"
)


def _loads(use: Callable[[ssl.SSLContext], None]) -> bool:
    try:
        use(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except (OSError, ValueError):
        return False
    return True


def _file_problem(name: str) -> str | None:
    try:
        with Path(name).open("rb"):
            return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or said("this is no file name")
        return said("the file cannot be read: %(reason)s", reason=reason)
