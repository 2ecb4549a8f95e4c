"""Where whoever follows the log writes each row's id and when it was seen, for the benchmark to read."""

import os
import time
from pathlib import Path

_file = Path(os.environ["BENCH_SEEN"]).open("w", encoding="ascii")  # noqa: SIM115 - open while we live


def seen(log_id: int) -> None:
    """Note a row."""
    print(log_id, time.monotonic(), file=_file, flush=True)
