"""A proxy between us and a service: what it is told, and what its own failures are called."""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import httpcore
from pydantic import SecretStr

from sidecar.errors import said, text_of
from sidecar.transports.network import AddressRefused

_LONGEST_HEAD = 16_384
_PORT = 3128
# With these a proxy says that it could not reach the service (squid: 503), not that it is ill itself.
_UNREACHED = frozenset({502, 503, 504})


class Unsent(httpcore.ConnectError):
    """A proxy or token server is ill: nothing was sent, and the service is not to blame."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where it is and who we are to it: user and password as HTTP Basic has them."""

    host: str
    port: int
    credentials: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Host and port, for sentences."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What it wants to know with each request."""
        if self.credentials is None:
            return []
        return [(b"Proxy-Authorization", f"Basic {self.credentials}".encode())]

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Call what goes wrong inside the proxy's failure: Unsent. An address that is refused stays that."""
        try:
            yield
        except AddressRefused:
            raise
        except httpcore.TimeoutException as error:
            raise Unsent(said("the proxy %(proxy)s did not answer in time", proxy=self.address)) from error
        except (httpcore.NetworkError, OSError) as error:
            raise Unsent(
                said("the proxy %(proxy)s cannot be used: %(why)s", proxy=self.address, why=text_of(error))
            ) from error

    def tunnel(self, stream: httpcore.NetworkStream, host: str, port: int, left: Callable[[], float]) -> None:
        """Have the proxy connect the stream to the service (RFC 9110, 9.3.6)."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {target} HTTP/1.1".encode(), f"Host: {target}".encode()]
        lines += [name + b": " + value for name, value in self.headers]
        try:
            with self.blamed():
                stream.write(b"\r\n".join(lines) + b"\r\n\r\n")
            self._require_connected(self._status(stream, left), target)
        except BaseException:
            stream.close()
            raise

    def refusal(self, status: int) -> str:
        """Say that the proxy itself refused, and why."""
        why = (
            said("it wants a user and a password in proxy")
            if status == 407
            else said("it refuses us, or is ill")
        )
        return self._answered(status, why)

    def _answered(self, status: int, why: str) -> str:
        return said(
            "the proxy %(proxy)s answered %(status)s: %(why)s", proxy=self.address, status=status, why=why
        )

    def _status(self, stream: httpcore.NetworkStream, left: Callable[[], float]) -> int:
        """Read the head of the answer. To be slow is the service's fault: the proxy waits for that."""
        head = b""
        while b"\r\n\r\n" not in head:
            try:
                piece = stream.read(_LONGEST_HEAD, left())
            except httpcore.ReadTimeout as error:
                raise httpcore.ConnectTimeout(str(error)) from error
            except httpcore.NetworkError as error:
                raise Unsent(
                    said("the proxy %(proxy)s closed the connection: %(why)s", proxy=self.address, why=error)
                ) from error
            head += piece
            if not piece or len(head) > _LONGEST_HEAD:
                raise Unsent(
                    said("the proxy %(proxy)s closed the connection without an answer", proxy=self.address)
                )
        found = re.match(rb"HTTP/1\.[01] ([1-5][0-9]{2})\b", head)
        if found is None:
            raise Unsent(said("the proxy %(proxy)s did not answer in HTTP", proxy=self.address))
        return int(found[1])

    def _require_connected(self, status: int, target: str) -> None:
        if status in _UNREACHED:
            raise httpcore.ConnectError(self._answered(status, said("no way to %(target)s", target=target)))
        if not 200 <= status < 300:
            raise Unsent(self.refusal(status))


def proxy_of(url: SecretStr | None) -> Proxy | None:
    """Take the URL of a proxy apart. Its shape was looked at when the file was loaded."""
    if url is None:
        return None
    parts = urlsplit(url.get_secret_value())
    credentials = None
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        credentials = base64.b64encode(pair.encode()).decode()
    return Proxy(parts.hostname or "", parts.port or _PORT, credentials)
