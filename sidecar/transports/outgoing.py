"""A message as it goes out over HTTP: credentials, ids, signature and compression, whatever it says."""

import gzip
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote

import httpx

from sidecar.clock import Clock
from sidecar.settings import ApiKeyAuth, Service
from sidecar.transports.credentials import put, standing_headers
from sidecar.transports.signing import keys_of, signature_headers

_SMALLEST_PACKED = 1_024
_WITH_LENGTH = frozenset({"POST", "PUT", "PATCH"})  # also without a body: RFC 9110, 8.6


class Outgoing:
    """Puts on each message what the service's settings ask for; a token comes with the exchange."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._headers = standing_headers(service)
        self._signing_keys = keys_of(service.signing)

    def message(
        self, method: str, url: str, body: bytes | None, *headers: Mapping[str, str], delivery_id: str
    ) -> httpx.Request:
        """Return the message. Later headers stand over earlier ones and the service's, ours over all.

        Raises ValueError or InvalidURL when none can be like that.
        """
        merged = self._headers.copy()
        for some in headers:
            put(merged, some)
        put(merged, {"webhook-id": delivery_id, "Idempotency-Key": delivery_id})
        if self._signing_keys:
            # What is signed is the body that the receiver has after it has unpacked it.
            now = self._clock.now()
            put(merged, signature_headers(self._signing_keys, delivery_id, body or b"", now=now))
        if self._service.gzip and len(body or b"") > _SMALLEST_PACKED and "content-encoding" not in merged:
            merged["Content-Encoding"] = "gzip"
            # Without the time: retries send the same bytes.
            body = gzip.compress(body or b"", mtime=0)
        return _framed(method, _parsed(with_key(self._service, url)), merged, body or b"")


def _framed(method: str, url: httpx.URL, headers: httpx.Headers, body: bytes) -> httpx.Request:
    """Return the request. httpx would add these two headers as well, and take four times as long."""
    framing = [(b"Host", url.netloc)]
    if body or method.upper() in _WITH_LENGTH:
        framing.append((b"Content-Length", b"%d" % len(body)))
    return httpx.Request(method, url, headers=framing + headers.raw, stream=httpx.ByteStream(body))


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    """Return the URL; most rules send to one address, and to read it takes as long as all the rest."""
    return httpx.URL(url)


def with_key(service: Service, url: str) -> str:
    """Add the key to a URL of a service that wants it in the query."""
    auth = service.auth
    if isinstance(auth, ApiKeyAuth) and auth.query:
        return with_parameter(url, auth.query, auth.key.get_secret_value())
    return url


def with_parameter(url: str, name: str, value: str) -> str:
    """Add a parameter to the query of a URL, whatever its endpoint has put there."""
    before = url.partition("#")[0]
    mark = "&" if "?" in before else "?"
    return f"{before}{mark}{name}={quote(value, safe='')}"
