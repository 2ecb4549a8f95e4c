"""A store, a receiver and dispatchers between them, by a clock that the test turns."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from random import Random
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.exc import OperationalError

from sidecar.bridge.dispatch import Dispatcher
from sidecar.bridge.engine import Engine
from sidecar.clock import FakeClock
from sidecar.model import Circuit, CircuitState
from sidecar.settings import DispatchSettings, Rule, Service
from sidecar.store import circuits, queue, services
from sidecar.store.engine import Database
from sidecar.store.tables import dlq, log
from sidecar.store.tables import queue as queue_table
from tests.deliveries import delivery
from tests.receiver import Receiver

_PATIENCE_S = 20.0


class Doubtful(Database):
    """A store that is away when the test says so."""

    away = False

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Refuse, as a driver does when nobody listens."""
        if self.away:
            raise OperationalError("BEGIN", {}, ConnectionRefusedError(111, "Connection refused"))
        with super().write() as conn:
            yield conn


class NoChance(Random):
    """Luck that shortens no wait."""

    def random(self) -> float:
        """Return what leaves everything as planned."""
        return 0.0


class Post:
    """The whole sending half. Services are called `crm` and so on; each has a path of its name."""

    def __init__(self, url: str, clock: FakeClock, receiver: Receiver) -> None:
        self.store, self.clock, self.receiver = Doubtful(url), clock, receiver
        self.wanted: dict[str, Service] = {}
        self.rules: list[Rule] = []
        self._dispatchers: list[Dispatcher] = []

    def service(self, name: str, **options: Any) -> None:
        """Have a service of that name, with a threshold of 3 failures and a cooldown that stays 30 s."""
        values = {
            "base_url": self.receiver.url,
            "timeout": 15,
            "circuit_breaker": {"failure_threshold": 3, "cooldown": 30, "cooldown_factor": 1},
            **options,
        }
        self.wanted = self.wanted | {name: Service.model_validate(values)}
        with self.store.write() as conn:
            services.sync(conn, self.wanted, now=self.clock.now())

    def rule(self, name: str, service: str = "crm", **options: Any) -> None:
        """Have a rule of that name, with policies of its own."""
        values = {"name": name, "event": "*", "service": service, **options}
        self.rules.append(Rule.model_validate(values))

    def queue(self, count: int = 1, service: str = "crm", *, first: int = 1, **changes: Any) -> None:
        """Queue deliveries, one after the other by a millisecond, so that their order is known."""
        with self.store.write() as conn:
            for number in range(first, first + count):
                self.clock.advance(0.001)
                queue.enqueue(conn, [delivery(number, service, **changes)], now=self.clock.now())

    def dispatcher(
        self,
        replica: str = "replica-1",
        *,
        chance: Random | None = None,
        carrier: Engine | None = None,
        **settings: Any,
    ) -> Dispatcher:
        """Start another replica's dispatcher, with 20 senders."""
        made = Dispatcher(
            self.store,
            self.wanted,
            replica=replica,
            settings=DispatchSettings.model_validate({"poll": 0.02, "concurrency": 20, **settings}),
            clock=self.clock,
            rules=self.rules,
            chance=chance or NoChance(),
            engine=carrier,
        )
        self._dispatchers.append(made)
        return made

    def open_circuit(self, service: str = "crm") -> None:
        """Have the circuit opened by somebody else just now."""
        circuit = Circuit(service, CircuitState.OPEN, 3, self.clock.now(), self.clock.now())
        with self.store.write() as conn:
            circuits.lock(conn, [service], now=self.clock.now())
            circuits.save(conn, circuit, now=self.clock.now())

    def circuit(self, service: str = "crm") -> Circuit:
        """Return the circuit as the table has it."""
        with self.store.read() as conn:
            return circuits.load_all(conn)[service]

    def rows(self, service: str = "crm") -> list[Row[Any]]:
        """Return the deliveries of a service, the first queued first."""
        with self.store.read() as conn:
            query = select(queue_table).where(queue_table.c.service == service).order_by(queue_table.c.id)
            return list(conn.execute(query))

    def states(self, service: str = "crm") -> Mapping[str, int]:
        """Return how many deliveries are in each state."""
        return Counter(row.state for row in self.rows(service))

    def attempts(self) -> list[Row[Any]]:
        """Return the request log."""
        with self.store.read() as conn:
            return list(conn.execute(select(log).order_by(log.c.id)))

    def letters(self) -> list[Row[Any]]:
        """Return the dead letters."""
        with self.store.read() as conn:
            return list(conn.execute(select(dlq).order_by(dlq.c.id)))

    def close(self) -> None:
        """Stop all dispatchers and the receiver."""
        self.store.away = False
        self.receiver.released.set()
        for dispatcher in self._dispatchers:
            with quiet_clock(self.clock):
                dispatcher.stop()
        self.store.close()


def until(dispatcher: Dispatcher, reached: Callable[[], bool]) -> None:
    """Make rounds until something is so."""
    ends = time.monotonic() + _PATIENCE_S
    while not reached():
        assert time.monotonic() < ends, "it did not come to that"
        dispatcher.run_once()


def passing(post: Post, dispatcher: Dispatcher, step_s: float, reached: Callable[[], bool]) -> None:
    """Make rounds until something is so, while the clock goes on by a step a round."""

    def stepped() -> bool:
        post.clock.advance(step_s)
        return reached()

    until(dispatcher, stepped)


def idle(dispatcher: Dispatcher) -> None:
    """Make rounds until this dispatcher holds nothing, and has looked for more in vain."""
    for _ in range(3):
        dispatcher.run_once()
    until(dispatcher, lambda: dispatcher.in_hand == 0)
    dispatcher.run_once()


def known(dispatcher: Dispatcher) -> int:
    """Return how many fates a dispatcher knows that the store does not know yet."""
    return len(dispatcher._unsettled)


@contextmanager
def quiet_clock(clock: FakeClock) -> Iterator[None]:
    """Let the clock run on, so that no grace lasts for ever."""
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.05):
            clock.advance(1)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()
