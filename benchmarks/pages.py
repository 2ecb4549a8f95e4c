"""How fast the pages answer over a full store: `python -m benchmarks.pages --json pages.json`.

Starts MariaDB and PostgreSQL of its own, fills them, asks every page of the navigation and some filtered
lists, one after the other, and prints the 50th and 95th percentile in milliseconds.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import insert

from sidecar.clock import SystemClock
from sidecar.hub import Hub, load
from sidecar.store import stats, tables
from sidecar.store.engine import Database
from sidecar.store.latencies import Latencies
from sidecar.store.stats import Span, Tally
from sidecar.web.pages.register import tabs
from sidecar.web.server import Server
from tests import campus
from tests.databases import Databases
from tests.servers import MariaDB, PostgreSQL
from tests.web.people import Browser, add

SERVICES = [f"service-{number:02}" for number in range(50)]
MORE = (
    "/?span=1h",
    "/?span=7d",
    "/?span=30d",
    "/log?service=service-07",
    "/log?outcome=failed",
    "/log?status=418",
    "/log?error=nothing%20says%20this",
    "/log?within=1h",
    "/deliveries?service=service-07",
)
LIVE = ("/?span=24h", "/?part=charts&span=24h")
_AT_ONCE = 5_000
_KEPT = {Span.MINUTE: 120, Span.TEN: 288, Span.HOUR: 192, Span.QUARTER: 124, Span.DAY: 31}


def fill(store: Database, *, tries: int, queued: int, now: datetime) -> None:
    """Fill the request log, the queue and the statistics as a busy month would."""
    dice = random.Random(1)
    _insert(store, tables.log, tries, lambda number: _tried(dice, now, number, tries))
    _insert(store, tables.queue, queued, lambda number: _queued(now, number))
    for span, count in _KEPT.items():
        for step in range(count):
            begins = span.floor(now) - step * span.length
            with store.write() as conn:
                stats.save(conn, span, begins, [_tally(dice, name) for name in SERVICES])


def _insert(store: Database, table: Any, count: int, make: Callable[[int], dict[str, Any]]) -> None:
    for start in range(0, count, _AT_ONCE):
        rows = [make(number) for number in range(start, min(start + _AT_ONCE, count))]
        with store.write() as conn:
            conn.execute(insert(table), rows)


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


def _queued(now: datetime, number: int) -> dict[str, Any]:
    return {
        "delivery_id": f"queued-{number:012}",
        "rule": f"rule-{number % 20}",
        "service": SERVICES[number % 50],
        "event": r"\core\event\user_created",
        "log_id": number,
        "method": "POST",
        "endpoint": f"/users/{number}",
        "payload": json.dumps({"id": number, "name": "x" * 300}),
        "content_type": "application/json",
        "state": "pending",
        "attempts": 0,
        "due_at": now + timedelta(hours=1),
        "created_at": now,
    }


def _tally(dice: random.Random, service: str) -> Tally:
    buckets = {number: dice.randrange(1, 50) for number in range(30, 50)}
    n = sum(buckets.values())
    return Tally(service, n, n // 50, 0, Latencies(n * 50.0, buckets))


def measure(browser: Browser, path: str, times: int, **headers: str) -> dict[str, Any]:
    """Ask for one page so many times; return what it took in milliseconds."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        answer = browser.get(path, **headers)
        took.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(took, n=20)
    return {
        "path": path,
        "status": answer.status_code,
        "p50_ms": round(cuts[9], 1),
        "p95_ms": round(cuts[18], 1),
    }


def of_server(server: Databases, wanted: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Fill one server and measure all pages on it."""
    name, moodle = server.fresh_name("pages"), server.fresh_name("campus")
    server.create_database(name)
    server.create_database(moodle, copy_of=server.template("moodle", campus.load))
    config = {
        "site": "campus",
        "moodle": {"url": server.url(moodle)},
        "store": {"url": server.url(name)},
        "services": {one: {"base_url": f"https://{one}.example.org", "enabled": False} for one in SERVICES},
        "rules": [{"name": "new", "event": r"\core\event\user_created", "service": SERVICES[0]}],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sidecar.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        loaded = load(path, {})
        hub = Hub(loaded.settings, loaded.book, role="dispatch", clock=SystemClock(), source=loaded.source)
        hub.open()
        fill(hub.store, tries=wanted.tries, queued=wanted.queued, now=hub.clock.now())
        listener = Server(hub, pulse=lambda: None, port=0)
        listener.start()
        add(hub.store, hub.clock, "ana", "manage")
        browser = Browser(listener.url)
        browser.sign_in("ana")
        for page in (*(tab.path for tab in tabs()), *MORE):
            yield {"database": server.dialect, **measure(browser, page, wanted.times)}
        for part in LIVE:
            found = measure(browser, part, wanted.times, **{"HX-Request": "true"})
            yield {"database": server.dialect, **found, "path": f"{part} (part)"}
        browser.close()
        listener.stop()
        hub.close()


def main() -> None:
    """Measure on both servers, print a table, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=1_000_000, help="rows of the request log")
    parser.add_argument("--queued", type=int, default=100_000, help="deliveries that wait")
    parser.add_argument("--times", type=int, default=50, help="requests of each page")
    parser.add_argument("--json", type=Path, help="write the figures there")
    wanted = parser.parse_args()
    found = []
    for server in (MariaDB(), PostgreSQL()):
        server.start()
        try:
            for one in of_server(server, wanted):
                found.append(one)
                print(
                    f"{one['database']:11} {one['p50_ms']:7} {one['p95_ms']:7} {one['status']} {one['path']}",
                    flush=True,
                )
        finally:
            server.close()
    if wanted.json:
        wanted.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
