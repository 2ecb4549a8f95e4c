"""What is written when a delivery was tried: log, queue and dead letters together, behind the lease."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from sidecar.model import DeadReason, Decision, Outcome, Settlement, Step
from sidecar.store import dlq, leases, log, pile, queue
from sidecar.store.engine import Database as Store
from sidecar.store.settle import settle as write
from sidecar.store.tables import log as log_table
from tests.databases import Database
from tests.deliveries import NOW, attempt, delivery
from tests.store.keeping import put, rows, settle, take

DONE = Decision(Step.DONE)
OK = attempt(status=201)
ILL = attempt(Outcome.FAILED, status=503, error="answered 503", response="later 😀")


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    yield made
    made.close()


def logged(store: Store) -> list[tuple[str, int, str]]:
    with store.read() as conn:
        found = conn.execute(select(log_table).order_by(log_table.c.id))
        return [(row.delivery_id, row.attempt, row.outcome) for row in found]


def test_delivered_is_done_for_good(store: Store) -> None:
    put(store, 2)

    valid = settle(store, take(store), OK, DONE)

    assert len(valid) == 2
    assert {
        (
            row.state,
            row.attempts,
            row.last_status,
            row.last_error,
            row.leased_by,
            row.leased_until,
            row.settled_at,
        )
        for row in rows(store)
    } == {("delivered", 1, 201, None, None, None, NOW)}
    assert logged(store) == [("crm-1", 1, "delivered"), ("crm-2", 1, "delivered")]


def test_retry_is_due_later_and_has_spent_an_attempt(store: Store) -> None:
    put(store)
    at = NOW + timedelta(seconds=1.5)

    settle(store, take(store), ILL, Decision(Step.RETRY, at=at))

    (row,) = rows(store)
    assert (row.state, row.attempts, row.due_at, row.settled_at) == ("pending", 1, at, None)
    assert (row.last_status, row.last_error, row.leased_by) == (503, "answered 503", None)
    assert take(store) == []
    (again,) = take(store, at=at)
    assert again.attempts == 1


def test_unsent_delivery_is_back_where_it_was(store: Store) -> None:
    put(store)
    settle(store, take(store), ILL, Decision(Step.RETRY, at=NOW))

    settle(store, take(store), None, Decision(Step.PARK))

    (row,) = rows(store)
    assert (row.state, row.attempts, row.due_at, row.last_error) == ("pending", 1, NOW, "answered 503")
    assert logged(store) == [("crm-1", 1, "failed")]


def test_failed_probe_is_logged_and_spends_nothing(store: Store) -> None:
    put(store)
    at = NOW + timedelta(seconds=7)

    settle(store, take(store), ILL, Decision(Step.PARK, at=at))

    (row,) = rows(store)
    assert (row.state, row.attempts, row.due_at, row.last_status) == ("pending", 0, at, 503)
    assert logged(store) == [("crm-1", 1, "failed")]


def test_dead_letter_has_all_that_a_replay_needs(store: Store) -> None:
    put(store, 1, headers={"X-A": "1"}, body='{"n": "😀"}')

    settle(store, take(store), ILL, Decision(Step.BURY, reason=DeadReason.EXHAUSTED))

    (row,) = rows(store)
    assert (row.state, row.attempts, row.last_error, row.settled_at) == ("dead", 1, "answered 503", NOW)
    with store.read() as conn:
        (letter,) = pile.search(conn, pile.Choice()).rows
    assert (letter.reason, letter.error, letter.status) == ("exhausted", "answered 503", 503)
    assert (letter.response, letter.attempts, letter.created_at) == ("later 😀", 1, NOW)
    original = delivery(1, headers={"X-A": "1"}, body='{"n": "😀"}')
    copy = queue.delivery_of(letter)
    assert (copy.delivery_id, copy.method, copy.endpoint) == ("crm-1", "POST", "/crm")
    assert (copy.body, copy.headers, copy.content_type) == (
        original.body,
        original.headers,
        original.content_type,
    )


def test_attempt_is_logged_with_its_words(store: Store) -> None:
    put(store)

    settle(store, take(store), ILL, Decision(Step.RETRY, at=NOW))

    with store.read() as conn:
        (row,) = log.find(conn, delivery_id="crm-1")
    assert (row.rule, row.service, row.method, row.endpoint) == ("new-user", "crm", "POST", "/crm")
    assert (row.status, row.error, row.response) == (503, "answered 503", "later 😀")
    assert (row.latency_ms, row.replica, row.created_at) == (pytest.approx(12.3), "replica-1", NOW)


def test_words_of_any_length_fit(store: Store) -> None:
    put(store)
    endless = attempt(Outcome.REJECTED, status=400, error="😀" * 70_000, response="😀" * 70_000)

    settle(store, take(store), endless, Decision(Step.BURY, reason=DeadReason.REJECTED))

    with store.read() as conn:
        (letter,), (row,) = pile.search(conn, pile.Choice()).rows, log.find(conn)
    assert letter.error.startswith("😀😀")
    assert row.response.startswith("😀😀")


def test_mixed_batch_is_written_in_one_go(store: Store) -> None:
    put(store, 4)
    a, b, c, d = take(store)
    batch = [
        Settlement(d, ILL, Decision(Step.BURY, reason=DeadReason.EXHAUSTED)),
        Settlement(b, ILL, Decision(Step.RETRY, at=NOW + timedelta(seconds=1))),
        Settlement(a, OK, DONE),
        Settlement(c, None, Decision(Step.PARK)),
    ]

    with store.write() as conn:
        write(conn, batch, replica="replica-1", now=NOW)

    assert [(row.state, row.attempts) for row in rows(store)] == [
        ("delivered", 1),
        ("pending", 1),
        ("pending", 0),
        ("dead", 1),
    ]
    assert len(logged(store)) == 3


@pytest.mark.parametrize(
    "decision",
    [
        DONE,
        Decision(Step.RETRY, at=NOW),
        Decision(Step.BURY, reason=DeadReason.EXHAUSTED),
        Decision(Step.PARK),
    ],
    ids=["done", "retry", "bury", "park"],
)
def test_lost_lease_is_logged_and_the_delivery_left_alone(store: Store, decision: Decision) -> None:
    put(store)
    late = take(store)
    with store.write() as conn:
        leases.rescue(conn, now=NOW + timedelta(hours=1), lease_s=60)
    take(store, token="replica-2#1", at=NOW + timedelta(hours=1))

    valid = settle(store, late, ILL, decision)

    assert valid == []
    (row,) = rows(store)
    assert (row.state, row.attempts, row.leased_by) == ("sending", 0, "replica-2#1")
    assert logged(store) == [("crm-1", 1, "failed")]
    with store.read() as conn:
        assert dlq.count(conn) == 0


def test_late_success_of_a_rescued_delivery_spares_it_a_second_sending(store: Store) -> None:
    put(store)
    late = take(store)
    with store.write() as conn:
        leases.rescue(conn, now=NOW + timedelta(hours=1), lease_s=60)

    valid = settle(store, late, OK, DONE)

    assert len(valid) == 1
    assert [(row.state, row.attempts) for row in rows(store)] == [("delivered", 1)]


def test_late_failure_of_a_rescued_delivery_changes_nothing(store: Store) -> None:
    put(store)
    late = take(store)
    with store.write() as conn:
        leases.rescue(conn, now=NOW + timedelta(hours=1), lease_s=60)

    valid = settle(store, late, ILL, Decision(Step.BURY, reason=DeadReason.EXHAUSTED))

    assert valid == []
    assert [(row.state, row.attempts) for row in rows(store)] == [("pending", 0)]


@pytest.mark.parametrize("end", ["cancel", "prune"])
def test_success_of_what_a_person_has_ended_changes_nothing(store: Store, end: str) -> None:
    put(store)
    late = take(store)
    with store.write() as conn:
        leases.rescue(conn, now=NOW + timedelta(hours=1), lease_s=60)
        queue.cancel(conn, ["crm-1"], now=NOW)
        if end == "prune":
            queue.prune(conn, before=NOW + timedelta(hours=1), limit=10)

    assert settle(store, late, OK, DONE) == []
    assert [row.state for row in rows(store)] == ([] if end == "prune" else ["cancelled"])


def test_settling_twice_counts_once(store: Store) -> None:
    put(store)
    claimed = take(store)

    first, second = (settle(store, claimed, OK, DONE) for _ in range(2))

    assert (len(first), len(second)) == (1, 0)
    assert rows(store)[0].attempts == 1


def test_nothing_is_written_when_the_transaction_fails(store: Store) -> None:
    put(store)
    claimed = take(store)

    def fail() -> None:
        with store.write() as conn:
            write(conn, [Settlement(claimed[0], OK, DONE)], replica="replica-1", now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert logged(store) == []
    assert rows(store)[0].state == "sending"


def test_log_is_pruned_by_age_and_by_number(store: Store) -> None:
    put(store, 10)
    for number, item in enumerate(take(store)):
        settle(store, [item], attempt(started_at=NOW + timedelta(seconds=number)), DONE)

    with store.write() as conn:
        by_age = [log.prune(conn, before=NOW + timedelta(seconds=3), limit=2) for _ in range(3)]
        by_number = [log.prune_over(conn, keep=4, limit=2) for _ in range(3)]
        none_left = log.prune_over(conn, keep=0, limit=100)

    assert by_age == [2, 1, 0]
    assert by_number == [2, 1, 0]
    assert none_left == 4
