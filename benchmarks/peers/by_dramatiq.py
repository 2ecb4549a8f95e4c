"""dramatiq on RabbitMQ; it has no results in a database, so its actor writes them. As a program it queues."""

import os
import sys
import threading

import dramatiq
import psycopg
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peers.client import post

dramatiq.set_broker(RabbitmqBroker(url=os.environ["BENCH_RABBITMQ"]))
_own = threading.local()


@dramatiq.actor
def send(body: str) -> None:
    """Send one request and record its status."""
    status = post(body)
    if not hasattr(_own, "conn"):
        _own.conn = psycopg.connect(os.environ["BENCH_POSTGRESQL"], autocommit=True)
    _own.conn.execute("INSERT INTO bench_results (status) VALUES (%s)", (status,))


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        send.send(sys.argv[2])
