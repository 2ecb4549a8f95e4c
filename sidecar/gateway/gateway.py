"""Call a service directly, with the same retries, circuit, log and secrecy as every delivery."""

import json
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
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from sqlalchemy.exc import SQLAlchemyError

from sidecar.clock import Clock, SystemClock
from sidecar.errors import NotFound
from sidecar.gateway import circuit as breaker
from sidecar.gateway import health, retry
from sidecar.gateway.cache import AnswerCache
from sidecar.gateway.line import Line
from sidecar.gateway.response import Response
from sidecar.model import Attempt, Circuit, Claimed, Delivery, Settlement, Step
from sidecar.settings import Service, Settings, load
from sidecar.store import circuits, log, migrate, services
from sidecar.store.engine import Database
from sidecar.store.faults import blame, explain

_log = logging.getLogger("mih.gateway")

_LONGEST_ANSWER = 1_048_576
_PROBE_SLACK_S = 10.0
_HEALTH_KNOWN_S = 0.25


class Gateway:
    """The door to all services of a configuration, for scripts and for the HTTP API. Safe for threads.

    A call tries at once and then waits `retry` between tries, in the caller's thread. While the circuit is
    open or the service is paused it answers at once, without touching the network. Every try is in `mih_log`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Database,
        *,
        clock: Clock | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._store = settings, store
        self._clock = clock or SystemClock()
        self._wait = wait
        self._replica = f"{socket.gethostname()[:60]}-{os.getpid()}-direct"
        self._lock = threading.Lock()
        self._idle: dict[str, list[Line]] = defaultdict(list)
        self._cache = AnswerCache(self._clock)
        self._circuits: dict[str, Circuit] = {}
        self._paused: frozenset[str] = frozenset()
        self._health_until = 0.0

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
        return cls(settings, store)

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

        `payload` is sent as JSON (text as it stands); with GET and HEAD it becomes the query. The same
        `idempotency_key` gives the same delivery id, by which the receiver recognises a repetition.
        """
        known = self._known(service)
        delivery = self._delivery(
            service, endpoint, payload, method=method.upper(), headers=headers or {}, key=idempotency_key
        )
        cached = self._cache.find(known, delivery)
        if cached is not None:
            return cached
        response = self._try(known, delivery)
        self._cache.keep(known, delivery, response)
        return response

    def close(self) -> None:
        """Close all connections and the store. No call may be under way."""
        for lines in self._idle.values():
            for line in lines:
                line.close()
        self._store.close()

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

    def _delivery(
        self,
        service: str,
        endpoint: str,
        payload: object,
        *,
        method: str,
        headers: Mapping[str, str],
        key: str | None,
    ) -> Delivery:
        number = (
            uuid.uuid5(uuid.NAMESPACE_OID, f"{self._settings.site}/{service}/{key}") if key else uuid.uuid4()
        )
        if method in {"GET", "HEAD"} and isinstance(payload, Mapping) and payload:
            endpoint += ("&" if "?" in endpoint else "?") + urlencode(payload, doseq=True)
            payload = None
        body = payload if isinstance(payload, str | None) else json.dumps(payload, ensure_ascii=False)
        return Delivery(
            delivery_id=str(number),
            rule=None,
            rule_version=None,
            service=service,
            event=None,
            log_id=None,
            method=method,
            endpoint=endpoint,
            body=body,
            content_type=None if body is None else "application/json",
            created_at=self._clock.now(),
            headers=dict(headers),
        )

    def _try(self, service: Service, delivery: Delivery) -> Response:
        """Try until it is done, given up, or not to be tried; the answer of the last try counts."""
        tries = 0
        last: Attempt | None = None
        with self._borrowed(delivery.service, service) as line:
            while True:
                refusal, probe = self._ask(service, delivery.service)
                if refusal:
                    return Response.refused(refusal, tries, last)
                last = line.call(delivery, keep_bytes=_LONGEST_ANSWER)
                now = self._clock.now()
                decision = retry.decide(last, retries=tries, policy=service.retry, now=now, probe=probe)
                noted = Settlement(
                    Claimed(0, delivery, tries, "", probe), line.masked(last, delivery), decision
                )
                self._write_down(service, noted, now)
                tries += 1
                if decision.step is not Step.RETRY:
                    return Response.of(last, tries)
                self._wait(retry.wait_s(last, retries=tries - 1, policy=service.retry))

    def _ask(self, service: Service, name: str) -> tuple[str | None, bool]:
        """Return why the service must not be called now, or None; and whether this call is its probe."""
        self._learn_health()
        if not service.enabled or name in self._paused:
            return f"{name} is {'paused' if name in self._paused else 'disabled'}", False
        circuit = self._circuits.get(name)
        if circuit is None or breaker.admits(circuit):
            return None, False
        now = self._clock.now()
        if breaker.probe_due(circuit, now):
            with self._store.write() as conn:
                if circuits.take_probe(conn, name, now=now, wait_s=service.timeout + _PROBE_SLACK_S):
                    return None, True
        until = f" until {circuit.probe_at:%H:%M:%S} UTC" if circuit.probe_at else ""
        return f"the circuit of {name} is open{until}; its last error: {circuit.last_error}", False

    def _learn_health(self) -> None:
        if self._clock.monotonic() >= self._health_until:
            with self._store.read() as conn:
                self._circuits, self._paused = circuits.load_all(conn), services.paused(conn)
            self._health_until = self._clock.monotonic() + _HEALTH_KNOWN_S

    def _write_down(self, service: Service, noted: Settlement, now: datetime) -> None:
        """Log the attempt and what it says about the service; the caller gets its answer in any case."""
        name, attempt = noted.claimed.delivery.service, noted.attempt
        assert attempt is not None
        seen = health.Sighting(name, service.circuit_breaker, attempt, noted.claimed.probe)
        try:
            with self._store.write() as conn:
                log.record(conn, [noted], replica=self._replica)
                self._circuits |= health.record(conn, [seen], self._circuits, now=now)
        except SQLAlchemyError as error:
            _log.error("gateway.unlogged service=%s: %s", name, explain(error, self._store.shown))

    @contextmanager
    def _borrowed(self, name: str, service: Service) -> Iterator[Line]:
        """Lend a connection that nobody else uses meanwhile; threads come and go, connections stay."""
        with self._lock:
            line = self._idle[name].pop() if self._idle[name] else Line(service, self._clock)
        try:
            yield line
        finally:
            with self._lock:
                self._idle[name].append(line)
