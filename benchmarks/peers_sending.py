"""The same work by the task queues that people use: Celery, dramatiq and procrastinate, each with httpx."""

import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import NullPool, create_engine, make_url, text

from benchmarks import dispatch, queued, usage, venv
from benchmarks.bench import Bench, fresh
from benchmarks.measure import Figure, against, alternate, at_least, ratios
from benchmarks.receiver import Receiver

_LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to run a peer: what its workers are started with, and how to count what it has recorded."""

    name: str
    module: str
    worker: tuple[str, ...]
    recorded: str


_CELERY = ("celery", "-A", "benchmarks.peers.by_celery", "worker", "--loglevel", "ERROR", "--without-mingle")
_WRITTEN = "SELECT COUNT(*) FROM bench_results"

PEERS = (
    Peer("Celery, 8 processes", "by_celery", (*_CELERY, "--concurrency", "8"), _WRITTEN),
    Peer("Celery, 32 threads", "by_celery", (*_CELERY, "--pool=threads", "--concurrency", "32"), _WRITTEN),
    Peer(
        "dramatiq, 2 processes of 16 threads",
        "by_dramatiq",
        ("dramatiq", "benchmarks.peers.by_dramatiq", "--processes", "2", "--threads", "16"),
        _WRITTEN,
    ),
    Peer(
        "procrastinate, 32 at once",
        "by_procrastinate",
        ("procrastinate", "--app", "benchmarks.peers.by_procrastinate.app", "worker", "--concurrency", "32"),
        "SELECT COUNT(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
    ),
)


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield what we send against the best of the peers, and what each of them does."""
    venv.program("python")
    requests = bench.pick(600, 1_500)
    memory: dict[str, float] = {}
    with Receiver() as receiver:
        contenders: dict[str, Callable[[], float]] = {
            peer.name: partial(rate, bench, peer, receiver, requests, memory) for peer in PEERS
        }
        ours = partial(dispatch.rate, bench, bench.postgresql, receiver, bench.pick(3_000, 8_000))
        two = partial(ours, processes=2)
        found = alternate(bench.rounds, {"ours": ours, "two": two, **contenders})
    best = max(contenders, key=lambda name: statistics.median(found[name]))
    for name, who, target in (("ours", "one process", at_least(4)), ("two", "two processes", None)):
        yield Figure(
            f"dispatch, 0 ms receiver, {who} against the best peer",
            ratios(found[name], found[best]),
            target=target,
            note=f"{against(found[name], found[best], best)}; our store and their results on PostgreSQL",
        )
    for name in contenders:
        yield Figure(f"peer: {name}", tuple(found[name]), unit="/s", note=f"{memory[name]:.0f} MB")


def rate(bench: Bench, peer: Peer, receiver: Receiver, requests: int, memory: dict[str, float]) -> float:
    """Return the requests a second of a peer, from the first until the last is recorded; note its memory."""
    with fresh(bench.postgresql) as results:
        variables = _variables(bench, results, receiver)
        _ask(results, "CREATE TABLE bench_results (id BIGSERIAL PRIMARY KEY, status INT NOT NULL)")
        queue = [venv.program("python"), "-m", f"benchmarks.peers.{peer.module}", str(requests), queued.BODY]
        subprocess.run(queue, env=variables, cwd=bench.folder, check=True, capture_output=True)
        receiver.reset()
        log = bench.folder / f"{peer.module}.log"
        with log.open("wb") as output:
            command = [venv.program(peer.worker[0]), *peer.worker[1:]]
            worker = subprocess.Popen(command, env=variables, cwd=bench.folder, stdout=output, stderr=output)
        try:
            counted = receiver.wait_for(requests, within_s=_LIMIT_S)
            _wait_until(results, peer.recorded, requests)
            memory.setdefault(peer.name, usage.proportional_mb(worker.pid))
            return replace(counted, last=time.monotonic()).rate
        except TimeoutError as late:
            raise TimeoutError(f"{peer.name}: {late}; it said: {log.read_text()[-500:]}") from late
        finally:
            worker.terminate()
            worker.wait()


def _variables(bench: Bench, results: str, receiver: Receiver) -> dict[str, str]:
    return venv.environment(
        BENCH_RECEIVER=receiver.url,
        BENCH_RABBITMQ=bench.rabbitmq.url(),
        BENCH_POSTGRESQL=make_url(results).set(drivername="postgresql").render_as_string(hide_password=False),
    )


def _wait_until(results: str, query: str, wanted: int) -> None:
    ends = time.monotonic() + _LIMIT_S
    while (found := _ask(results, query)) < wanted:
        if time.monotonic() > ends:
            raise TimeoutError(f"{found} of {wanted} results were recorded within {_LIMIT_S} s")
        time.sleep(0.02)


def _ask(url: str, query: str) -> int:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        found = conn.execute(text(query))
        return int(found.scalar_one()) if found.returns_rows else 0
