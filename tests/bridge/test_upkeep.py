"""Old things go, in small pieces; what waits or is dead stays."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from sidecar import upkeep
from sidecar.clock import FakeClock, SystemClock
from sidecar.model import Claimed, Decision, Settlement, Step
from sidecar.settings import Settings
from sidecar.store import leases, log, queue
from sidecar.store.engine import Database
from sidecar.store.tables import log as log_table
from sidecar.store.tables import queue as queue_table
from tests import databases
from tests.deliveries import attempt, delivery

CLAIMED = Claimed(1, delivery(1), 0, "replica#1")


@pytest.fixture
def store(database: databases.Database) -> Iterator[Database]:
    found = Database(database.url)
    yield found
    found.close()


def settings(**retention: object) -> Settings:
    return Settings.model_validate(
        {"site": "campus", "moodle": {"url": "sqlite:////nowhere.sqlite"}, "retention": retention}
    )


def states(store: Database) -> list[str]:
    with store.read() as conn:
        return sorted(conn.execute(select(queue_table.c.state)).scalars())


def test_delivered_and_cancelled_go_after_their_days_and_the_rest_stays(
    store: Database, clock: FakeClock
) -> None:
    with store.write() as conn:
        queue.enqueue(conn, [delivery(number) for number in range(1, 6)], now=clock.now())
        for number, state in enumerate(("delivered", "cancelled", "dead", "pending", "delivered"), start=1):
            days = 1 if number == 5 else 8
            conn.execute(
                update(queue_table)
                .where(queue_table.c.log_id == number)
                .values(state=state, settled_at=clock.now() - timedelta(days=days))
            )

    upkeep.prune(store, settings(delivered_days=7), clock)

    assert states(store) == ["dead", "delivered", "pending"]


def test_request_log_is_kept_by_days_and_by_rows(store: Database, clock: FakeClock) -> None:
    with store.write() as conn:
        tried = [attempt(started_at=clock.now() - timedelta(hours=hours)) for hours in range(1200)]
        log.record(conn, [Settlement(CLAIMED, one, Decision(Step.DONE)) for one in tried], replica="r")

    upkeep.prune(store, settings(log_days=40), clock)
    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(log_table)).scalar_one() == 961

    upkeep.prune(store, settings(log_days=40, log_rows=500), clock)
    with store.read() as conn:
        assert conn.execute(select(func.count()).select_from(log_table)).scalar_one() == 500


def test_what_dead_processes_held_is_free_again(store: Database, clock: FakeClock) -> None:
    with store.write() as conn:
        queue.enqueue(conn, [delivery(1)], now=clock.now())
        leases.claim(conn, {"crm": 1}, token="gone#1", now=clock.now(), lease_s=60)

    assert upkeep.rescue(store, settings(), clock) == 0
    clock.advance(61)
    assert upkeep.rescue(store, settings(), clock) == 1
    assert states(store) == ["pending"]


def test_clock_follows_the_stores_not_this_machines(store: Database) -> None:
    clock = SystemClock()
    clock.set(clock.now() - timedelta(hours=1))

    upkeep.set_clock(store, clock)

    assert abs(clock.now() - store.now()) < timedelta(seconds=5)
