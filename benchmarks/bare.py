"""The bare loop to compare with: one `httpx.Client` per thread sends the same requests and stores nothing.

`python -m benchmarks.bare URL THREADS REQUESTS`, a process of its own as the sidecar is.
"""

import subprocess
import sys
import threading
from itertools import repeat

import httpx

from benchmarks.queued import BODY
from benchmarks.receiver import Receiver


def rate(receiver: Receiver, *, threads: int, requests: int) -> float:
    """Return how many requests a second such a loop makes."""
    receiver.reset()
    command = [sys.executable, "-m", "benchmarks.bare", receiver.url, str(threads), str(requests)]
    subprocess.run(command, check=True)
    return receiver.count().rate


def _send(url: str, requests: int) -> None:
    with httpx.Client(base_url=url) as client:
        for _ in repeat(None, requests):
            client.post(
                "/users", content=BODY, headers={"content-type": "application/json"}
            ).raise_for_status()


if __name__ == "__main__":
    url, threads, requests = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    senders = [threading.Thread(target=_send, args=(url, requests // threads)) for _ in range(threads)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
