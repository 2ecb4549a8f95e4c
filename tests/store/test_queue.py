"""Deliveries in the queue of every real database: queued once, claimed by one, leased for a time."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.model import DeadLetter, DeadReason, DeliveryState
from sidecar.store import deliveries, leases, pile, queue
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW, delivery, numbers
from tests.store.keeping import LEASE_S, put, rows, take

AWKWARD = "\"' \\ \\n %s :name {{ x }} <b> \u202e ﬁ 𝄞 😀 \r\n\t\x01 ?"


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    yield made
    made.close()


def test_queueing_twice_adds_nothing(store: Store) -> None:
    put(store, 3)
    take(store, 1)

    put(store, 4, at=NOW + timedelta(seconds=9), body='"another"')

    assert [(row.delivery_id, row.state, row.due_at) for row in rows(store)] == [
        ("crm-1", "sending", NOW),
        ("crm-2", "pending", NOW),
        ("crm-3", "pending", NOW),
        ("crm-4", "pending", NOW + timedelta(seconds=9)),
    ]
    assert rows(store)[0].payload == '{"n": 1}'


def test_every_field_comes_back_as_it_went_in(store: Store) -> None:
    original = delivery(
        1,
        body=f'{{"text": "{AWKWARD}"}}',
        endpoint=f"/x?{AWKWARD}",
        headers={"X-A": AWKWARD, "x-b": ""},
        event_at=NOW - timedelta(hours=3, microseconds=7),
    )
    with store.write() as conn:
        queue.enqueue(conn, [original], now=NOW)

    (claimed,) = take(store)

    assert claimed.delivery == original
    assert (claimed.attempts, claimed.token, claimed.probe) == (0, "replica-1#1", False)


@pytest.mark.parametrize(
    "body", [None, "", "😀" * 262_144, "x" * 1_048_576], ids=["null", "empty", "emoji", "1 MiB"]
)
def test_payloads_of_any_size_come_back(store: Store, body: str | None) -> None:
    put(store, 1, body=body, content_type=None, rule=None, rule_version=None, event=None, log_id=None)

    (claimed,) = take(store)

    assert claimed.delivery.body == body
    assert claimed.delivery.rule is None


def test_claims_take_what_has_been_due_longest(store: Store) -> None:
    with store.write() as conn:
        for number, due_s in [(1, 0), (2, -5), (3, -5), (4, 1), (5, -9)]:
            queue.enqueue(conn, [delivery(number)], now=NOW + timedelta(seconds=due_s))
        queue.enqueue(conn, [delivery(6, "erp")], now=NOW)

    first, second = take(store, 3), take(store, 3)

    assert numbers(first) == [5, 2, 3]
    assert numbers(second) == [1]
    assert take(store) == []


def test_one_claim_serves_many_services_each_up_to_its_limit(store: Store) -> None:
    with store.write() as conn:
        for number, service in enumerate(["crm", "erp", "crm", "lms", "crm", "erp"], start=1):
            queue.enqueue(conn, [delivery(number, service)], now=NOW)

    with store.write() as conn:
        claimed = leases.claim(conn, {"crm": 2, "erp": 9}, token="a#1", now=NOW, lease_s=LEASE_S)

    assert [(one.delivery.service, one.delivery.log_id) for one in claimed] == [
        ("crm", 1),
        ("crm", 3),
        ("erp", 2),
        ("erp", 6),
    ]
    assert [row.log_id for row in rows(store) if row.leased_by == "a#1"] == [1, 2, 3, 6]
    assert {row.log_id for row in rows(store) if row.state == DeliveryState.PENDING} == {4, 5}


def test_claim_is_a_lease_with_a_name(store: Store) -> None:
    put(store)

    take(store, token="replica-7#3")

    (row,) = rows(store)
    assert (row.state, row.leased_by, row.leased_until) == (
        "sending",
        "replica-7#3",
        NOW + timedelta(seconds=LEASE_S),
    )


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_claims_skip_what_another_replica_is_claiming(store: Store) -> None:
    put(store, 4)

    with store.write() as first, store.write() as second:
        a = leases.claim(first, {"crm": 2}, token="a", now=NOW, lease_s=LEASE_S)
        b = leases.claim(second, {"crm": 4}, token="b", now=NOW, lease_s=LEASE_S)

    assert numbers(a) == [1, 2]
    assert numbers(b) == [3, 4]


def test_twenty_claimers_share_without_overlap(store: Store) -> None:
    put(store, 100)
    got: list[list[int | None]] = []
    at_once = threading.Barrier(20)

    def claim(number: int) -> None:
        at_once.wait(10)
        for _ in range(5):
            batch = take(store, 2, token=f"replica-{number}")
            got.append(numbers(batch))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    taken = [number for batch in got for number in batch]
    assert len(taken) == len(set(taken))
    assert sorted(filter(None, [*taken, *numbers(take(store))])) == list(range(1, 101))


def test_renewal_keeps_what_is_still_ours(store: Store) -> None:
    put(store, 2)
    (mine, lost) = take(store)
    later = NOW + timedelta(seconds=200)
    with store.write() as conn:
        leases.release(conn, [lost])
    take(store, 1, token="replica-2#1")

    with store.write() as conn:
        held = leases.renew(conn, [mine, lost], until=later)

    assert held == {(mine.number, "replica-1#1")}
    assert [(row.leased_by, row.leased_until) for row in rows(store)] == [
        ("replica-1#1", later),
        ("replica-2#1", NOW + timedelta(seconds=LEASE_S)),
    ]


@pytest.mark.parametrize(
    ("passed_s", "rescued"),
    [(0, 0), (LEASE_S, 0), (LEASE_S + 0.001, 2), (-LEASE_S, 0), (-LEASE_S - 1, 2), (-86_400, 2)],
    ids=["fresh", "just", "over", "clock back a little", "clock back", "clock back a day"],
)
def test_rescue_frees_what_the_dead_hold(store: Store, passed_s: float, rescued: int) -> None:
    put(store, 2)
    take(store)

    with store.write() as conn:
        freed = leases.rescue(conn, now=NOW + timedelta(seconds=passed_s), lease_s=LEASE_S)

    assert freed == rescued
    expected = (
        ("pending", 0, None, None)
        if rescued
        else ("sending", 0, "replica-1#1", NOW + timedelta(seconds=LEASE_S))
    )
    assert {(row.state, row.attempts, row.leased_by, row.leased_until) for row in rows(store)} == {expected}


def test_rescue_works_in_pieces(store: Store) -> None:
    put(store, 5)
    take(store)

    freed = []
    for _ in range(4):
        with store.write() as conn:
            freed.append(leases.rescue(conn, now=NOW + timedelta(hours=1), lease_s=LEASE_S, limit=2))

    assert freed == [2, 2, 1, 0]


def test_release_gives_back_only_what_is_ours(store: Store) -> None:
    put(store, 2)
    first, _ = take(store)

    with store.write() as conn:
        leases.release(conn, [first])

    assert [row.state for row in rows(store)] == ["pending", "sending"]


def test_unmade_deliveries_are_dead_from_the_start(store: Store) -> None:
    letter = DeadLetter(
        delivery(1, body=None), DeadReason.RENDER, f"payload, line 1: {AWKWARD}", row={"other": AWKWARD}
    )

    for _ in range(2):
        with store.write() as conn:
            queue.enqueue_dead(conn, [letter], now=NOW)

    (row,) = rows(store)
    assert (row.state, row.attempts, row.settled_at) == ("dead", 0, NOW)
    with store.read() as conn:
        (kept,) = pile.search(conn, pile.Choice()).rows
    assert (kept.reason, kept.error, kept.attempts) == ("render", f"payload, line 1: {AWKWARD}", 0)


def test_reason_that_quotes_a_nul_is_kept_without_it(store: Store) -> None:
    letter = DeadLetter(delivery(1, body=None), DeadReason.RENDER, "a\0b is no time")

    with store.write() as conn:
        queue.enqueue_dead(conn, [letter], now=NOW)

    with store.read() as conn:
        (kept,) = pile.search(conn, pile.Choice()).rows
    assert [kept.error, rows(store)[0].last_error] == ["a\ufffdb is no time"] * 2


def test_revived_delivery_is_due_now_with_all_its_attempts(store: Store) -> None:
    letter = DeadLetter(delivery(1), DeadReason.RENDER, "no")
    with store.write() as conn:
        queue.enqueue_dead(conn, [letter], now=NOW)
    put(store, 2)
    take(store, 1)
    later = NOW + timedelta(days=1)

    with store.write() as conn:
        revived = queue.revive(
            conn, ["crm-1", "crm-2", "crm-3"], now=later, rendered=delivery(1, body='"new"', endpoint="/new")
        )

    assert revived == 1
    first, second = rows(store)
    assert (first.state, first.attempts, first.due_at, first.settled_at) == ("pending", 0, later, None)
    assert (first.payload, first.endpoint, first.delivery_id) == ('"new"', "/new", "crm-1")
    assert (second.state, second.payload) == ("sending", '{"n": 2}')


def test_cancelled_delivery_is_not_sent(store: Store) -> None:
    put(store, 3)
    take(store, 1)

    with store.write() as conn:
        stopped = queue.cancel(conn, ["crm-1", "crm-2"], now=NOW)

    assert stopped == 1
    assert [row.state for row in rows(store)] == ["sending", "cancelled", "pending"]
    assert numbers(take(store)) == [3]


def test_pruning_takes_old_finished_ones_in_pieces(store: Store) -> None:
    put(store, 6)
    with store.write() as conn:
        queue.cancel(conn, ["crm-1", "crm-2", "crm-3"], now=NOW)
        queue.cancel(conn, ["crm-4"], now=NOW + timedelta(hours=1))

    removed = []
    for _ in range(3):
        with store.write() as conn:
            removed.append(queue.prune(conn, before=NOW + timedelta(minutes=1), limit=2))

    assert removed == [2, 1, 0]
    assert [row.delivery_id for row in rows(store)] == ["crm-4", "crm-5", "crm-6"]


def test_totals_and_pages_are_for_people(store: Store) -> None:
    put(store, 5)
    put(store, 1, "erp", created_at=NOW - timedelta(hours=2))
    take(store, 2)

    with store.read() as conn:
        totals = deliveries.totals(conn)
        unsettled = queue.unsettled(conn)
        page = deliveries.find(conn, service="crm", limit=2)
        rest = deliveries.find(conn, service="crm", state=DeliveryState.PENDING, before=page[-1].id)
        one = deliveries.get(conn, "crm-1")

    assert [(row.service, int(row.pending), int(row.sending), row.oldest) for row in totals] == [
        ("crm", 3, 2, NOW),
        ("erp", 1, 0, NOW - timedelta(hours=2)),
    ]
    assert sorted(unsettled) == [("crm", "pending", 3), ("crm", "sending", 2), ("erp", "pending", 1)]
    assert [row.log_id for row in page] == [5, 4]
    assert [row.log_id for row in rest] == [3]
    assert one is not None
    assert one.log_id == 1
