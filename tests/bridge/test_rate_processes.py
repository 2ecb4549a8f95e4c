"""Two real processes keep one rate limit, by the real clock."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import yaml

from sidecar.clock import FakeClock, SystemClock
from sidecar.store import queue
from tests.acceptance.sidecar import eventually
from tests.bridge.dispatching import Post
from tests.databases import Database
from tests.deliveries import delivery
from tests.receiver import Receiver

TOKEN = "call-token-of-some-length"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def post(database: Database, receiver: Receiver) -> Iterator[Post]:
    made = Post(database.url, FakeClock(SystemClock().now()), receiver)
    yield made
    made.close()


@pytest.fixture
def ports() -> list[int]:
    """A free port for each process: two cannot listen on one."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return [one.getsockname()[1], other.getsockname()[1]]


@pytest.fixture
def processes(
    database: Database, receiver: Receiver, tmp_path: Path, ports: list[int]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two sidecars on one store, each with a port of its own."""
    made = []
    for port in ports:
        config = tmp_path / f"sidecar-{port}.yaml"
        crm = {"base_url": receiver.url, "rate_limit": "10/s", "max_concurrency": 20}
        web = {"port": port, "tokens": [{"name": "plugin", "token": TOKEN, "role": "call"}]}
        moodle = {"url": database.url}
        sections = {"site": "campus", "moodle": moodle, "services": {"crm": crm}, "web": web}
        config.write_text(yaml.safe_dump(sections))
        command = [sys.executable, "-m", "sidecar", "run", "--config", str(config), "--role", "dispatch"]
        made.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    for port in ports:
        eventually(lambda port=port: listens(port))  # type: ignore[misc]
    yield made
    for process in made:
        process.terminate()
    for process in made:
        process.wait(30)


def test_two_processes_send_ten_requests_a_second(
    post: Post, processes: list[subprocess.Popen[bytes]]
) -> None:
    with post.store.write() as conn:
        queue.enqueue(conn, [delivery(number) for number in range(1, 51)], now=post.clock.now())

    arrived = [one.at for one in post.receiver.wait_for(50, "/crm")]

    assert_ten_a_second(arrived)
    replicas = {row.replica for row in post.attempts()}
    assert len(replicas) == 2


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_direct_calls_to_both_processes_go_by_the_same_limit(
    post: Post, processes: list[subprocess.Popen[bytes]], ports: list[int]
) -> None:
    with post.store.write() as conn:
        queue.enqueue(conn, [delivery(number) for number in range(1, 61)], now=post.clock.now())
    post.receiver.wait_for(1)
    over = threading.Event()
    callers = [threading.Thread(target=call_until, args=(over, port)) for port in ports for _ in range(2)]
    for caller in callers:
        caller.start()

    arrived = post.receiver.wait_for(70)
    over.set()
    for caller in callers:
        caller.join()

    assert_ten_a_second([one.at for one in arrived[:70]])
    direct = sum(one.target == "/direct" for one in arrived[:70])
    assert 10 <= direct <= 60  # both the queue and the callers had their share


def listens(port: int) -> bool:
    """Whether a sidecar answers there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def call_until(over: threading.Event, port: int) -> None:
    """Call the service through one sidecar's API, one call after the other."""
    url = f"http://127.0.0.1:{port}/api/v1/services/crm/request"
    with httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20) as client:
        while not over.is_set():
            told = client.post(url, json={"endpoint": "/direct"}).json()
            assert told["ok"], told


def assert_ten_a_second(arrived: list[float]) -> None:
    """Look at what came after the first ten: by then both are at work."""
    settled = arrived[10:]
    rate = (len(settled) - 1) / (settled[-1] - settled[0])
    assert 9 <= rate <= 11
    # Never more than eleven within a second, whichever second one looks at.
    assert all(later - first > 0.95 for first, later in zip(settled, settled[11:], strict=False))
    assert max(later - first for first, later in pairwise(settled)) < 0.5
