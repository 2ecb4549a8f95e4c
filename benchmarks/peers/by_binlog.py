"""mysql-replication: follows MariaDB's binlog as a replica would."""

import json
import os

from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from benchmarks.peers.seen import seen

stream = BinLogStreamReader(
    connection_settings=json.loads(os.environ["BENCH_CONNECTION"]),
    server_id=4711,
    blocking=True,
    only_events=[WriteRowsEvent],
    only_tables=["mdl_logstore_standard_log"],
    is_mariadb=True,
    log_file=os.environ["BENCH_LOG_FILE"],
    log_pos=int(os.environ["BENCH_LOG_POS"]),
    resume_stream=True,
)
for event in stream:
    for row in event.rows:
        seen(row["values"]["id"])
