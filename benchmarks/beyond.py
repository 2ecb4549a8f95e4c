"""Beyond one machine: what the store does for a delivery with either engine, and the rates."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import text

from benchmarks import queued, sidecars
from benchmarks.bench import Bench
from benchmarks.measure import Figure, against, alternate, ratios
from benchmarks.receiver import Receiver
from sidecar.hub import Hub
from sidecar.store import services
from sidecar.store.engine import Database

_ENGINES = ("database", "rabbitmq")
_BEGINNING_S = 4.0
# What the server did for us, in statements and rows.
_COUNTED = ("Questions", "Handler_write", "Handler_update", "Handler_read_key")


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the rate with RabbitMQ against that with the store alone, for one process and for several."""
    requests = bench.pick(3_000, 8_000)
    with Receiver() as receiver:
        for processes in (1, 2, 4):
            rates = {name: partial(_rate, bench, receiver, name, requests, processes) for name in _ENGINES}
            found = alternate(bench.rounds, rates)
            yield Figure(
                f"engine rabbitmq, {processes} processes, store on MariaDB",
                ratios(found["rabbitmq"], found["database"]),
                note=against(found["rabbitmq"], found["database"], "the store's own queue"),
            )
        for name in _ENGINES:
            each = _cost(bench, receiver, name, requests)
            note = ", ".join(f"{counter} {figure:.2f}" for counter, figure in each.items())
            yield Figure(f"engine {name}: statements a delivery", (each["Questions"],), "", note=note)


def _rate(bench: Bench, receiver: Receiver, engine: str, requests: int, processes: int) -> float:
    """Return the deliveries a second, from the first request until the last is settled and logged."""
    with _paused(bench, receiver, engine, requests) as hub:
        return _send(hub, receiver, requests, processes)


def _cost(bench: Bench, receiver: Receiver, engine: str, requests: int) -> dict[str, float]:
    """Return what the store did for one delivery, from being queued to being settled."""
    with _paused(bench, receiver, engine, 0) as hub:
        before = _counters(hub.store)
        _fill(hub, engine, requests)
        _send(hub, receiver, requests, 2)
        after = _counters(hub.store)
    return {name: (after[name] - before[name]) / requests for name in _COUNTED}


@contextmanager
def _paused(bench: Bench, receiver: Receiver, engine: str, requests: int) -> Iterator[Hub]:
    """Yield a hub whose store has so many deliveries of a service that is paused."""
    store = bench.store(bench.mariadb)
    dispatch = {"engine": engine, "broker": {"url": bench.rabbitmq.url()}}
    path = sidecars.config(bench.folder, moodle=store, store=store, receiver=receiver.url, dispatch=dispatch)
    with sidecars.opened(path, role="dispatch") as hub:
        with hub.store.write() as conn:
            services.pause(conn, "crm", pause=True, now=hub.clock.now())
        _fill(hub, engine, requests)
        yield hub


def _fill(hub: Hub, engine: str, requests: int) -> None:
    if engine == "database":
        queued.fill(hub.store, requests, now=hub.clock.now())
        return
    assert hub.relay is not None
    made = queued.deliveries(requests, now=hub.clock.now())
    for start in range(0, requests, 1_000):
        with hub.store.write() as conn:
            hub.relay.outlet.enqueue(conn, made[start : start + 1_000], now=hub.clock.now())


def _send(hub: Hub, receiver: Receiver, requests: int, processes: int) -> float:
    receiver.reset()
    path = hub.source.path if hub.source else None
    assert path is not None
    with sidecars.running(path, "--role", "dispatch", processes=processes):
        time.sleep(_BEGINNING_S)
        with hub.store.write() as conn:
            services.pause(conn, "crm", pause=False, now=hub.clock.now())
        counted = receiver.wait_for(requests)
        while queued.settled(hub.store) < requests:
            time.sleep(0.01)
        return requests / (time.monotonic() - counted.first)


def _counters(store: Database) -> dict[str, int]:
    with store.read() as conn:
        return {row[0]: int(row[1]) for row in conn.execute(text("SHOW GLOBAL STATUS")) if row[0] in _COUNTED}
