"""The story of a delivery: every moment in its order, and what comes next."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar.bridge.letters import Advice
from sidecar.bridge.story import Kind, RuleNow, Story, story
from sidecar.model import (
    Attempt,
    Circuit,
    CircuitState,
    DeadReason,
    Decision,
    Outcome,
    Step,
)
from sidecar.store import circuits, deliveries, leases, queue
from sidecar.store.engine import Database as Store
from sidecar.store.overview import Obstacle
from tests.build import loaded
from tests.databases import Database
from tests.deliveries import NOW
from tests.store.keeping import put, settle, take

RULE = {"name": "new-user", "event": "*", "retry": {"max_retries": 5}}
FAILED = Attempt(Outcome.FAILED, NOW, 12.0, status=503, error="answered 503")
TAKEN = Attempt(Outcome.DELIVERED, NOW, 12.0, status=201)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    opened = Store(database.url)
    yield opened
    opened.close()


@pytest.fixture
def tell(store: Store, database: Database, tmp_path: Path) -> Any:
    """Tell the story of crm-1 by a configuration with one rule of version v1."""
    settings = loaded(tmp_path, database.url, rules=[RULE]).settings

    def told(**versions: str) -> Story:
        with store.read() as conn:
            row = deliveries.get(conn, "crm-1")
            assert row
            return story(conn, settings, row, {"new-user": "v1", **versions}, now=NOW)

    return told


def kinds(told: Story) -> list[Kind]:
    return [moment.kind for moment in told.moments]


def test_what_waits_tells_when_it_is_due_and_how_many_tries_it_has(store: Store, tell: Any) -> None:
    put(store, event_at=NOW - timedelta(minutes=1))

    told = tell()

    assert kinds(told) == [Kind.LOGGED, Kind.QUEUED, Kind.DUE]
    logged, queued, due = told.moments
    assert logged.at == NOW - timedelta(minutes=1)
    assert queued.parameters == {"rule": "new-user", "version": "v1", "rule_now": RuleNow.SAME}
    assert (due.at, due.ahead, due.parameters) == (NOW, True, {"left": 6})


def test_a_retry_tells_its_failure_and_its_moment(store: Store, tell: Any) -> None:
    put(store)
    later = NOW + timedelta(seconds=30)
    settle(store, take(store), FAILED, Decision(Step.RETRY, at=later))

    told = tell()

    assert kinds(told) == [Kind.LOGGED, Kind.QUEUED, Kind.ATTEMPTED, Kind.DUE]
    tried, due = told.moments[2:]
    assert tried.parameters["outcome"] == "failed"
    assert (tried.parameters["attempt"], tried.parameters["status"]) == (1, 503)
    assert (due.at, due.parameters) == (later, {"left": 5})


def test_what_is_parked_tells_by_what_and_the_next_probe(store: Store, tell: Any) -> None:
    put(store)
    probe_at = NOW + timedelta(seconds=60)
    with store.write() as conn:
        circuits.create(conn, ["crm"], now=NOW)
        circuits.save(conn, Circuit("crm", CircuitState.OPEN, 5, NOW, probe_at), now=NOW)

    parked = tell().moments[-1]

    assert (parked.kind, parked.at) == (Kind.PARKED, probe_at)
    assert parked.parameters == {"obstacle": Obstacle.CIRCUIT}


def test_what_was_delivered_is_kept_for_a_while(store: Store, tell: Any) -> None:
    put(store)
    settle(store, take(store), TAKEN, Decision(Step.DONE))

    told = tell()

    assert kinds(told) == [Kind.LOGGED, Kind.QUEUED, Kind.ATTEMPTED, Kind.DELIVERED, Kind.FORGOTTEN]
    assert told.moments[-1].at == NOW + timedelta(days=7)


def test_what_died_tells_why_and_what_to_do(store: Store, tell: Any) -> None:
    put(store)
    settle(store, take(store), FAILED, Decision(Step.BURY, reason=DeadReason.EXHAUSTED))

    died = tell().moments[-1]

    assert died.kind is Kind.DIED
    assert died.parameters == {"reason": DeadReason.EXHAUSTED, "status": 503, "advice": Advice.SERVICE}


def test_what_is_being_sent_and_what_was_cancelled_say_so(store: Store, tell: Any) -> None:
    put(store)
    take(store)
    sending = tell()
    with store.write() as conn:
        leases.rescue(conn, now=NOW + timedelta(hours=1), lease_s=60)
        queue.cancel(conn, ["crm-1"], now=NOW)

    assert sending.moments[-1].kind is Kind.SENDING
    assert kinds(tell())[-2:] == [Kind.CANCELLED, Kind.FORGOTTEN]


@pytest.mark.parametrize(
    ("rule", "version", "now"),
    [("new-user", "v1", RuleNow.SAME), ("new-user", "v2", RuleNow.CHANGED), ("other", "v1", RuleNow.GONE)],
)
def test_whether_the_rule_has_changed_since_is_said(
    store: Store, tell: Any, rule: str, version: str, now: RuleNow
) -> None:
    put(store, rule=rule, rule_version="v1")

    assert tell(**{"new-user": version}).rule_now is now


def test_a_direct_call_has_no_rule_and_no_row(store: Store, tell: Any) -> None:
    put(store, rule=None, rule_version=None, event=None, log_id=None)

    told = tell()

    assert told.rule_now is RuleNow.NONE
    assert kinds(told) == [Kind.QUEUED, Kind.DUE]
