"""REST: one request over one kept-alive connection, within one deadline."""

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpcore
import httpx

from sidecar import __version__
from sidecar.clock import Clock
from sidecar.model import Attempt, Outcome
from sidecar.settings import ApiKeyAuth, BasicAuth, BearerAuth, Service
from sidecar.transports.base import Request
from sidecar.transports.connection import Deadline, OneConnection

_EXCERPT = 2_048
_LONGEST_ANSWER = 1_048_576
_LONGEST_TARGET = 300
_BUSY = frozenset({408, 425, 429})
# How a message is framed is decided here, by its body: a second opinion splits or hangs the connection.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
_UNSENDABLE = re.compile(r"[^\t\x20-\x7e]")


class HttpTransport:
    """Sends to a REST service. Redirects are failures: to follow one is to send the payload elsewhere."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._deadline = Deadline(clock)
        self._connection = OneConnection(self._deadline)
        self._headers = _standing_headers(service)

    def send(self, request: Request) -> Attempt:
        started_at, start = self._clock.now(), self._clock.monotonic()
        self._deadline.start(self._service.timeout)
        try:
            message = self._message(request)
        except (httpx.InvalidURL, ValueError) as error:
            return self._attempt(started_at, start, Outcome.INVALID, error=f"it cannot be sent: {error}")
        try:
            status, headers, text = self._exchange(message)
        except httpcore.LocalProtocolError as error:
            self.close()
            return self._attempt(started_at, start, Outcome.INVALID, error=f"it cannot be sent: {error}")
        except httpcore.TimeoutException:
            self.close()
            return self._attempt(started_at, start, Outcome.FAILED, error=self._no_answer())
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            self.close()
            return self._attempt(started_at, start, Outcome.FAILED, error=self._broken(error))
        outcome = classify(status)
        return self._attempt(
            started_at,
            start,
            outcome,
            status=status,
            error=None if outcome is Outcome.DELIVERED else _refusal(status, headers),
            response=text if request.keep_bytes or outcome is not Outcome.DELIVERED else None,
            retry_after_s=retry_after(headers.get("retry-after"), self._clock.now()),
        )

    def close(self) -> None:
        self._connection.close()

    def _exchange(self, message: httpx.Request) -> tuple[int, httpx.Headers, str]:
        """Send and read the answer; once more if a kept connection turned out to be closed by the server."""
        try:
            return self._once(message)
        except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
            if not self._connection.was_stale:
                raise
            self.close()
            return self._once(message)

    def _once(self, message: httpx.Request) -> tuple[int, httpx.Headers, str]:
        answer = self._connection.handle_request(message)
        try:
            return answer.status_code, answer.headers, _beginning(answer, max(_EXCERPT, request.keep_bytes))
        finally:
            answer.close()

    def _message(self, request: Request) -> httpx.Request:
        """Return the request as it goes out. Raises ValueError or InvalidURL when none can be like that."""
        return httpx.Request(
            request.method,
            join_url(self._service.base_url, request.endpoint),
            headers=self._all_headers(request),
            content=request.body,
        )

    def _all_headers(self, request: Request) -> httpx.Headers:
        """Put the rule's headers over the service's, whatever their case, and ours over both."""
        headers = self._headers.copy()
        if request.content_type and request.body is not None:
            headers["Content-Type"] = request.content_type
        _put(headers, request.headers)
        _put(headers, {"webhook-id": request.delivery_id, "Idempotency-Key": request.delivery_id})
        return headers

    def _attempt(
        self,
        started_at: datetime,
        start: float,
        outcome: Outcome,
        *,
        status: int | None = None,
        error: str | None = None,
        response: str | None = None,
        retry_after_s: float | None = None,
    ) -> Attempt:
        latency_ms = (self._clock.monotonic() - start) * 1000
        return Attempt(outcome, started_at, latency_ms, status, error, response, retry_after_s)

    def _no_answer(self) -> str:
        return f"no answer from {self._address()} within {self._service.timeout:g} s"

    def _broken(self, error: Exception) -> str:
        said = str(error) or type(error).__name__
        if isinstance(error, httpcore.ConnectError):
            return f"could not connect to {self._address()}: {said}"
        if isinstance(error, httpcore.ProtocolError) and re.search("disconnected|closed connection", said):
            how = "in the middle of its answer" if self._deadline.heard else "without an answer"
            return f"{self._address()} closed the connection {how}"
        if isinstance(error, httpcore.ProtocolError):
            return f"{self._address()} did not answer in HTTP: {said}"
        return f"the connection to {self._address()} broke: {said}"

    def _address(self) -> str:
        parts = urlsplit(self._service.base_url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def join_url(base_url: str, endpoint: str) -> str:
    """Append `endpoint` to `base_url`. Whatever it holds, scheme and host stay those of `base_url`."""
    base = base_url.rstrip("/")
    if not endpoint:
        return base_url
    return base + endpoint if endpoint.startswith("?") else f"{base}/{endpoint.lstrip('/')}"


def classify(status: int) -> Outcome:
    """Return what an HTTP status says (RFC 9110; 425 is RFC 8470, 429 is RFC 6585)."""
    if 200 <= status < 300:
        return Outcome.DELIVERED
    if status in _BUSY:
        return Outcome.BUSY
    return Outcome.FAILED if status >= 500 else Outcome.REJECTED


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header (seconds or a date) asks for; None if unreadable."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # An HTTP date is in UTC; some say so with -0000, which Python takes for "zone unknown".
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)


def _standing_headers(service: Service) -> httpx.Headers:
    headers = httpx.Headers({"User-Agent": f"moodle-integration-hub/{__version__}", "Accept": "*/*"})
    _put(headers, {name: value.get_secret_value() for name, value in service.headers.items()})
    match service.auth:
        case BearerAuth(token=token):
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        case ApiKeyAuth(header=header, key=key):
            headers[header] = key.get_secret_value()
        case BasicAuth(username=username, password=password):
            pair = f"{username}:{password.get_secret_value()}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return headers


def _put(headers: httpx.Headers, more: Mapping[str, str]) -> None:
    for name, value in more.items():
        if _UNSENDABLE.search(value):
            raise ValueError(f"the header {name} holds a line break or another character that no header can")
        if name.lower() not in _FRAMING:
            headers[name] = value


def _beginning(answer: httpx.Response, most: int) -> str:
    """Read the answer to its end, so that the connection can be kept, but keep only its beginning."""
    kept, length = b"", 0
    for piece in answer.iter_raw():
        length += len(piece)
        if len(kept) < most:
            kept += piece[: most - len(kept)]
        if length > _LONGEST_ANSWER:
            break
    return kept.decode("utf-8", "replace").replace("\0", "\ufffd")


def _refusal(status: int, headers: httpx.Headers) -> str:
    if 300 <= status < 400:
        target = headers.get("location", "nowhere")[:_LONGEST_TARGET]
        return f"answered {status}, a redirect to {target}: not followed; put the final URL into base_url"
    return f"answered {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
