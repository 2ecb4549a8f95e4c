"""dramatiq on RabbitMQ; it keeps no results in a database: its actor writes a row. As a program it queues."""

import os
import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peers.client import post, record

dramatiq.set_broker(RabbitmqBroker(url=os.environ["BENCH_RABBITMQ"]))


@dramatiq.actor
def send(body: str) -> None:
    """Send one request and record its status."""
    record(post(body))


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        send.send(sys.argv[2])
