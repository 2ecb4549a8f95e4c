"""Call a service directly, with the same retries, circuit, log and secrecy as every delivery."""

import logging
import os
import socket
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from sidecar.clock import Clock, SystemClock
from sidecar.errors import Misfit, NotFound
from sidecar.gateway import gone, retry
from sidecar.gateway.admission import Admission, Refusal
from sidecar.gateway.body import parcel_of, query_of
from sidecar.gateway.cache import AnswerCache
from sidecar.gateway.envelope import enclosed
from sidecar.gateway.health import Sighting
from sidecar.gateway.line import Line
from sidecar.gateway.places import Places
from sidecar.gateway.response import Response
from sidecar.model import Attempt, Claimed, Delivery, Settlement, Step
from sidecar.settings import Service, Settings
from sidecar.settings.values import WITHOUT_BODY
from sidecar.store import log, migrate
from sidecar.store.engine import Database
from sidecar.store.faults import blame, explain
from sidecar.store.made import load

_log = logging.getLogger("mih.gateway")

_LONGEST_ANSWER = 1_048_576


class Gateway:
    """The door to all services of a configuration, for scripts and for the HTTP API. Safe for threads.

    A call tries at once and then waits `retry` between tries, in the caller's thread. While the circuit is
    open or the service is paused it answers at once, without touching the network. A call waits for one of
    `places`, each try for a moment that the service's `rate_limit` gives: as long as its timeout at most.
    Every try is in `mih_log`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Database,
        *,
        clock: Clock | None = None,
        wait: Callable[[float], None] = time.sleep,
        chance: Random | None = None,
        places: Places | None = None,
    ) -> None:
        self._settings, self._store = settings, store
        self._clock = clock or SystemClock()
        self._wait = wait
        self._replica = f"{socket.gethostname()[:60]}-{os.getpid()}-direct"
        self._lock = threading.Lock()
        self._idle: dict[str, list[Line]] = defaultdict(list)
        self._chance = chance or Random()  # noqa: S311 - it spreads retries, it keeps no secret
        self._cache = AnswerCache(self._clock)
        self._admission = Admission(store, self._clock, wait)
        self._places = places or Places()
        self._closed = False
        self._own_store: Database | None = None

    @classmethod
    def from_config(cls, path: Path | str, env: Mapping[str, str] = os.environ) -> Self:
        """Open the gateway of a configuration file.

        Raises ConfigError, DatabaseUnavailable, or MigrationsPending where the file says `migrate: check`.
        """
        settings = load(Path(path), env)
        store = Database(settings.store_url.get_secret_value())
        with blame(f"store.url ({store.shown})"):
            if settings.store.migrate == "apply":
                migrate.apply(store)
            migrate.require_current(store)
            clock = SystemClock()
            clock.set(store.now())  # cooldowns and rate limits are kept by one clock on all machines
        made = cls(settings, store, clock=clock)
        made._own_store = store
        return made

    def request(
        self,
        service: str,
        endpoint: str = "",
        payload: object = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Response:
        """Call `endpoint` of `service` and return what came of it; only an unknown service raises (NotFound).

        `payload` is sent as JSON, to a service of format `form` as form fields, text as it stands; with GET
        and HEAD it becomes the query. To a service of format `cloudevents` it goes as the data of an event
        whose type is the header `ce-type`, to one of format `xapi` it has to be a statement. The same
        `idempotency_key` gives the same delivery id, by which the receiver recognises a repetition.
        """
        known = self._known(service)
        number = self._number(service, idempotency_key)
        try:
            delivery = self._delivery(
                service, endpoint, payload, method=method.upper(), headers=headers or {}, number=number
            )
        except Misfit as misfit:
            return Response.refused(str(misfit), number)
        unfit = _unfit(delivery, known)
        if unfit:
            return Response.refused(unfit, number)
        cached = self._cache.find(known, delivery)
        if cached is not None:
            return cached
        with self._places.one(service, known) as found:
            response = self._try(known, delivery) if found else _crowded(delivery)
        self._cache.keep(known, delivery, response)
        return response

    def close(self) -> None:
        """Close all connections, one in use when its call ends. A store that was lent stays open."""
        with self._lock:
            self._closed = True
            idle = [line for lines in self._idle.values() for line in lines]
            self._idle.clear()
        for line in idle:
            line.close()
        if self._own_store is not None:
            self._own_store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _known(self, name: str) -> Service:
        if name not in self._settings.services:
            there = ", ".join(sorted(self._settings.services)) or "none"
            raise NotFound(f'there is no service "{name}"; there are: {there}')
        return self._settings.services[name]

    def _number(self, service: str, key: str | None) -> str:
        site = self._settings.site
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{site}/{service}/{key}") if key else uuid.uuid4())

    def _delivery(
        self,
        service: str,
        endpoint: str,
        payload: object,
        *,
        method: str,
        headers: Mapping[str, str],
        number: str,
    ) -> Delivery:
        """Return what a call sends. Raises Misfit; TypeError or ValueError for what JSON does not know."""
        known = self._settings.services[service]
        if method in {"GET", "HEAD"} and isinstance(payload, Mapping) and payload:
            endpoint += ("&" if "?" in endpoint else "?") + query_of(payload, known.format)
            payload = None
        asks = payload is None and method in WITHOUT_BODY
        parcel = parcel_of(payload, known.format)
        parcel = enclosed(
            parcel, known, asks=asks, headers=headers, delivery_id=number, site=self._settings.site
        )
        return Delivery(
            delivery_id=number,
            rule=None,
            rule_version=None,
            service=service,
            event=None,
            log_id=None,
            method=method,
            endpoint=endpoint,
            body=parcel.body,
            content_type=parcel.content_type,
            created_at=self._clock.now(),
            headers=parcel.headers,
        )

    def _try(self, service: Service, delivery: Delivery) -> Response:
        """Try until it is done, given up, or not to be tried; the answer of the last try counts."""
        tries = 0
        last: Attempt | None = None
        with self._borrowed(delivery.service, service) as line:
            line.prepare()
            while True:
                leave = self._admission.ask(delivery.service, service)
                if isinstance(leave, Refusal):
                    return self._refused(leave, delivery, tries, last)
                last = line.call(delivery, keep_bytes=_LONGEST_ANSWER)
                now = self._clock.now()
                decision = retry.decide(
                    last, retries=tries, policy=service.retry, now=now, probe=leave.probe, chance=self._chance
                )
                claimed = Claimed(0, delivery, tries, "", leave.probe)
                self._write_down(service, Settlement(claimed, line.masked(last, delivery), decision), now)
                tries += 1
                if decision.step is not Step.RETRY or decision.at is None:
                    shown = line.shown(last, keep_bytes=_LONGEST_ANSWER)
                    return Response.of(shown, tries, delivery.delivery_id)
                self._wait((decision.at - now).total_seconds())

    def _refused(
        self, refusal: Refusal, delivery: Delivery, tries: int, last: Attempt | None = None
    ) -> Response:
        again_at = refusal.again_at
        return Response.refused(
            refusal.reason,
            delivery.delivery_id,
            attempts=tries,
            last=last,
            retry_after_s=max((again_at - self._clock.now()).total_seconds(), 0) if again_at else None,
        )

    def _write_down(self, service: Service, noted: Settlement, now: datetime) -> None:
        """Log the attempt and what it says about the service; the caller gets its answer in any case."""
        name, attempt = noted.claimed.delivery.service, noted.attempt
        assert attempt is not None
        _tell(noted, 1 + service.retry.most_retries)
        seen = Sighting(name, service.circuit_breaker, attempt, noted.claimed.probe)
        try:
            with self._store.write() as conn:
                log.record(conn, [noted], replica=self._replica)
                paused = self._admission.learn(conn, seen, service, now=now)
        except SQLAlchemyError as error:
            _log.error("gateway.unlogged service=%s: %s", name, explain(error, self._store.shown))
        else:
            gone.tell(paused)

    @contextmanager
    def _borrowed(self, name: str, service: Service) -> Iterator[Line]:
        """Lend a connection that nobody else uses meanwhile; threads come and go, connections stay."""
        with self._lock:
            line = self._idle[name].pop() if self._idle[name] else Line(service, self._clock)
        try:
            yield line
        finally:
            with self._lock:
                if not self._closed:
                    self._idle[name].append(line)
            if self._closed:
                line.close()


def _unfit(delivery: Delivery, service: Service) -> str | None:
    """Say why this can never be sent, None if it can."""
    try:
        size = len((delivery.body or "").encode())
    except UnicodeEncodeError:
        return "payload: it holds half of a surrogate pair, which is no character"
    if size > service.max_payload:
        most = service.max_payload
        return f"payload: {size:,} bytes are over the max_payload of {delivery.service}, {most:,}"
    return None


def _crowded(delivery: Delivery) -> Response:
    reason = f"as many calls of {delivery.service} as its max_concurrency allows are under way"
    return Response.refused(reason, delivery.delivery_id, retry_after_s=1)


def _tell(noted: Settlement, most_tries: int) -> None:
    """Write the one line of an attempt."""
    delivery, attempt = noted.claimed.delivery, noted.attempt
    if attempt is None or not _log.isEnabledFor(logging.INFO):
        return
    _log.info(
        "call.attempted delivery=%s service=%s attempt=%d/%d outcome=%s status=%s latency_ms=%.0f%s",
        delivery.delivery_id,
        delivery.service,
        noted.claimed.attempts + 1,
        most_tries,
        attempt.outcome,
        attempt.status or "-",
        attempt.latency_ms,
        f" error={attempt.error!r}" if attempt.error else "",
    )
