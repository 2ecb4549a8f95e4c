"""One HTTP message and its answer, for REST, SOAP and WSDLs alike: token, one deadline, and whom to blame."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import httpcore
import httpx

from sidecar.clock import Clock
from sidecar.errors import said, text_of
from sidecar.model import Outcome
from sidecar.settings import OAuth2Auth, Service
from sidecar.transports.connection import OneConnection, way_of
from sidecar.transports.deadline import Deadline
from sidecar.transports.network import AddressRefused
from sidecar.transports.oauth import desk_of
from sidecar.transports.proxy import Unsent
from sidecar.transports.steps import Steps, finished
from sidecar.transports.words import broken_off, forbidden, hung_up, no_way, unanswered, unconnected

EXCERPT = 2_048
LONGEST_ANSWER = 1_048_576
_STARS = "********"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `whole` is false where the body is longer than what was kept of it."""

    status: int
    headers: httpx.Headers
    body: bytes
    whole: bool

    def text(self, most: int) -> str:
        """Return the beginning of the body, whatever it is, as text."""
        return self.body[:most].decode("utf-8", "replace").replace("\0", "\ufffd")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an exchange came to, but for its times."""

    outcome: Outcome
    error: str | None = None
    status: int | None = None
    response: str | None = None
    retry_after_s: float | None = None


class Trouble(Exception):
    """There was no answer, or not a whole one; the text says what happened, the outcome what it means."""

    def __init__(self, text: str, outcome: Outcome = Outcome.FAILED) -> None:
        super().__init__(text)
        self.outcome = outcome


class Exchange:
    """Keeps one connection of one thread. `start` gives all that follows a common end."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._way = way_of(service)
        self._deadline = Deadline(clock)
        self._connection = OneConnection(self._deadline, self._way)
        self._desk = desk_of(service.auth, self._way, clock) if isinstance(service.auth, OAuth2Auth) else None
        self._token: str | None = None

    def start(self, seconds: float) -> None:
        """Let everything until the next start be over in `seconds`."""
        self._deadline.start(seconds, min(seconds, self._service.connect_timeout_s))

    def left(self) -> float:
        """Return the seconds left. Raises Trouble when there are none."""
        try:
            return self._deadline.left()
        except httpcore.TimeoutException:
            raise Trouble(said("it took longer than %(n)s s", n=f"{self._service.timeout:g}")) from None

    def send(self, message: httpx.Request, keep: int, *, trusted: bool = True) -> Answer:
        """Send, and return the answer with up to `keep` bytes of its body.

        Only a `trusted` host gets a token. Raises Trouble; the next message then goes over a new connection.
        """
        return finished(self.sending(message, keep, trusted=trusted))

    def sending(self, message: httpx.Request, keep: int, *, trusted: bool = True) -> Steps[Answer]:
        """Do the same in steps."""
        try:
            answer = yield from (self._authorized if trusted else self._twice)(message, keep)
            self._require_past_proxy(message.url, answer.status)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            self.close()
            raise self._blamed(error, address(message.url)) from error
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def masked(self, text: str | None) -> str | None:
        """Take out what stands in no setting and so is known to nobody else as a secret."""
        proxy = self._way.proxy
        for secret in filter(None, (self._token, proxy.credentials if proxy else None)):
            text = text.replace(secret, _STARS) if text else text
        return text

    def _authorized(self, message: httpx.Request, keep: int) -> Steps[Answer]:
        """Send with a token where one is needed; once more with another where the service refuses it."""
        if self._desk is None or "authorization" in message.headers:
            return (yield from self._twice(message, keep))
        token = partial(self._desk.token, self._deadline, self._way)
        answer = yield from self._twice(self._with_token(message, token()), keep)
        if answer.status != httpx.codes.UNAUTHORIZED:
            return answer
        return (yield from self._twice(self._with_token(message, token(instead_of=self._token)), keep))

    def _with_token(self, message: httpx.Request, token: str) -> httpx.Request:
        self._token = token
        message.headers["Authorization"] = f"Bearer {token}"
        return message

    def _twice(self, message: httpx.Request, keep: int) -> Steps[Answer]:
        """Send once more if a kept connection turned out to be closed by the server."""
        try:
            return (yield from self._once(message, keep))
        except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
            if not self._connection.was_stale:
                raise
        except httpcore.ConnectionNotAvailable:
            pass  # HTTP/2: the server said that it takes no more requests on this connection, nor this one
        self.close()
        return (yield from self._once(message, keep))

    def _once(self, message: httpx.Request, keep: int) -> Steps[Answer]:
        coming = self._connection.ask(message)
        if coming is not None:
            yield coming.fileno()
            while not coming.take_in(max(keep, LONGEST_ANSWER)):
                yield coming.fileno()
        answer = self._connection.answer()
        assert isinstance(answer.stream, httpx.SyncByteStream)
        try:
            body, length, ended = _read(answer.stream, keep)
        finally:
            answer.stream.close()
        if not ended:
            self.close()  # what is still to come would be in the way of the next answer
        return Answer(answer.status_code, answer.headers, body, length <= keep)

    def _require_past_proxy(self, url: httpx.URL, status: int) -> None:
        """Raise Unsent where the proxy itself has answered; through a tunnel only the service can."""
        proxy = self._way.proxy
        if proxy and url.scheme == "http" and status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            raise Unsent(proxy.refusal(status))

    def _blamed(self, error: Exception, where: str) -> Trouble:
        """Say whose fault it is that there is no answer."""
        match error:
            case AddressRefused():
                return Trouble(forbidden(error), Outcome.INVALID)
            case httpcore.LocalProtocolError():
                return Trouble(said("it cannot be sent: %(why)s", why=text_of(error)), Outcome.INVALID)
            case Unsent():
                return Trouble(text_of(error), Outcome.UNSENT)
            case httpcore.ConnectTimeout() if self._service.connect_timeout_s < self._service.timeout:
                return Trouble(unconnected(where, self._service.connect_timeout_s))
            case httpcore.TimeoutException():
                return Trouble(unanswered(where, self._service.timeout))
            case _:
                return Trouble(self._broken(error, where))

    def _broken(self, error: Exception, where: str) -> str:
        why = text_of(error) or type(error).__name__
        if isinstance(error, httpcore.ConnectError):
            return no_way(where, why)
        if isinstance(error, httpcore.ProtocolError) and re.search("disconnected|closed connection", why):
            return hung_up(where, heard=self._deadline.heard)
        if isinstance(error, httpcore.ProtocolError):
            return said("%(where)s did not answer in HTTP: %(why)s", where=where, why=why)
        return broken_off(where, why)


def address(url: httpx.URL) -> str:
    """Return host and port, for sentences."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _read(pieces: Iterable[bytes], keep: int) -> tuple[bytes, int, bool]:
    """Read the answer to its end, so that the connection can be kept, but keep only its beginning.

    Returns that, the length of all that was read, and whether the end was reached.
    """
    kept, length, most = bytearray(), 0, max(keep, LONGEST_ANSWER)
    for piece in pieces:
        kept += piece[: max(keep - len(kept), 0)]
        length += len(piece)
        if length > most:
            return bytes(kept), length, False
    return bytes(kept), length, True
