"""Two real processes keep one rate limit, by the real clock."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from sidecar.clock import FakeClock, SystemClock
from sidecar.store import queue
from tests.bridge.dispatching import Post
from tests.databases import Database
from tests.deliveries import delivery
from tests.receiver import Receiver


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
def processes(
    database: Database, receiver: Receiver, tmp_path: Path
) -> Iterator[list[subprocess.Popen[bytes]]]:
    config = tmp_path / "sidecar.yaml"
    crm = {"base_url": receiver.url, "rate_limit": "10/s"}
    moodle, web = {"url": database.url}, {"enabled": False}  # two processes cannot listen on one port
    sections = {"site": "campus", "moodle": moodle, "services": {"crm": crm}, "web": web}
    config.write_text(yaml.safe_dump(sections))
    command = [sys.executable, "-m", "sidecar", "run", "--config", str(config), "--role", "dispatch"]
    made = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
    yield made
    for process in made:
        process.terminate()
    for process in made:
        process.wait(30)


def test_two_processes_send_ten_requests_a_second(
    post: Post, processes: list[subprocess.Popen[bytes]]
) -> None:
    with post.store.write() as conn:
        queue.enqueue(conn, [delivery(number) for number in range(1, 61)], now=post.clock.now())

    arrived = [one.at for one in post.receiver.wait_for(60, "/crm")]

    settled = arrived[10:]  # both are at work by then
    rate = (len(settled) - 1) / (settled[-1] - settled[0])
    assert 9 <= rate <= 11
    # Never more than eleven within a second, whichever second one looks at.
    assert all(later - first > 0.95 for first, later in zip(settled, settled[11:], strict=False))
    assert max(later - first for first, later in pairwise(settled)) < 0.5
    replicas = {row.replica for row in post.attempts()}
    assert len(replicas) == 2
