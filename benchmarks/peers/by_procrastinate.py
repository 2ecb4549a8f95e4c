"""procrastinate on PostgreSQL: a job's row says whether it has succeeded. As a program it queues."""

import os
import sys

import procrastinate

from benchmarks.peers.client import post

_connector = procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_POSTGRESQL"], max_size=10)
app = procrastinate.App(connector=_connector)


@app.task(name="send")
def send(body: str) -> int:
    """Send one request."""
    return post(body)


if __name__ == "__main__":
    with app.open():
        app.schema_manager.apply_schema()
        send.batch_defer(*({"body": sys.argv[2]} for _ in range(int(sys.argv[1]))))
