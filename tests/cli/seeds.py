"""A store is filled through the functions that the sidecar fills it with."""

from dataclasses import replace
from typing import Any

from sidecar.clock import FakeClock
from sidecar.model import (
    Attempt,
    Circuit,
    CircuitState,
    DeadLetter,
    DeadReason,
    Decision,
    Delivery,
    Outcome,
    Settlement,
    Step,
    delivery_id,
)
from sidecar.settings import Service
from sidecar.store import circuits, cursors, dlq, leases, queue, replicas, services
from sidecar.store.engine import Database
from sidecar.store.replicas import Replica
from sidecar.store.settle import settle

SERVICES = {
    "crm": Service(base_url="https://crm.example.org/api"),
    "erp": Service(base_url="https://erp.example.org"),
}
_UNRENDERED = "payload, line 1, column 8: null has no name"


class Seeds:
    """Puts things into a store, and looks at what became of them."""

    def __init__(self, store: Database, clock: FakeClock) -> None:
        self.store, self.clock = store, clock

    def services(self) -> None:
        """Write down the services, as a starting process does."""
        with self.store.write() as conn:
            services.sync(conn, SERVICES, now=self.clock.now())

    def delivery(self, log_id: int, **changes: Any) -> Delivery:
        """Queue a delivery of a user created in that row, and return it."""
        made = self._delivery(log_id, **changes)
        with self.store.write() as conn:
            queue.enqueue(conn, [made], now=self.clock.now())
        return made

    def sending(self, log_id: int) -> Delivery:
        """Queue a delivery and have another process claim it."""
        made = self.delivery(log_id)
        with self.store.write() as conn:
            leases.claim(conn, {made.service: 10}, token="other#1", now=self.clock.now(), lease_s=60)
        return made

    def delivered(self, log_id: int) -> Delivery:
        """Queue a delivery that was accepted."""
        attempt = Attempt(Outcome.DELIVERED, self.clock.now(), 41.25, status=201, response="ok")
        return self._settled(log_id, attempt, Decision(Step.DONE))

    def rejected(self, log_id: int, **changes: Any) -> Delivery:
        """Queue a delivery that was sent and refused: a dead letter with its payload."""
        attempt = Attempt(
            Outcome.REJECTED, self.clock.now(), 12.5, status=422, error="HTTP 422", response='{"no": "name"}'
        )
        decision = Decision(Step.BURY, reason=DeadReason.REJECTED)
        return self._settled(log_id, attempt, decision, **changes)

    def unrendered(
        self, log_id: int, row: dict[str, Any] | None = None, error: str = _UNRENDERED, **changes: Any
    ) -> Delivery:
        """Bury a delivery whose template failed: a dead letter without a payload, with a copy of its row."""
        made = replace(self._delivery(log_id, **changes), body=None, content_type=None)
        letter = DeadLetter(made, DeadReason.RENDER, error, row=row)
        with self.store.write() as conn:
            queue.enqueue_dead(conn, [letter], now=self.clock.now())
        return made

    def bury(self, made: Delivery) -> None:
        """Add a dead letter for a delivery that lives, as no part of the sidecar does."""
        with self.store.write() as conn:
            dlq.bury(conn, [DeadLetter(made, DeadReason.REJECTED, "old news")], now=self.clock.now())

    def open_circuit(self, service: str) -> None:
        """Have a service fail until its circuit opens."""
        now = self.clock.now()
        found = Circuit(service, CircuitState.OPEN, 5, now, now, "HTTP 503", now)
        with self.store.write() as conn:
            circuits.create(conn, [service], now=now)
            circuits.save(conn, found, now=now)

    def replica(self, host: str = "box", role: str = "all", pid: int = 7) -> None:
        """Sign a process in that has just made its rounds."""
        now = self.clock.now()
        with self.store.write() as conn:
            replicas.enter(conn, Replica(f"{host}-{pid}", role, host, pid, "1.0"), now=now)
            replicas.beat(conn, f"{host}-{pid}", tail_at=now, dispatch_at=now, now=now)

    def beat(self, tail_ago_s: float, host: str = "box", pid: int = 7, problem: str | None = None) -> None:
        """Have that process say that it lives, and that its tail's last round was so long ago."""
        now = self.clock.now()
        self.clock.advance(-tail_ago_s)
        tail_at = self.clock.now()
        self.clock.advance(tail_ago_s)
        with self.store.write() as conn:
            replicas.beat(conn, f"{host}-{pid}", tail_at=tail_at, dispatch_at=now, now=now, problem=problem)

    def cursor(self, position: int, **changes: Any) -> None:
        """Put the cursor of the site."""
        now = self.clock.now()
        with self.store.write() as conn:
            cursors.create(conn, "campus", position, now=now)
            before = cursors.load(conn, "campus")
            assert before
            cursors.advance(conn, before, replace(before, **changes), now=now)

    def state(self, delivery: Delivery) -> str | None:
        """Return the state of a delivery now."""
        with self.store.write() as conn:
            return queue.lock(conn, [delivery.delivery_id]).get(delivery.delivery_id)

    def letters(self) -> int:
        """Return how many dead letters there are."""
        with self.store.read() as conn:
            return dlq.count(conn)

    def _settled(self, log_id: int, attempt: Attempt, decision: Decision, **changes: Any) -> Delivery:
        made = self.delivery(log_id, **changes)
        now = self.clock.now()
        with self.store.write() as conn:
            claimed = leases.claim(conn, {made.service: 10}, token="us#1", now=now, lease_s=60)
            mine = [item for item in claimed if item.delivery.delivery_id == made.delivery_id]
            leases.release(conn, [item for item in claimed if item not in mine])
            done = [Settlement(mine[0], attempt, decision)]
            settle(conn, done, replica="us", now=now)
        return made

    def _delivery(self, log_id: int, **changes: Any) -> Delivery:
        rule = str(changes.get("rule", "new-user"))
        made = Delivery(
            delivery_id=delivery_id("campus", rule, log_id),
            rule=rule,
            rule_version="abc",
            service="crm",
            event=r"\core\event\user_created",
            log_id=log_id,
            method="POST",
            endpoint="/users",
            body=f'{{"id": {log_id}}}',
            content_type="application/json",
            created_at=self.clock.now(),
        )
        return replace(made, **changes)
