"""Dispatch: durable queue to HTTP 200 to settled and logged, against a loop that stores nothing."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

from benchmarks import bare, queued, sidecars
from benchmarks.bench import Bench
from benchmarks.measure import Figure, against, alternate, at_least, ratios
from benchmarks.receiver import Receiver
from tests.servers import Server

_THREADS = 8
_LIMIT_S = 60
STARTED = timedelta(seconds=4)


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield what one process sends from either store, against the bare loop."""
    requests = bench.pick(3_000, 8_000)
    with Receiver() as receiver:
        contenders: dict[str, Callable[[], float]] = {
            name: partial(rate, bench, server, receiver, requests) for name, server in bench.databases
        }
        contenders["bare"] = lambda: bare.rate(receiver, threads=_THREADS, requests=bench.pick(2_000, 5_000))
        found = alternate(bench.rounds, contenders)
    for name, _ in bench.databases:
        yield Figure(
            f"dispatch, 0 ms receiver, store on {name}",
            ratios(found[name], found["bare"]),
            target=at_least(1.5),
            note=against(found[name], found["bare"], f"httpx.Client in {_THREADS} threads, storing nothing"),
        )


def rate(
    bench: Bench,
    server: Server,
    receiver: Receiver,
    requests: int,
    *,
    processes: int = 1,
    in_flight: int | None = None,
) -> float:
    """Return the deliveries a second, from the first request until the last is settled and logged."""
    store = bench.store(server)
    service = {"base_url": receiver.url, "max_concurrency": in_flight}
    path = sidecars.config(
        bench.folder, moodle=store, store=store, receiver=receiver.url, services={"crm": service}
    )
    with sidecars.opened(path, role="dispatch") as hub:
        # Due when all processes have started: what is measured is their work, not how they begin.
        queued.fill(hub.store, requests, now=hub.clock.now() + STARTED)
        receiver.reset()
        with sidecars.running(path, "--role", "dispatch", processes=processes):
            counted = receiver.wait_for(requests)
            ends = time.monotonic() + _LIMIT_S
            while queued.settled(hub.store) < requests:
                if time.monotonic() > ends:
                    raise TimeoutError(f"not all of {requests} deliveries were settled within {_LIMIT_S} s")
                time.sleep(0.01)
            counted = replace(counted, last=time.monotonic())
    if receiver.count().requests != requests:
        raise RuntimeError(f"{receiver.count().requests} requests came for {requests} deliveries")
    return counted.rate
