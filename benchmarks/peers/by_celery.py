"""Celery on RabbitMQ, acknowledged after the work. As a program it queues tasks.

Its own results in a database take three statements each and halve its rate: one row each is written instead.
"""

import os
import sys

from celery import Celery

from benchmarks.peers.client import post, record

app = Celery("bench", broker=os.environ["BENCH_RABBITMQ"])
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_hijack_root_logger=False)


@app.task(name="send")
def send(body: str) -> None:
    """Send one request and record its status."""
    record(post(body))


if __name__ == "__main__":
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(int(sys.argv[1])):
            send.apply_async((sys.argv[2],), producer=producer)
