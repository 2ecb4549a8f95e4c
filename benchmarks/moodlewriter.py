"""Rows written into Moodle's log as Moodle does it: many in one INSERT, committed, their ids remembered."""

import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from benchmarks.moodlelog import TABLE, kinds
from benchmarks.tail import raw_connection


class Writer:
    """One session of Moodle that writes into its log: rows that the rule wants, or rows of all kinds."""

    def __init__(self, url: str, *, wanted: bool) -> None:
        self._connection = raw_connection(url)
        some = kinds()[: 2 if wanted else None]
        rows = [{name: row[name] for name in row if name != "id"} for row in some]
        self._rows: Iterator[dict[str, Any]] = cycle(rows)
        self._columns = list(rows[0])
        self._first: int | None = None

    def write(self, rows: int) -> tuple[range, float]:
        """Write so many rows in one statement; return their ids and when they were committed."""
        now = int(time.time())
        values = [row | {"timecreated": now} for row, _ in zip(self._rows, range(rows), strict=False)]
        one = f"({', '.join(['%s'] * len(self._columns))})"
        query = (
            f"INSERT INTO {TABLE} ({', '.join(self._columns)}) VALUES {', '.join([one] * rows)} RETURNING id"
        )
        with self._connection.cursor() as cursor:
            cursor.execute(query, [row[name] for row in values for name in self._columns])
            ids = [found[0] for found in cursor.fetchall()]
        self._first = min(ids[0], self._first or ids[0])
        return range(ids[0], ids[-1] + 1), time.monotonic()

    def close(self) -> None:
        """Take back what was written, since others read the same log, and end the session."""
        if self._first:
            with self._connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {TABLE} WHERE id >= %s", (self._first,))
        self._connection.close()
