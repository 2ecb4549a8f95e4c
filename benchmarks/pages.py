"""How fast the pages answer over a full store: a million tries and log rows, 100,000 deliveries, 50 services.

Every page of the navigation, filtered lists, single objects and the parts that htmx asks for, one after the
other; `python -m benchmarks.pages` prints each of them.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Table, text

from benchmarks import machine, moodlelog, sidecars
from benchmarks.bench import Bench, fresh
from benchmarks.measure import Figure, at_most
from benchmarks.servers import on_disk
from sidecar.model import Circuit, CircuitState, DeadLetter, DeadReason, Delivery
from sidecar.store import circuits, queue, services, stats, tables
from sidecar.store.dialect import insert_new
from sidecar.store.engine import Database
from sidecar.store.latencies import Latencies
from sidecar.store.stats import Span, Tally
from sidecar.web.lately import Fortunes
from sidecar.web.pages.register import tabs
from sidecar.web.server import Server
from tests.servers import Server as DatabaseServer
from tests.web.people import Browser, add

SERVICES = [f"service-{number:02}" for number in range(50)]
MORE = (
    "/?span=1h",
    "/?span=7d",
    "/?span=30d",
    "/services/service-07",
    "/services?state=ill",
    "/rules/rule-7",
    "/events?event=user_created",
    "/events?event=nothing_is_called_so",
    "/events?user=7",
    "/events?course=7",
    "/events/471",
    "/deliveries?service=service-07",
    "/deliveries?state=dead",
    "/deliveries?event=nothing_is_called_so",
    "/deliveries/4711",
    "/dead-letters?service=service-07",
    "/dead-letters?error=nothing%20says%20this",
    "/log?service=service-07",
    "/log?outcome=failed",
    "/log?status=418",
    "/log?error=nothing%20says%20this",
    "/log?within=1h",
    "/log?before=500000",
    "/log/4711",
    "/audit?object=" + quote("service service-07"),
)
PARTS = ("/?span=24h", "/?part=charts&span=24h", "/services", "/deliveries", "/log")
ANEW = ("/", "/services", "/deliveries")
_LIMIT_MS = 100
_AT_ONCE = 5_000
_DEAD = 5_000
_KEPT = {Span.MINUTE: 120, Span.TEN: 288, Span.HOUR: 192, Span.QUARTER: 124, Span.DAY: 31}


@dataclass(frozen=True, slots=True)
class Size:
    """How full everything is, and how often each page is asked for."""

    rows: int = 1_000_000
    tries: int = 1_000_000
    queued: int = 100_000
    times: int = 50


@dataclass(frozen=True, slots=True)
class Timed:
    """One page, in milliseconds. `anew`: nothing of what is kept for a moment could be used."""

    path: str
    status: int
    p50_ms: float
    p95_ms: float
    most_ms: float
    anew: bool = False


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the 95th percentile of the slowest page on each database."""
    quick = Size(rows=50_000, tries=50_000, queued=20_000, times=15)
    for name, server in bench.databases:
        found = list(of_server(bench, server, quick if bench.quick else Size()))
        yield from _figures(name, found)


def _figures(name: str, found: list[Timed]) -> Iterator[Figure]:
    for anew, what in ((False, "slowest page"), (True, "slowest page, nothing counted before")):
        some = sorted((one for one in found if one.anew is anew), key=lambda one: one.p95_ms)
        usual = statistics.median(one.p50_ms for one in some)
        note = f"{some[-1].path}; {len(some)} pages, half of them in {usual:.0f} ms or less"
        target = None if anew else at_most(_LIMIT_MS)
        yield Figure(f"{what}, p95, {name}", (some[-1].p95_ms,), "ms", target, note)


def of_server(bench: Bench, server: DatabaseServer, size: Size) -> Iterator[Timed]:
    """Fill one server and measure all pages on it."""
    with ExitStack() as stack:
        moodle = stack.enter_context(fresh(server, moodle=True))
        moodlelog.fill(moodle, size.rows)
        folder = bench.folder / f"pages-{server.dialect}"
        folder.mkdir()
        config = sidecars.config(
            folder,
            moodle=moodle,
            store=bench.store(server),
            receiver="",
            services={name: {"base_url": f"https://{name}.example.org"} for name in SERVICES},
            rules=[rule(number) for number in range(20)],
        )
        hub = stack.enter_context(sidecars.opened(config, role="dispatch"))
        fill(hub.store, size, now=hub.clock.now())
        listener = Server(hub, pulse=lambda: None, port=0)
        listener.start()
        stack.callback(listener.stop)
        add(hub.store, hub.clock, "ana", "manage")
        browser = stack.enter_context(closing(Browser(listener.url)))
        browser.sign_in("ana")
        yield from _all(browser, listener, size.times)


def _all(browser: Browser, listener: Server, times: int) -> Iterator[Timed]:
    for path in (*(tab.path for tab in tabs()), *MORE):
        yield _timed(browser, path, times)
    for path in PARTS:
        yield _timed(browser, path, times, part=True)
    for path in ANEW:
        yield _timed(browser, path, times, before=lambda: _forget(listener))


def _timed(
    browser: Browser, path: str, times: int, *, part: bool = False, before: Callable[[], None] | None = None
) -> Timed:
    headers = {"HX-Request": "true"} if part else {}
    took = []
    browser.get(path, **headers)  # the first time its template is compiled
    for _ in range(times):
        if before:
            before()
        began = time.perf_counter()
        answer = browser.get(path, **headers)
        took.append((time.perf_counter() - began) * 1000)
    cuts = [round(cut, 1) for cut in statistics.quantiles(took, n=20)]
    name = f"{path} (part)" if part else f"{path} (anew)" if before else path
    return Timed(name, answer.status_code, cuts[9], cuts[18], round(max(took), 1), before is not None)


def _forget(listener: Server) -> None:
    listener._desk.owings.forget()
    listener._desk.fortunes = Fortunes()


def rule(number: int) -> dict[str, Any]:
    """Return one of the rules that the deliveries are of."""
    return {"name": f"rule-{number}", "event": r"\core\event\user_created", "service": SERVICES[number]}


def fill(store: Database, size: Size, *, now: datetime) -> None:
    """Fill the request log, the queue, the dead letters and the statistics as a busy month would."""
    dice = random.Random(1)
    _insert(store, tables.log, size.tries, lambda number: _tried(dice, now, number, size.tries))
    for start in range(0, size.queued, _AT_ONCE):
        with store.write() as conn:
            queue.enqueue(
                conn, [_delivery(number, now) for number in range(start, start + _AT_ONCE)], now=now
            )
    with store.write() as conn:
        letters = [_letter(size.queued + number, now) for number in range(_DEAD)]
        queue.enqueue_dead(conn, letters, now=now)
        _be_ill(conn, now)
        for span, count in _KEPT.items():
            for step in range(count):
                begins = span.floor(now) - step * span.length
                stats.save(conn, span, begins, [_tally(dice, name) for name in SERVICES])
    _look_over(store)


def _be_ill(conn: Any, now: datetime) -> None:
    for name in SERVICES[:3]:
        opened = Circuit(name, CircuitState.OPEN, 5, now, now + timedelta(hours=1), "HTTP 503", now)
        circuits.save(conn, opened, now=now)
    for name in SERVICES[3:6]:
        services.pause(conn, name, pause=True, now=now)


def _look_over(store: Database) -> None:
    """Have the server count its rows, as it does by itself after a while."""
    names = ", ".join(one.name for one in (tables.log, tables.queue, tables.dlq, tables.stats))
    with store.read() as conn:
        conn.execute(
            text(f"ANALYZE TABLE {names}" if store.dialect == "mysql" else f"VACUUM ANALYZE {names}")
        )


def _insert(store: Database, table: Table, count: int, make: Callable[[int], dict[str, Any]]) -> None:
    for start in range(0, count, _AT_ONCE):
        rows = [make(number) for number in range(start, min(start + _AT_ONCE, count))]
        with store.write() as conn:
            insert_new(conn, table, rows)


def _tried(dice: random.Random, now: datetime, number: int, count: int) -> dict[str, Any]:
    failed = number % 50 == 0
    return {
        "delivery_id": f"delivery-{number:012}",
        "rule": f"rule-{number % 20}",
        "service": SERVICES[number % 50],
        "method": "POST",
        "endpoint": f"/users/{number}",
        "attempt": 1,
        "outcome": "failed" if failed else "delivered",
        "status": 503 if failed else 201,
        "latency_ms": round(dice.lognormvariate(4, 0.5), 1),
        "error": "HTTP 503: upstream is away" if failed else None,
        "response": "upstream is away, try again later " * 10 if failed else None,
        "replica": "box-7",
        "created_at": now - timedelta(days=30) * ((count - number) / count),
    }


def _delivery(number: int, now: datetime) -> Delivery:
    return Delivery(
        delivery_id=f"queued-{number:012}",
        rule=f"rule-{number % 20}",
        rule_version="v1",
        service=SERVICES[number % 50],
        event=r"\core\event\user_created",
        log_id=number + 1,
        method="POST",
        endpoint=f"/users/{number}",
        body=json.dumps({"id": number, "name": "x" * 300}),
        content_type="application/json",
        created_at=now,
    )


def _letter(number: int, now: datetime) -> DeadLetter:
    reason, status = (DeadReason.REJECTED, 422) if number % 3 else (DeadReason.EXHAUSTED, 503)
    return DeadLetter(_delivery(number, now), reason, f"HTTP {status}: no", status=status, attempts=4)


def _tally(dice: random.Random, service: str) -> Tally:
    buckets = {number: dice.randrange(1, 50) for number in range(30, 50)}
    n = sum(buckets.values())
    return Tally(service, n, n // 50, 0, Latencies(n * 50.0, buckets))


def main() -> None:
    """Measure on both servers, print every page, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", type=Path, help="write the figures there")
    wanted = parser.parse_args()
    size = Size(**{name: getattr(wanted, name) for name in asdict(Size())})
    on_disk()
    found: dict[str, list[Timed]] = {}
    with Bench().closing() as bench:
        for database, server in bench.databases:
            found[database] = []
            for one in of_server(bench, server, size):
                found[database].append(one)
                line = f"{database:10} {one.p50_ms:7} {one.p95_ms:7} {one.most_ms:7} {one.status} {one.path}"
                print(line, flush=True)
    print(machine.look())
    if wanted.json:
        told = {name: [asdict(one) for one in some] for name, some in found.items()}
        wanted.json.write_text(json.dumps(told, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
