"""From a row's commit in Moodle's log to its request at the receiver, through one `mih run`."""

import json
import math
import random
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks import sidecars
from benchmarks.bench import Bench, fresh
from benchmarks.measure import Figure, Target, at_most
from benchmarks.moodlewriter import Writer
from benchmarks.receiver import Receiver
from tests.servers import Server

_FASTEST_S = 0.02
_EACH_S = 0.4  # between two rows, on average; no multiple of the poll
_PER_STATEMENT = 20


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long rows took, in milliseconds."""

    p50: float
    p99: float


def measure(bench: Bench) -> Iterator[Figure]:
    """Yield the latencies at low load and at half of the capacity."""
    name, server = "MariaDB", bench.mariadb
    rows = bench.pick(12, 20)
    with Receiver() as receiver, fresh(server, moodle=True) as moodle:
        with _walking(bench, server, moodle, receiver) as writer:
            slow = [low_load(writer, receiver, rows) for _ in range(bench.rounds)]
            capacity = capacity_of(writer, receiver, bench.pick(2_000, 5_000))
            half = [loaded(writer, receiver, capacity / 2, bench.pick(3, 6)) for _ in range(bench.rounds)]
        with _walking(bench, server, moodle, receiver, tail={"poll": _FASTEST_S}) as writer:
            fast = [low_load(writer, receiver, rows) for _ in range(bench.rounds)]
    yield from _told(f"commit to request, low load, {name}", slow, at_most(300), at_most(600))
    yield from _told(f"the same, polled every {_FASTEST_S * 1000:g} ms", fast, at_most(50), None)
    yield Figure(
        f"whole walk, row committed to HTTP 200, {name}", (capacity,), unit="/s", note="the capacity"
    )
    yield from _told(f"commit to request at half of it ({capacity / 2:,.0f}/s)", half, None, None)


def low_load(writer: Writer, receiver: Receiver, rows: int) -> Latencies:
    """Write a row now and then; the pauses differ, so that they hit no beat of the poll."""
    dice = random.Random(1)
    receiver.reset(keep=True)
    committed: dict[int, float] = {}
    for _ in range(rows):
        time.sleep(dice.uniform(0.5, 1.5) * _EACH_S)
        ids, at = writer.write(1)
        committed[ids[0]] = at
    return _latencies(receiver, committed)


def capacity_of(writer: Writer, receiver: Receiver, rows: int) -> float:
    """Return the rows a second that are read, queued, sent and answered while there are more."""
    receiver.reset()
    for _ in range(0, rows, 1_000):
        writer.write(1_000)
    return receiver.wait_for(rows).rate


def loaded(writer: Writer, receiver: Receiver, rate: float, seconds: float) -> Latencies:
    """Write at a steady rate, many rows a statement as Moodle does."""
    receiver.reset(keep=True)
    committed: dict[int, float] = {}
    began = time.monotonic()
    for number in range(math.ceil(rate * seconds / _PER_STATEMENT)):
        time.sleep(max(began + number * _PER_STATEMENT / rate - time.monotonic(), 0))
        ids, at = writer.write(_PER_STATEMENT)
        committed |= dict.fromkeys(ids, at)
    return _latencies(receiver, committed)


@contextmanager
def _walking(
    bench: Bench, server: Server, moodle: str, receiver: Receiver, **sections: Any
) -> Iterator[Writer]:
    """Yield a writer into a log that a sidecar with default settings follows."""
    store = bench.store(server)
    path = sidecars.config(
        bench.folder, moodle=moodle, store=store, receiver=receiver.url, **({"tail": {}} | sections)
    )
    with closing(Writer(moodle, wanted=True)) as writer, sidecars.running(path):
        receiver.reset()
        while not receiver.count().requests:  # it begins at the end of the log, once it is up
            writer.write(1)
            time.sleep(0.2)
        time.sleep(2)
        yield writer


def _latencies(receiver: Receiver, committed: dict[int, float]) -> Latencies:
    receiver.wait_for(len(committed))
    arrived = {json.loads(body)["id"]: at for at, body in receiver.kept()}
    took = sorted((arrived[log_id] - at) * 1000 for log_id, at in committed.items())
    return Latencies(took[len(took) // 2], took[min(len(took) * 99 // 100, len(took) - 1)])


def _told(what: str, found: list[Latencies], p50: Target | None, p99: Target | None) -> Iterator[Figure]:
    yield Figure(f"{what}: p50", tuple(one.p50 for one in found), unit="ms", target=p50)
    yield Figure(f"{what}: p99", tuple(one.p99 for one in found), unit="ms", target=p99)
