"""REST: one request over one kept-alive connection, within one deadline."""

import gzip
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from urllib.parse import quote, urlsplit

import httpcore
import httpx

from sidecar.clock import Clock
from sidecar.model import Attempt, Outcome
from sidecar.settings import ApiKeyAuth, OAuth2Auth, Service, status_set
from sidecar.transports.base import Request
from sidecar.transports.connection import Deadline, OneConnection, way_of
from sidecar.transports.credentials import put, standing_headers
from sidecar.transports.network import AddressRefused
from sidecar.transports.oauth import desk_of
from sidecar.transports.proxy import Unsent
from sidecar.transports.signing import keys_of, signature_headers

_EXCERPT = 2_048
_LONGEST_ANSWER = 1_048_576
_LONGEST_TARGET = 300
_SMALLEST_PACKED = 1_024
_DELIVERED = status_set("200-299")
_AGAIN = status_set("408, 425, 429, 500-599")
_STARS = "********"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    text: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    outcome: Outcome
    error: str | None = None
    answer: _Answer | None = None


class HttpTransport:
    """Sends to a REST service. Redirects are failures: to follow one is to send the payload elsewhere."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self._deadline = Deadline(clock)
        self._way = way_of(service)
        self._connection = OneConnection(self._deadline, self._way)
        self._headers = standing_headers(service)
        self._signing_keys = keys_of(service.signing)
        self._success, self._again = status_set(service.success_status), status_set(service.retry_status)
        self._desk = desk_of(service.auth, self._way, clock) if isinstance(service.auth, OAuth2Auth) else None
        self._token: str | None = None

    def send(self, request: Request) -> Attempt:
        started_at, start = self._clock.now(), self._clock.monotonic()
        self._deadline.start(self._service.timeout, self._service.connect_timeout_s)
        verdict = self._deliver(request)
        latency_ms = (self._clock.monotonic() - start) * 1000
        error, answer = self._masked(verdict.error), verdict.answer
        if answer is None:
            return Attempt(verdict.outcome, started_at, latency_ms, error=error)
        wanted = request.keep_bytes or verdict.outcome is not Outcome.DELIVERED
        response = self._masked(answer.text) if wanted else None
        pause_s = retry_after(answer.headers.get("retry-after"), self._clock.now())
        return Attempt(verdict.outcome, started_at, latency_ms, answer.status, error, response, pause_s)

    def close(self) -> None:
        self._connection.close()

    def _deliver(self, request: Request) -> _Verdict:
        try:
            message = self._message(request)
        except (httpx.InvalidURL, ValueError) as error:
            return _Verdict(Outcome.INVALID, f"it cannot be sent: {error}")
        try:
            return self._judged(self._authorized(message, max(_EXCERPT, request.keep_bytes)))
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            self.close()
            return self._blamed(error)

    def _authorized(self, message: httpx.Request, most: int) -> _Answer:
        """Send with a token where one is needed; once more with another where the service refuses it."""
        if self._desk is None or "authorization" in message.headers:
            return self._exchange(message, most)
        token = partial(self._desk.token, self._deadline, self._way)
        answer = self._exchange(self._with_token(message, token()), most)
        if answer.status != httpx.codes.UNAUTHORIZED:
            return answer
        return self._exchange(self._with_token(message, token(instead_of=self._token)), most)

    def _with_token(self, message: httpx.Request, token: str) -> httpx.Request:
        self._token = token
        message.headers["Authorization"] = f"Bearer {token}"
        return message

    def _exchange(self, message: httpx.Request, most: int) -> _Answer:
        """Send and read the answer; once more if a kept connection turned out to be closed by the server."""
        try:
            return self._once(message, most)
        except (httpcore.ReadError, httpcore.WriteError, httpcore.RemoteProtocolError):
            if not self._connection.was_stale:
                raise
        except httpcore.ConnectionNotAvailable:
            pass  # HTTP/2: the server said that it takes no more requests on this connection, nor this one
        self.close()
        return self._once(message, most)

    def _once(self, message: httpx.Request, most: int) -> _Answer:
        answer = self._connection.handle_request(message)
        try:
            text, whole = _beginning(answer, most)
        finally:
            answer.close()
        if not whole:
            self.close()  # what is still to come would be in the way of the next answer
        return _Answer(answer.status_code, answer.headers, text)

    def _message(self, request: Request) -> httpx.Request:
        """Return the request as it goes out. Raises ValueError or InvalidURL when none can be like that."""
        url = join_url(self._service.base_url, request.endpoint)
        auth = self._service.auth
        if isinstance(auth, ApiKeyAuth) and auth.query:
            url = with_parameter(url, auth.query, auth.key.get_secret_value())
        headers, body = self._all_headers(request), request.body
        if self._service.gzip and len(body or b"") > _SMALLEST_PACKED and "content-encoding" not in headers:
            headers["Content-Encoding"] = "gzip"
            # Without the time: retries send the same bytes.
            body = gzip.compress(body or b"", mtime=0)
        return httpx.Request(request.method, url, headers=headers, content=body)

    def _all_headers(self, request: Request) -> httpx.Headers:
        """Put the rule's headers over the service's, whatever their case, and ours over both."""
        headers = self._headers.copy()
        if request.content_type and request.body is not None:
            headers["Content-Type"] = request.content_type
        put(headers, request.headers)
        put(headers, {"webhook-id": request.delivery_id, "Idempotency-Key": request.delivery_id})
        keys, now = self._signing_keys, self._clock.now()
        put(headers, signature_headers(keys, request.delivery_id, request.body or b"", now=now))
        return headers

    def _judged(self, answer: _Answer) -> _Verdict:
        if self._way.proxy and answer.status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
            raise Unsent(self._way.proxy.refusal(answer.status))
        outcome = classify(answer.status, success=self._success, again=self._again)
        error = None if outcome is Outcome.DELIVERED else _refusal(answer.status, answer.headers)
        return _Verdict(outcome, error, answer)

    def _blamed(self, error: Exception) -> _Verdict:
        """Say whose fault it is that there is no answer."""
        match error:
            case AddressRefused():
                return _Verdict(Outcome.INVALID, f"refused by the network rules: {error}")
            case httpcore.LocalProtocolError():
                return _Verdict(Outcome.INVALID, f"it cannot be sent: {error}")
            case Unsent():
                return _Verdict(Outcome.UNSENT, str(error))
            case httpcore.ConnectTimeout() if self._service.connect_timeout_s < self._service.timeout:
                limit = self._service.connect_timeout_s
                return _Verdict(Outcome.FAILED, f"no connection to {self._address()} within {limit:g} s")
            case httpcore.TimeoutException():
                limit = self._service.timeout
                return _Verdict(Outcome.FAILED, f"no answer from {self._address()} within {limit:g} s")
            case _:
                return _Verdict(Outcome.FAILED, self._broken(error))

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

    def _masked(self, text: str | None) -> str | None:
        """Take out what stands in no setting and so is known to nobody else as a secret."""
        proxy = self._way.proxy
        for secret in filter(None, (self._token, proxy.credentials if proxy else None)):
            text = text.replace(secret, _STARS) if text else text
        return text


def join_url(base_url: str, endpoint: str) -> str:
    """Append `endpoint` to `base_url`. Whatever it holds, scheme and host stay those of `base_url`."""
    base = base_url.rstrip("/")
    if not endpoint:
        return base_url
    return base + endpoint if endpoint.startswith("?") else f"{base}/{endpoint.lstrip('/')}"


def with_parameter(url: str, name: str, value: str) -> str:
    """Add a parameter to the query of a URL, whatever its endpoint has put there."""
    before = url.partition("#")[0]
    mark = "&" if "?" in before else "?"
    return f"{before}{mark}{name}={quote(value, safe='')}"


def classify(status: int, *, success: frozenset[int] = _DELIVERED, again: frozenset[int] = _AGAIN) -> Outcome:
    """Return what an HTTP status says (RFC 9110; 425 is RFC 8470, 429 is RFC 6585)."""
    if status in success:
        return Outcome.DELIVERED
    if status not in again:
        return Outcome.REJECTED
    return Outcome.FAILED if status >= 500 else Outcome.BUSY


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


def _beginning(answer: httpx.Response, most: int) -> tuple[str, bool]:
    """Read the answer to its end, so that the connection can be kept, but keep only its beginning.

    Returns it as text, and whether the end was reached.
    """
    kept, length = b"", 0
    for piece in answer.iter_raw():
        length += len(piece)
        if len(kept) < most:
            kept += piece[: most - len(kept)]
        if length > _LONGEST_ANSWER:
            break
    text = kept.decode("utf-8", "replace").replace("\0", "\ufffd")
    return text, length <= _LONGEST_ANSWER


def _refusal(status: int, headers: httpx.Headers) -> str:
    if 300 <= status < 400:
        target = headers.get("location", "nowhere")[:_LONGEST_TARGET]
        return f"answered {status}, a redirect to {target}: not followed; put the final URL into base_url"
    return f"answered {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
