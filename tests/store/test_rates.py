"""The moments that all replicas share out among them: nobody gets one twice."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from sidecar.gateway.rate import free_slots
from sidecar.model import Circuit
from sidecar.store import circuits, rates
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    with made.write() as conn:
        circuits.create(conn, ["crm", "erp"], now=NOW)
    yield made
    made.close()


def test_what_was_taken_is_remembered_for_its_service_alone(store: Store) -> None:
    with store.write() as conn:
        assert rates.lock(conn, "crm") is None
        rates.take(conn, "crm", until=NOW + timedelta(microseconds=100_001))

    with store.write() as conn:
        assert rates.lock(conn, "crm") == NOW + timedelta(microseconds=100_001)
        assert rates.lock(conn, "erp") is None


def test_circuit_that_is_written_or_reset_gives_no_moment_out_again(store: Store) -> None:
    with store.write() as conn:
        rates.take(conn, "crm", until=NOW)
        circuits.save(conn, Circuit("crm", failures=2), now=NOW)
        circuits.reset(conn, ["crm"], now=NOW)

    with store.write() as conn:
        assert rates.lock(conn, "crm") == NOW


def test_replicas_that_ask_at_once_never_get_the_same_moment(store: Store) -> None:
    taken: list[datetime] = []
    at_once = threading.Barrier(6)

    def claim() -> None:
        at_once.wait(10)
        for _ in range(5):
            with store.write() as conn:
                slots = free_slots(rates.lock(conn, "crm"), 100, now=NOW, most=3)
                rates.take(conn, "crm", until=slots.moment(slots.count))
            taken.extend(slots.moment(number) for number in range(slots.count))

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == [NOW + timedelta(seconds=0.01 * number) for number in range(90)]
