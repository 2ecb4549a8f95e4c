"""The store's clock is read as exactly as answers that come late allow."""

from datetime import timedelta

import pytest

from sidecar.store import engine
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_the_answer_that_came_soonest_counts_and_what_passed_since_is_added(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Before and after each question, and at the end: the second answer is there after 0.02 s.
    stopwatch = iter([10.0, 10.4, 10.4, 10.42, 10.42, 10.9, 11.0])
    monkeypatch.setattr(engine, "monotonic", lambda: next(stopwatch))
    monkeypatch.setitem(engine._NOW, "sqlite", f"SELECT '{NOW:%Y-%m-%d %H:%M:%S}'")
    store = Store(database.url)

    told = store.now()

    assert abs(told - (NOW + timedelta(seconds=11.0 - 10.41))) < timedelta(milliseconds=1)
    store.close()
