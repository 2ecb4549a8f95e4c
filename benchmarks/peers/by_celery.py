"""Celery on RabbitMQ: acknowledged after the work, results in PostgreSQL. As a program it queues tasks."""

import os
import sys

from celery import Celery

from benchmarks.peers.client import post

app = Celery("bench", broker=os.environ["BENCH_RABBITMQ"], backend=os.environ["BENCH_RESULTS"])
app.conf.update(task_acks_late=True, worker_hijack_root_logger=False)


@app.task(name="send")
def send(body: str) -> int:
    """Send one request; Celery records what it returns."""
    return post(body)


if __name__ == "__main__":
    with app.producer_pool.acquire(block=True) as producer:
        for _ in range(int(sys.argv[1])):
            send.apply_async((sys.argv[2],), producer=producer)
