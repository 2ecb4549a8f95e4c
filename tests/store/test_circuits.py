"""The circuits that all replicas share: one row, one probe."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.model import Circuit, CircuitState
from sidecar.store import circuits
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW

OPEN = Circuit(
    "crm", CircuitState.OPEN, 5, NOW, NOW + timedelta(seconds=30), "answered 503 😀", NOW, failed_probes=3
)
COUNTING = Circuit("erp", window_at=NOW, window_requests=12, window_failures=5)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    yield made
    made.close()


def keep(store: Store, circuit: Circuit) -> None:
    with store.write() as conn:
        circuits.lock(conn, [circuit.service], now=NOW)
        circuits.save(conn, circuit, now=NOW)


def load(store: Store) -> dict[str, Circuit]:
    with store.read() as conn:
        return circuits.load_all(conn)


def test_circuit_comes_back_as_it_was_saved(store: Store) -> None:
    keep(store, OPEN)
    keep(store, COUNTING)

    assert load(store) == {"crm": OPEN, "erp": COUNTING}


def test_lock_makes_what_is_missing_and_keeps_what_is_there(store: Store) -> None:
    keep(store, OPEN)

    with store.write() as conn:
        found = circuits.lock(conn, ["erp", "crm", "erp"], now=NOW)

    assert found == {"crm": OPEN, "erp": Circuit("erp")}
    assert load(store) == found


def test_locks_of_two_replicas_lose_no_failure(store: Store) -> None:
    at_once = threading.Barrier(8)

    def count_up() -> None:
        at_once.wait(10)
        for _ in range(5):
            with store.write() as conn:
                found = circuits.lock(conn, ["crm"], now=NOW)["crm"]
                circuits.save(conn, Circuit("crm", failures=found.failures + 1), now=NOW)

    threads = [threading.Thread(target=count_up) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert load(store)["crm"].failures == 40


@pytest.mark.parametrize("after_s", [30, 31, 86_400])
def test_probe_is_taken_once_when_the_cooldown_is_over(store: Store, after_s: int) -> None:
    keep(store, OPEN)
    now = NOW + timedelta(seconds=after_s)

    with store.write() as conn:
        taken = [circuits.take_probe(conn, "crm", now=now, wait_s=15) for _ in range(3)]

    assert taken == [True, False, False]
    circuit = load(store)["crm"]
    assert (circuit.state, circuit.probe_at, circuit.failures) == (
        "half_open",
        now + timedelta(seconds=15),
        5,
    )


def test_probe_is_not_taken_before_its_time_or_from_a_closed_circuit(store: Store) -> None:
    keep(store, OPEN)
    keep(store, Circuit("erp"))

    with store.write() as conn:
        early = circuits.take_probe(conn, "crm", now=NOW + timedelta(seconds=29.999), wait_s=15)
        closed = circuits.take_probe(conn, "erp", now=NOW, wait_s=15)
        unknown = circuits.take_probe(conn, "lms", now=NOW, wait_s=15)

    assert (early, closed, unknown) == (False, False, False)


def test_twenty_replicas_take_one_probe_per_cooldown(store: Store) -> None:
    keep(store, OPEN)
    wins: list[int] = []
    at_once = threading.Barrier(20)

    def compete() -> None:
        for number in range(1, 4):
            at_once.wait(10)
            with store.write() as conn:
                now = NOW + timedelta(seconds=30 * number)
                if circuits.take_probe(conn, "crm", now=now, wait_s=30):
                    wins.append(number)

    threads = [threading.Thread(target=compete) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wins == [1, 2, 3]


def test_probe_of_a_dead_holder_can_be_taken_again(store: Store) -> None:
    keep(store, OPEN)

    with store.write() as conn:
        first = circuits.take_probe(conn, "crm", now=NOW + timedelta(seconds=30), wait_s=15)
        waiting = circuits.take_probe(conn, "crm", now=NOW + timedelta(seconds=44), wait_s=15)
        second = circuits.take_probe(conn, "crm", now=NOW + timedelta(seconds=45), wait_s=15)

    assert (first, waiting, second) == (True, False, True)


def test_reset_closes_what_is_not_closed(store: Store) -> None:
    keep(store, OPEN)
    keep(store, Circuit("erp"))

    with store.write() as conn:
        changed = circuits.reset(conn, ["crm", "erp", "lms"], now=NOW)

    assert changed == 1
    circuit = load(store)["crm"]
    assert (circuit.state, circuit.failures, circuit.probe_at, circuit.opened_at) == ("closed", 0, None, None)
    assert circuit.last_error == "answered 503 😀"
    assert circuit.failed_probes == 0
