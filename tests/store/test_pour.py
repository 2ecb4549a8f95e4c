"""Many rows go into a table at once, whatever is in them, all or none, and nobody's data into an error."""

import threading
from collections.abc import Iterator

import pytest
from sqlalchemy.exc import DataError, OperationalError

from sidecar.model import Delivery
from sidecar.store import queue
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW, delivery
from tests.store.keeping import put, rows, take
from tests.store.test_queue import AWKWARD

MANY = range(1, 31)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    yield made
    made.close()


def enqueue(store: Store, *deliveries: Delivery) -> None:
    with store.write() as conn:
        queue.enqueue(conn, deliveries, now=NOW)


def test_every_value_of_every_row_comes_back_as_it_went_in(store: Store) -> None:
    bodies = ["\\N", "\\.", "", None, "NULL", "'", "a\tb\\tc", "1\r\n2", "%s %(x)s %%", AWKWARD]
    many = [
        delivery(n, body=bodies[n % len(bodies)], headers={"X-A": AWKWARD} if n % 7 == 0 else {})
        for n in MANY
    ]

    enqueue(store, *many)

    assert [claimed.delivery for claimed in take(store)] == many


def test_of_many_rows_those_that_are_there_stay_as_they_are_and_the_others_go_in(store: Store) -> None:
    put(store, 3)
    take(store, 1)

    enqueue(store, *(delivery(n, body='"another"') for n in MANY))

    found = rows(store)
    assert [row.log_id for row in found] == list(MANY)
    assert [row.state for row in found[:4]] == ["sending", "pending", "pending", "pending"]
    assert [row.payload for row in found[2:4]] == ['{"n": 3}', '"another"']


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_value_that_is_too_long_is_refused_without_being_shown(store: Store) -> None:
    many = [delivery(n, content_type="secret" * 20 if n == 9 else None) for n in MANY]

    with pytest.raises(DataError) as refused:
        enqueue(store, *many)

    assert "secret" not in str(refused.value)
    assert rows(store) == []


def test_payloads_that_fill_several_statements_all_go_in(store: Store) -> None:
    bodies = ["é" * (400_000 if n % 9 == 0 else 40) for n in MANY]

    enqueue(store, *(delivery(n, body=body) for n, body in zip(MANY, bodies, strict=True)))

    assert [row.payload for row in rows(store)] == bodies


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
def test_a_deadlock_undoes_the_transaction_instead_of_writing_the_rest_of_it(store: Store) -> None:
    """The other one has written more, so it is ours that MariaDB undoes."""
    has_written, ours_has = threading.Event(), threading.Event()

    def cross() -> None:
        with store.write() as conn:
            queue.enqueue(conn, [delivery(n, "other") for n in range(100)], now=NOW)
            has_written.set()
            ours_has.wait()
            queue.enqueue(conn, [delivery(0, "ours")], now=NOW)

    other = threading.Thread(target=cross)
    other.start()
    has_written.wait()
    with store.write() as conn:
        queue.enqueue(conn, [delivery(0, "ours")], now=NOW)
        ours_has.set()
        with pytest.raises(OperationalError):
            queue.enqueue(conn, [delivery(0, "other"), *(delivery(n, "ours") for n in MANY)], now=NOW)
    other.join()

    assert sorted(row.delivery_id for row in rows(store) if row.service == "ours") == ["ours-0"]
    assert len(rows(store)) == 101
