"""Whether somebody who hammers the dashboard slows deliveries: `mih run` and a backlog, with and without.

Beside it, as a program, the clients that hammer: each asks for one page after the other without a pause.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks import machine, queued, sidecars
from benchmarks.bench import Bench, fresh, say
from benchmarks.measure import Figure, against, alternate, at_least, ratios, told
from benchmarks.receiver import Receiver
from benchmarks.servers import on_disk
from benchmarks.table import table
from sidecar.hub import Hub
from sidecar.store import services
from tests.acceptance.sidecar import eventually
from tests.process import free_port
from tests.servers import Server
from tests.web.people import Browser, add

PAGES = ("/", "/deliveries", "/services", "/log", "/rules", "/events", "/dead-letters", "/settings")
_SHARE = 0.9
_MANY = 100
_SOME = 10
_HAMMERING = 4  # words of the command line


@dataclass(frozen=True, slots=True)
class Hammered:
    """What the clients got: pages, how many came too often, and how long they waited for a page."""

    pages: int
    refused: int
    median_ms: float


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the share of its rate that the dispatch keeps, for some clients and for many."""
    for name, server in bench.databases:
        with _running(bench, server) as scene:
            scene.queue(bench.pick(1_000, 4_000))
            scene.send()  # the first are slower: nothing is warm
            for clients in (_SOME,) if bench.quick else (_SOME, _MANY):
                yield _figure(bench, name, scene, clients)


def _figure(bench: Bench, name: str, scene: "_Scene", clients: int) -> Figure:
    count, seen = bench.pick(5_000, 20_000), list[Hammered]()

    def beside() -> float:
        scene.queue(count)
        with scene.hammered(clients, seen):
            return scene.send()

    def alone() -> float:
        scene.queue(count)
        return scene.send()

    found = alternate(bench.rounds, {"alone": alone, "hammered": beside})
    pages, refused = sum(one.pages for one in seen), sum(one.refused for one in seen)
    return Figure(
        f"deliveries while {clients} clients hammer the dashboard, {name}",
        ratios(found["hammered"], found["alone"]),
        target=at_least(_SHARE),
        note=f"{against(found['hammered'], found['alone'], 'those alone')}; {pages:,} pages in"
        f" {told([one.median_ms for one in seen])} ms, {refused:,} times “too many”",
    )


@dataclass
class _Scene:
    """One sidecar that delivers to one receiver, and somebody who is signed in."""

    hub: Hub
    receiver: Receiver
    url: str
    cookie: str
    queued: int = 0
    waiting: int = 0

    def queue(self, count: int) -> None:
        """Pause the service and queue a backlog for it."""
        self._pause(on=True)
        queued.fill(self.hub.store, count, now=self.hub.clock.now(), first=self.queued)
        self.queued, self.waiting = self.queued + count, count

    def send(self) -> float:
        """Resume the service and return how many a second it got of the backlog."""
        self.receiver.reset()
        self._pause(on=False)
        rate = self.receiver.wait_for(self.waiting).rate
        eventually(lambda: queued.settled(self.hub.store) == self.queued)
        say(f"  {rate:,.0f}/s")
        return rate

    @contextmanager
    def hammered(self, clients: int, seen: list[Hammered]) -> Iterator[None]:
        """Let that many clients hammer; what they got is added to `seen`."""
        command = [sys.executable, "-m", "benchmarks.hammer", self.url, self.cookie, str(clients)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            process.stdout.readline()  # each client has had a page
            try:
                yield
            finally:
                said, _ = process.communicate("stop\n")
        seen.append(Hammered(**json.loads(said)))
        say(f"  {seen[-1]}")

    def _pause(self, *, on: bool) -> None:
        with self.hub.store.write() as conn:
            services.pause(conn, "crm", pause=on, now=self.hub.clock.now())


@contextmanager
def _running(bench: Bench, server: Server) -> Iterator[_Scene]:
    port = free_port()
    folder = bench.folder / f"hammer-{server.dialect}"
    folder.mkdir()
    with Receiver() as receiver, fresh(server, moodle=True) as moodle:
        config = sidecars.config(
            folder,
            moodle=moodle,
            store=bench.store(server),
            receiver=receiver.url,
            tail={"start": "latest"},
            web={"port": port},
        )
        url = f"http://127.0.0.1:{port}"
        with sidecars.opened(config) as hub, sidecars.running(config) as [sidecar]:
            add(hub.store, hub.clock, "ana", "manage")
            eventually(lambda: "web.listening" in sidecar.said)
            with closing(Browser(url)) as browser:
                browser.sign_in("ana")
                assert browser.is_in
                cookie = "; ".join(f"{one.name}={one.value}" for one in browser.client.cookies.jar)
            yield _Scene(hub, receiver, url, cookie)


class _Client(threading.Thread):
    """One connection that is never idle."""

    def __init__(self, address: str, cookie: str, first: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._wire = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
        self._headers = {"Cookie": cookie, "Accept": "text/html"}
        self._next, self._stop_now = first, stop
        self.took: list[float] = []
        self.refused = 0
        self.had_one = threading.Event()

    def run(self) -> None:
        while not self._stop_now.is_set():
            began = time.monotonic()
            status = self._ask(PAGES[self._next % len(PAGES)])
            self._next += 1
            if status == 503:
                self.refused += 1
            elif status == 200:
                self.took.append((time.monotonic() - began) * 1000)
            else:
                raise RuntimeError(f"a page answered {status}")
            self.had_one.set()

    def _ask(self, path: str) -> int:
        self._wire.request("GET", path, headers=self._headers)
        answer = self._wire.getresponse()
        answer.read()
        return answer.status


def _hammer(url: str, cookie: str, clients: int) -> None:
    stop = threading.Event()
    made = [_Client(url, cookie, number, stop) for number in range(clients)]
    for one in made:
        one.start()
    made[0].had_one.wait()
    _tell("under way")
    sys.stdin.readline()
    stop.set()
    took = sorted(ms for one in made for ms in list(one.took))
    median = took[len(took) // 2] if took else 0.0
    _tell({"pages": len(took), "refused": sum(one.refused for one in made), "median_ms": round(median, 1)})


def _tell(what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    """Measure alone: `python -m benchmarks.hammer [--quick]`."""
    on_disk()
    with Bench(quick="--quick" in sys.argv).closing() as bench:
        print(f"{table(measure(bench))}\n\n{machine.look()}")


if __name__ == "__main__":
    if len(sys.argv) == _HAMMERING:
        _hammer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main()
