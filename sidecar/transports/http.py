"""REST: one request becomes one HTTP message, the answer's status a verdict."""

import httpx

from sidecar.clock import Clock
from sidecar.errors import said, text_of
from sidecar.model import Attempt, Outcome
from sidecar.settings import Service, status_set
from sidecar.transports.base import Request
from sidecar.transports.exchange import EXCERPT, Answer, Exchange, Trouble, Verdict
from sidecar.transports.outgoing import Outgoing
from sidecar.transports.status import classify, refusal, retry_after
from sidecar.transports.steps import Steps, finished


class HttpTransport:
    """Sends to a REST service. Redirects are failures: to follow one is to send the payload elsewhere."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self._service = service
        self._clock = clock
        self.in_steps = not service.http2
        self._exchange = Exchange(service, clock)
        self._outgoing = Outgoing(service, clock)
        self._success, self._again = status_set(service.success_status), status_set(service.retry_status)

    def send(self, request: Request) -> Attempt:
        return finished(self.sending(request))

    def sending(self, request: Request) -> Steps[Attempt]:
        started_at, start = self._clock.now(), self._clock.monotonic()
        self._exchange.start(self._service.timeout)
        verdict = yield from self._deliver(request)
        return Attempt(
            verdict.outcome,
            started_at,
            (self._clock.monotonic() - start) * 1000,
            verdict.status,
            self._exchange.masked(verdict.error),
            self._exchange.masked(verdict.response),
            verdict.retry_after_s,
        )

    def close(self) -> None:
        self._exchange.close()

    def _deliver(self, request: Request) -> Steps[Verdict]:
        try:
            message = self._message(request)
        except (httpx.InvalidURL, ValueError) as error:
            return Verdict(Outcome.INVALID, said("it cannot be sent: %(why)s", why=text_of(error)))
        keep = max(EXCERPT, request.keep_bytes)
        try:
            return self._judged((yield from self._exchange.sending(message, keep)), request)
        except Trouble as trouble:
            return Verdict(trouble.outcome, str(trouble))

    def _message(self, request: Request) -> httpx.Request:
        """Return the request as it goes out. Raises ValueError or InvalidURL when none can be like that."""
        url = join_url(self._service.base_url, request.endpoint)
        kind = request.content_type if request.body is not None else None
        headers = {"Content-Type": kind} if kind else {}
        return self._outgoing.message(
            request.method, url, request.body, headers, request.headers, delivery_id=request.delivery_id
        )

    def _judged(self, answer: Answer, request: Request) -> Verdict:
        outcome = classify(answer.status, success=self._success, again=self._again)
        good = outcome is Outcome.DELIVERED
        return Verdict(
            outcome,
            None if good else refusal(answer.status, answer.headers),
            answer.status,
            answer.text(len(answer.body)) if request.keep_bytes or not good else None,
            None if good else retry_after(answer.headers.get("retry-after"), self._clock.now()),
        )


def join_url(base_url: str, endpoint: str) -> str:
    """Append `endpoint` to `base_url`. Whatever it holds, scheme and host stay those of `base_url`."""
    base = base_url.rstrip("/")
    if not endpoint:
        return base_url
    return base + endpoint if endpoint.startswith("?") else f"{base}/{endpoint.lstrip('/')}"
