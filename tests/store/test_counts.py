"""What became of rows, by the hour: one rule's alone, and only since a moment."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.store import counts
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW

HOUR = timedelta(hours=1)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    yield made
    made.close()


def test_the_hours_of_one_rule_are_told_in_order(store: Store) -> None:
    this = NOW.replace(minute=0, second=0, microsecond=0)
    with store.write() as conn:
        for back in (0, 1, 5):
            tally = Counter({("mine", "queued"): 3 + back, ("mine", "where"): 1, ("other", "queued"): 9})
            counts.add(conn, tally, now=NOW - back * HOUR)

    with store.read() as conn:
        found = counts.by_hour(conn, "mine", since=this - 2 * HOUR)

    assert list(found.items()) == [
        (this - HOUR, {"queued": 4, "where": 1}),
        (this, {"queued": 3, "where": 1}),
    ]
