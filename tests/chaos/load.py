"""Write Moodle's log as many web requests at once do: commits out of order, some undone."""

import itertools
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, insert, select
from sqlalchemy.exc import DBAPIError

from tests.rows import LOG, log_row

WANTED = r"\core\event\course_viewed"
UNWANTED = r"\core\event\course_category_viewed"
_UNWANTED_SHARE = 0.1
_LONGEST_STATEMENT = 20
_MOST_STATEMENTS = 4
_LONGEST_PAUSE_S = 0.05
_LONG_SHARE = 0.02
_LONG_S = 2.0


class Marks:
    """Numbers that tell rows apart whatever becomes of their ids: each row bears one as its objectid."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def row(self, chance: Random) -> dict[str, Any]:
        """Return a row with the next mark; one in ten is of an event that no rule names."""
        with self._lock:
            mark = next(self._numbers)
        name = UNWANTED if chance.random() < _UNWANTED_SHARE else WANTED
        return log_row(objectid=mark, eventname=name, timecreated=int(time.time()))


def wanted_marks(url: str) -> set[int]:
    """Return the marks of the rows that stand in the log and are to be delivered: the truth."""
    with create_engine(url, poolclass=NullPool).connect() as conn:
        return set(conn.scalars(select(LOG.c.objectid).where(LOG.c.eventname == WANTED)))


class Writers:
    """Threads that write until they are stopped or, with `enough`, until enough was written.

    A transaction is one to four inserts of up to twenty rows with pauses between, one in fifty is held open
    for up to two seconds; `undone` of them are rolled back. A database that is away is waited for: what was
    committed is then asked of the table.
    """

    def __init__(
        self,
        url: str,
        marks: Marks,
        seed: str,
        *,
        number: int = 4,
        rate: float = 200,
        enough: Callable[[int], bool] = lambda _: False,
        undone: float = 0.05,
    ) -> None:
        self._url, self._marks, self._undone, self._enough = url, marks, undone, enough
        self._pause_s = number / rate
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._written = 0
        self._threads = [
            threading.Thread(target=self._write, args=(Random(f"{seed}/{n}"),), name=f"writer-{n}")
            for n in range(number)
        ]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        """Wait until all have ended by themselves."""
        for thread in self._threads:
            thread.join()

    def _write(self, chance: Random) -> None:
        engine = create_engine(self._url, poolclass=NullPool)
        while not self._stop.is_set() and not self._enough(self._written):
            try:
                with engine.connect() as conn:
                    while not self._stop.is_set() and not self._enough(self._written):
                        self._transaction(conn, chance)
            except DBAPIError:
                self._stop.wait(0.1)

    def _transaction(self, conn: Connection, chance: Random) -> None:
        rows = 0
        with conn.begin() as transaction:
            for _ in range(chance.randint(1, _MOST_STATEMENTS)):
                piece = [self._marks.row(chance) for _ in range(chance.randint(1, _LONGEST_STATEMENT))]
                conn.execute(insert(LOG), piece)
                rows += len(piece)
                self._stop.wait(chance.uniform(0, _LONGEST_PAUSE_S))
            if chance.random() < _LONG_SHARE:
                self._stop.wait(chance.uniform(0, _LONG_S))
            if chance.random() < self._undone:
                transaction.rollback()
                return
        with self._lock:
            self._written += rows
        self._stop.wait(rows * self._pause_s * chance.uniform(0.5, 1.5))
