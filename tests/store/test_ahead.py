"""What waits is looked at first and taken then, on every real database."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.model import Decision, Outcome, Route, Step
from sidecar.store import ahead, leases
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW, attempt
from tests.store.keeping import LEASE_S, put, rows, settle, take

AFTER = NOW + timedelta(seconds=1)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    yield made
    made.close()


def seen(store: Store, **lingers: float) -> list[tuple[int, bool]]:
    """Return which log rows' deliveries may go out a second later, and whether they are due."""
    with store.read() as conn:
        found = ahead.look(conn, "crm", lingers, now=AFTER, limit=100)
    by_number = {row.id: row.log_id for row in rows(store)}
    return [(by_number[one.number], one.due) for one in found]


def taken(store: Store, *numbers: int, token: str = "replica-1#2") -> list[int]:
    with store.write() as conn:
        held = ahead.take(conn, numbers, token=token, now=AFTER, lease_s=LEASE_S)
    return sorted(item.delivery.log_id or 0 for item in held)


def test_due_ones_come_first_and_those_that_linger_then(store: Store) -> None:
    put(store, 2, rule="many", linger_s=5)
    put(store, 3, at=AFTER, rule="plain")
    put(store, 4, at=NOW, rule="other", linger_s=9)

    assert seen(store, many=5) == [(3, True), (1, False), (2, False)]


def test_lingering_is_for_rules_that_let_it_and_no_longer_than_they_say(store: Store) -> None:
    put(store, 1, rule="many", linger_s=60)

    assert seen(store) == []
    assert seen(store, many=5) == []
    assert seen(store, many=60) == [(1, False)]


def test_what_waits_for_another_try_does_not_linger(store: Store) -> None:
    put(store, 3, rule="many")
    failed, unsent, fresh = take(store)
    later = NOW + timedelta(seconds=30)
    settle(store, [failed], attempt(Outcome.FAILED, error="answered 503"), Decision(Step.RETRY, at=later))
    settle(store, [unsent], attempt(Outcome.UNSENT, error="the proxy is ill"), Decision(Step.PARK, at=later))
    settle(store, [fresh], None, Decision(Step.PARK, at=later))

    assert seen(store, many=60) == [(3, False)]


def test_a_look_tells_the_way_and_the_size_in_bytes(store: Store) -> None:
    headers = {"X-B": "2", "X-A": "1"}
    put(store, 1, rule="many", body='"Zoë 😀 \\\\ x"', headers=headers)
    put(store, 2, body=None, content_type=None)

    with store.read() as conn:
        first, second = ahead.look(conn, "crm", {}, now=NOW, limit=9)

    route = Route("POST", "/crm", (("X-A", "1"), ("X-B", "2")), "application/json")
    assert (first.rule, first.route, first.octets, first.due) == ("many", route, 16, True)
    assert (second.octets, second.route.content_type) == (0, None)


def test_look_ends_at_its_limit(store: Store) -> None:
    put(store, 5)

    with store.read() as conn:
        found = ahead.look(conn, "crm", {}, now=NOW, limit=3)

    assert [one.number for one in found] == [row.id for row in rows(store)[:3]]


def test_what_is_taken_is_ours_until_the_lease_ends(store: Store) -> None:
    put(store, 2, rule="many", linger_s=5)
    first, second = (row.id for row in rows(store))

    assert taken(store, second, first) == [1, 2]

    assert [(row.state, row.leased_by) for row in rows(store)] == [("sending", "replica-1#2")] * 2
    assert {row.leased_until for row in rows(store)} == {AFTER + timedelta(seconds=LEASE_S)}


def test_what_changed_between_look_and_take_is_left_alone(store: Store) -> None:
    put(store, 4, rule="many")
    numbers = [row.id for row in rows(store)]
    done, retried, held = take(store, 3)
    settle(store, [done], attempt(status=200), Decision(Step.DONE))
    later = NOW + timedelta(seconds=30)
    settle(store, [retried], attempt(Outcome.FAILED), Decision(Step.RETRY, at=later))

    assert taken(store, *numbers) == [4]
    assert [row.leased_by for row in rows(store)] == [None, None, held.token, "replica-1#2"]
    assert taken(store) == []


def test_what_another_replica_is_taking_is_left_out_without_waiting(store: Store, database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    put(store, 3, rule="many")
    first, second, third = (row.id for row in rows(store))

    with store.write() as conn:
        ahead.take(conn, [first, second], token="replica-2#1", now=AFTER, lease_s=LEASE_S)
        assert taken(store, first, second, third) == [3]


def test_many_in_hand_are_kept_and_given_back_piece_by_piece(store: Store) -> None:
    put(store, 12_000)
    held = take(store, 12_000)
    later = NOW + timedelta(seconds=90)

    with store.write() as conn:
        kept = leases.renew(conn, held, until=later)
    assert len(kept) == 12_000
    assert {row.leased_until for row in rows(store)} == {later}

    with store.write() as conn:
        leases.release(conn, held)
    assert {(row.state, row.leased_by) for row in rows(store)} == {("pending", None)}
