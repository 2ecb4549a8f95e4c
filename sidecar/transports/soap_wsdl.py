"""A WSDL and what it imports: fetched by our own connection or taken from the cache, then parsed by zeep."""

import logging
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from xml.parsers import expat

import httpx
from zeep import Settings as ZeepSettings
from zeep.wsdl import Document

from sidecar.clock import Clock
from sidecar.errors import Said, said, text_of
from sidecar.settings import NoAuth, Service
from sidecar.transports.credentials import standing_headers
from sidecar.transports.exchange import Exchange, Trouble
from sidecar.transports.outgoing import with_key
from sidecar.transports.soap_cache import (
    PATIENCE,
    Kept,
    Shelf,
    Wsdl,
    WsdlUnavailable,
    cache_folder,
    library,
)
from sidecar.transports.status import status_line

# zeep logs what it meets in other people's documents; what matters of it is in the attempt.
logging.getLogger("zeep").setLevel(logging.CRITICAL + 1)

LONGEST_DOCUMENT = 5_242_880
_MOST_DOCUMENTS = 100
_LONGEST_IN_ALL = 4 * LONGEST_DOCUMENT
_SHARE_OF_A_RENEWAL = 3


class WsdlReader:
    """Reads the WSDL of one service; used by one thread."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._exchange = Exchange(service, clock)
        self._shelf = Shelf(cache_folder(os.environ), service.network)
        self._place = service.base_url, service.network

    def wsdl(self, seconds: float) -> Wsdl:
        """Return the service's WSDL within about `seconds`. Raises WsdlUnavailable."""
        now = self._clock.now()
        return library.get(self._place, lambda: self._read(seconds, now), now=now, patience_s=seconds)

    def renew(self, seconds: float) -> Wsdl:
        """Return the WSDL as it is now at its host, or the copy of it where the host does not answer."""
        library.forget(self._place)
        now = self._clock.now()
        read = lambda: self._read(seconds, now, max_age_s=0)  # noqa: E731
        return library.get(self._place, read, now=now, patience_s=seconds)

    def close(self) -> None:
        """Close the connection to the WSDL's host."""
        self._exchange.close()

    def _read(self, seconds: float, now: datetime, max_age_s: float | None = None) -> Wsdl:
        kept = self._shelf.get(self._service.base_url)
        # With a copy at hand most of the time is left for the request itself.
        self._exchange.start(seconds / _SHARE_OF_A_RENEWAL if kept else seconds)
        max_age = timedelta(seconds=self._service.soap.wsdl_max_age if max_age_s is None else max_age_s)
        documents = _Documents(self._service, self._exchange, self._shelf, now, max_age)
        parsed = _parse(self._service.base_url, documents)
        oldest = min(documents.read_at.values(), default=now)
        until = now + PATIENCE if documents.outdated else max(oldest + max_age, now + PATIENCE)
        return Wsdl(parsed, oldest, until, documents.stored)


@dataclass(slots=True)
class _Documents:
    """What zeep takes for its transport: it only ever calls `load`."""

    service: Service
    exchange: Exchange
    shelf: Shelf
    now: datetime
    max_age: timedelta
    read_at: dict[str, datetime] = field(default_factory=dict)
    stored: bool = False
    outdated: bool = False
    problem: WsdlUnavailable | None = None
    _size: int = 0

    def load(self, url: str) -> bytes:
        """Return a document without DTD. Raises WsdlUnavailable, and remembers it in `problem`."""
        try:
            kept = self._kept_or_fetched(url)
            self._size += len(kept.content)
            self.read_at[url] = kept.read_at
            if len(self.read_at) > _MOST_DOCUMENTS or self._size > _LONGEST_IN_ALL:
                raise WsdlUnavailable(
                    said(
                        "with all its imports it is more than %(n)s documents or %(size)s MiB",
                        n=_MOST_DOCUMENTS,
                        size=_LONGEST_IN_ALL // 1_048_576,
                    )
                )
            return kept.content
        except WsdlUnavailable as error:
            self.problem = error
            raise

    def _kept_or_fetched(self, url: str) -> Kept:
        kept = self.shelf.get(url)
        if kept is not None and (self.outdated or timedelta() <= self.now - kept.read_at < self.max_age):
            self.stored = True
            return kept
        try:
            fetched = Kept(_checked(url, self._fetch(url)), self.now)
        except WsdlUnavailable:
            if kept is None:
                raise
            self.stored = self.outdated = True
            return kept
        self.shelf.put(url, fetched)
        return fetched

    def _fetch(self, url: str) -> bytes:
        if urlsplit(url).scheme not in ("http", "https"):
            raise WsdlUnavailable(
                said("it imports %(url)s, and only http:// and https:// are read", url=url[:200])
            )
        try:
            trusted = _origin(url) == _origin(self.service.base_url)
            message = self._message(url, trusted=trusted)
            answer = self.exchange.send(message, LONGEST_DOCUMENT, trusted=trusted)
        except (httpx.InvalidURL, ValueError) as error:
            raise WsdlUnavailable(
                said("%(url)s is no URL that can be asked: %(why)s", url=shown(url), why=text_of(error))
            ) from error
        except Trouble as trouble:
            raise WsdlUnavailable(text_of(trouble), trouble.outcome) from trouble
        if not 200 <= answer.status < 300:
            raise WsdlUnavailable(_refusal(url, answer.status, answer.headers))
        if not answer.whole:
            raise WsdlUnavailable(
                said("%(url)s is longer than %(n)s MiB", url=shown(url), n=LONGEST_DOCUMENT // 1_048_576)
            )
        return answer.body

    def _message(self, url: str, *, trusted: bool) -> httpx.Request:
        """Return the request with the service's credentials: they are not for whom it imports from."""
        if trusted:
            return httpx.Request("GET", with_key(self.service, url), headers=standing_headers(self.service))
        bare = self.service.model_copy(update={"auth": NoAuth(), "headers": {}})
        return httpx.Request("GET", url, headers=standing_headers(bare))


def shown(url: str) -> str:
    """Return a URL for sentences: its query may hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:300]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", None, None


def _refusal(url: str, status: int, headers: httpx.Headers) -> str:
    if 300 <= status < 400:
        target = headers.get("location", "nowhere")[:300]
        return said(
            "%(url)s answered %(status)s, a redirect to %(target)s: use the final URL",
            url=shown(url),
            status=status,
            target=shown(target),
        )
    line = status_line(status)
    if status in (401, 403):
        return said("%(url)s answered %(status)s; are the credentials right?", url=shown(url), status=line)
    return said("%(url)s answered %(status)s", url=shown(url), status=line)


def _checked(url: str, content: bytes) -> bytes:
    """Return the document if it is XML without a DTD: entities can be bombs and read this machine's files."""
    if not content.strip():
        raise WsdlUnavailable(said("%(url)s is empty", url=shown(url)))
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content, True)
    except _Doctype:
        raise WsdlUnavailable(
            said("%(url)s has a DOCTYPE: documents with one are not read", url=shown(url))
        ) from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise WsdlUnavailable(said("%(url)s is no XML: %(why)s", url=shown(url), why=error)) from None
    return content


class _Doctype(Exception):
    pass


def _refuse(*_: object) -> None:
    raise _Doctype


def _parse(url: str, documents: _Documents) -> Any:
    settings = ZeepSettings(forbid_dtd=True, forbid_entities=True, force_https=False, xml_huge_tree=False)
    try:
        parsed = Document(url, documents, settings=settings)
        if not parsed.services:
            raise ValueError(said("it describes no service"))
        return parsed
    except WsdlUnavailable:
        raise
    except Exception as error:  # zeep raises whatever happens to it on documents that make no sense
        if documents.problem is not None:
            raise documents.problem from error
        for one in documents.read_at:
            documents.shelf.drop(one)
        raise WsdlUnavailable(said("zeep does not understand it: %(why)s", why=_why(error))) from error


def _why(error: Exception) -> str:
    """Return our own words, or the first of somebody else's."""
    text = text_of(error)
    return text if isinstance(text, Said) else f"{type(error).__name__}: {text[:300].partition(chr(10))[0]}"
