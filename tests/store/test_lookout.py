"""One look at all services: which are paused, how their circuits are, when something is due."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.model import Circuit, CircuitState
from sidecar.settings import Service
from sidecar.store import circuits, lookout, queue, services
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW, delivery
from tests.store.keeping import put, take


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    names = ["crm", "erp", "idle", "lms"]
    wanted = {name: Service.model_validate({"base_url": "https://x.example.org"}) for name in names}
    with made.write() as conn:
        services.sync(conn, wanted, now=NOW)
    yield made
    made.close()


def look(store: Store) -> lookout.Lookout:
    with store.read() as conn:
        return lookout.look(conn)


def test_due_is_the_earliest_of_each_service_that_nobody_has_in_hand(store: Store) -> None:
    put(store, 2, at=NOW + timedelta(seconds=3))
    with store.write() as conn:
        queue.enqueue(conn, [delivery(9)], now=NOW)
    put(store, 1, "erp", at=NOW - timedelta(seconds=1))
    put(store, 1, "lms")
    take(store, service="lms")

    assert look(store).due == {"crm": NOW, "erp": NOW - timedelta(seconds=1)}


def test_what_is_due_in_the_slow_lane_alone_is_found(store: Store) -> None:
    put(store, 1, slow=True)

    assert look(store).due == {"crm": NOW}


def test_pauses_and_circuits_are_seen_together(store: Store) -> None:
    opened = Circuit("erp", CircuitState.OPEN, 3, NOW, NOW, "no", NOW)
    with store.write() as conn:
        services.pause(conn, "crm", pause=True, now=NOW)
        circuits.save(conn, opened, now=NOW)

    seen = look(store)

    assert seen.paused == {"crm"}
    assert seen.circuits == {"erp": opened, **{name: Circuit(name) for name in ("crm", "idle", "lms")}}
