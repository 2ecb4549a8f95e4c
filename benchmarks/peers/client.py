"""What all peers do: send with one httpx client per thread; who keeps no results writes a row."""

import os
import threading

import httpx
import psycopg

_own = threading.local()


def post(body: str) -> int:
    """Send the body and return the status."""
    if not hasattr(_own, "client"):
        headers = {"content-type": "application/json"}
        _own.client = httpx.Client(base_url=os.environ["BENCH_RECEIVER"], headers=headers)
    status: int = _own.client.post("/users", content=body).raise_for_status().status_code
    return status


def record(status: int) -> None:
    """Write the result down, in a transaction of its own."""
    if not hasattr(_own, "connection"):
        _own.connection = psycopg.connect(os.environ["BENCH_POSTGRESQL"], autocommit=True)
    _own.connection.execute("INSERT INTO bench_results (status) VALUES (%s)", (status,))
