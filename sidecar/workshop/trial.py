"""Try a service: by the same way out and with the same verdict as a delivery, but it counts nowhere."""

import uuid
from dataclasses import dataclass

from sidecar.clock import Clock
from sidecar.errors import HubError, said
from sidecar.gateway.line import Line
from sidecar.hub import Hub
from sidecar.model import Attempt, Delivery, Outcome
from sidecar.settings import Kind, Service, Settings
from sidecar.store import audit
from sidecar.store.audit import Author
from sidecar.store.find import known
from sidecar.workshop.bench import bench_of
from sidecar.workshop.draft import draft_service
from sidecar.workshop.refusals import Conflict

_LONGEST_ANSWER = 4_096


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. `reached`: it gave a sign of life; `accepted`: it took this very request."""

    attempt: Attempt
    reached: bool
    accepted: bool


def try_service(hub: Hub, name: str, *, by: Author, method: str = "GET", endpoint: str = "") -> Trial:
    """Ask a service in force: REST by GET or HEAD, a broker by logging in, SOAP by reading its WSDL.

    Neither its circuit nor the request log hears of it. Raises NotFound, and Conflict if it is broken.
    """
    settings: Settings = hub.settings
    service = settings.services[known(name, settings.services, Kind.SERVICE)]
    if service.broken:
        raise Conflict(
            said("The service %(name)s cannot be called: %(reason)s.", name=name, reason=service.broken)
        )
    found = trial(service, hub.clock, method=method, endpoint=endpoint)
    with hub.store.write() as conn:
        audit.note(conn, by, "service.test", f"service {name}", found.attempt.outcome, now=hub.clock.now())
    return found


def try_values(hub: Hub, name: str, values: object, *, method: str = "GET", endpoint: str = "") -> Trial:
    """Ask a service that is not saved yet; STARS stand for what is kept of the one of that name.

    Raises BadDefinition.
    """
    bench = bench_of(hub)
    draft = draft_service(bench.source, name, values, bench.definition(Kind.SERVICE, name))
    assert isinstance(draft.made, Service)
    service = draft.made.within(hub.settings.network.rules(private=False))
    return trial(service, hub.clock, method=method, endpoint=endpoint)


def trial(service: Service, clock: Clock, *, method: str = "GET", endpoint: str = "") -> Trial:
    """Ask a service once. Nothing is written down; no secret of it is in what comes back."""
    line = Line(service, clock)
    delivery = _delivery(clock, method, endpoint)
    try:
        match service.type:
            case "amqp":
                attempt = _of_broker(service, clock)
            case "soap":
                attempt = _of_wsdl(service, clock)
            case _:
                attempt = line.call(delivery, keep_bytes=_LONGEST_ANSWER)
        seen = line.masked(attempt, delivery)
    finally:
        line.close()
    return Trial(seen, seen.outcome.alive, seen.outcome is Outcome.DELIVERED)


def _of_broker(service: Service, clock: Clock) -> Attempt:
    # Only with a broker: pika takes long to load.
    from sidecar.transports.amqp import AmqpTransport  # noqa: PLC0415

    asked = _Asked(clock)
    seen = AmqpTransport(service, clock).look()
    missing = said("its exchange is not there: declare it at the broker") if seen.no_exchange else None
    return asked.answered(seen.error or missing, seen.status)


def _of_wsdl(service: Service, clock: Clock) -> Attempt:
    # Only with SOAP: zeep takes half a second to load.
    from sidecar.transports.soap_describe import describe  # noqa: PLC0415

    asked = _Asked(clock)
    try:
        describe(service, clock, refresh=True)
    except HubError as error:
        return asked.answered(error.text)
    return asked.answered(None)


class _Asked:
    """The moment when a question went out."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._at, self._start = clock, clock.now(), clock.monotonic()

    def answered(self, error: str | None, status: int | None = None) -> Attempt:
        outcome = Outcome.FAILED if error else Outcome.DELIVERED
        return Attempt(outcome, self._at, (self._clock.monotonic() - self._start) * 1000, status, error)


def _delivery(clock: Clock, method: str, endpoint: str) -> Delivery:
    return Delivery(
        delivery_id=str(uuid.uuid4()),
        rule=None,
        rule_version=None,
        service="",
        event=None,
        log_id=None,
        method=method,
        endpoint=endpoint,
        body=None,
        content_type=None,
        created_at=clock.now(),
    )
