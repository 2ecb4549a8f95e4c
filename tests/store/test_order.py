"""Whose turn it is among deliveries of one key, on every database, and with many hands at work at once."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy.exc import OperationalError

from sidecar.model import Attempt, Claimed, Decision, Outcome, Step
from sidecar.store import ahead, order, queue
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW, delivery, numbers
from tests.store.keeping import rows, take
from tests.store.keeping import settle as settle_all

T = TypeVar("T")

DONE = Attempt(Outcome.DELIVERED, NOW, 1.0, status=200)
PARKED = Decision(Step.PARK)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    yield made
    made.close()


def put(store: Store, *lines: tuple[int, str | None]) -> None:
    """Queue deliveries, each a log id with its key."""
    with store.write() as conn:
        queue.enqueue(conn, [delivery(number, order_key=key) for number, key in lines], now=NOW)


def settle(store: Store, claimed: list[Claimed], attempt: Attempt | None, decision: Decision) -> None:
    """Settle all of them alike, and let the next ones come forward."""
    settle_all(store, claimed, attempt, decision)
    with store.write() as conn:
        order.pass_on(conn, [one.number for one in claimed])


def ready(store: Store, *log_ids: int, run: int = 1) -> list[int]:
    """Return the log ids of those whose turn it is."""
    found = {row.id: row for row in rows(store) if row.log_id in log_ids}
    turns = [turn for row in found.values() if (turn := order.turn_of(row, run=run))]
    with store.read() as conn:
        return sorted(found[number].log_id for number in order.ready(conn, turns))


def test_first_of_each_key_is_ready_whatever_was_queued_first(store: Store) -> None:
    put(store, (5, "a"), (3, "a"), (4, "b"), (9, "b"))

    assert ready(store, 5, 3, 4, 9) == [3, 4]
    assert ready(store, 5, 9) == []


def test_run_is_what_follows_the_first_without_a_hole(store: Store) -> None:
    put(store, (1, "a"), (2, "a"), (3, "a"), (4, "a"), (5, "b"))

    assert ready(store, 1, 2, 3, 4, run=3) == [1, 2, 3]
    assert ready(store, 1, 2, 4, run=9) == [1, 2]
    assert ready(store, 2, 3, run=9) == []


def test_nothing_is_ready_while_one_of_its_key_is_being_sent(store: Store) -> None:
    put(store, (5, "a"))
    take(store)
    put(store, (3, "a"), (6, "a"), (7, "b"))

    assert ready(store, 3, 6, 7, run=9) == [7]


def test_claim_takes_one_of_each_key_and_the_next_when_that_is_settled(store: Store) -> None:
    put(store, (1, "a"), (2, "a"), (3, None), (4, "b"), (5, "a"))

    first = take(store)
    between = take(store)
    settle(store, first, DONE, Decision(Step.DONE))
    second = take(store)

    assert numbers(first) == [1, 3, 4]
    assert between == []
    assert numbers(second) == [2]
    assert [row.lane for row in rows(store)] == [0, 0, 0, 0, order.HELD]


def test_parked_delivery_stays_the_first_of_its_key(store: Store) -> None:
    put(store, (1, "a"), (2, "a"))
    first = take(store)

    settle(store, first, None, PARKED)

    assert numbers(take(store)) == [1]


def test_slow_lane_is_kept_over_being_held(store: Store) -> None:
    with store.write() as conn:
        made = [delivery(number, order_key="a", slow=True) for number in (1, 2)]
        queue.enqueue(conn, made, now=NOW)

    first = take(store)
    lanes = [row.lane for row in rows(store)]
    settle(store, first, DONE, Decision(Step.DONE))

    assert lanes == [1, order.HELD_SLOW]
    assert [row.lane for row in rows(store)] == [1, 1]


def test_what_was_looked_at_is_not_taken_when_it_is_no_longer_its_turn(store: Store) -> None:
    put(store, (2, "a"), (3, "a"), (4, "b"))
    with store.read() as conn:
        found = ahead.look(conn, "crm", {}, now=NOW, limit=9)
    put(store, (1, "a"))

    with store.write() as conn:
        taken = ahead.take(conn, [one.number for one in found], token="t", now=NOW, lease_s=60)

    assert [(one.log_id, one.order_key) for one in found] == [(2, "a"), (3, "a"), (4, "b")]
    assert numbers(taken) == [4]


def test_many_keys_are_passed_on_in_one_settlement(store: Store) -> None:
    put(store, *((number, f"k{number % 150}") for number in range(450)))
    first = take(store, 450)

    settle(store, first, DONE, Decision(Step.DONE))

    assert len(first) == 150
    assert len(take(store, 450)) == 150


def insist(transaction: Callable[[], T]) -> T:
    """Do what a deadlock undid again, as a process does at its next round."""
    while True:
        try:
            return transaction()
        except OperationalError as error:
            if "eadlock" not in str(error):
                raise


class Hands:
    """Processes that claim and settle as fast as they can, and what was in whose hands when."""

    def __init__(self, url: str, deliveries: int) -> None:
        self.url, self.left = url, deliveries
        self.lock = threading.Lock()
        self.present: set[str] = set()
        self.overlapped: list[str] = []
        self.settled: dict[str, list[int]] = defaultdict(list)
        self.errors: list[BaseException] = []

    def work(self, name: str) -> None:
        """Take what there is until all of it is settled."""
        store = Store(self.url, pool_size=2)
        try:
            for turn in range(100_000):
                with self.lock:
                    if self.left <= 0 or self.errors:
                        break
                claimed = insist(partial(take, store, 7, token=f"{name}#{turn}"))
                self._receive(claimed)
                self._give_back(claimed)
                insist(partial(settle, store, claimed, DONE, Decision(Step.DONE)))
                if turn % 10 == 0:
                    insist(partial(self._free_stranded, store))
        except BaseException as error:  # noqa: BLE001 - a thread's error is the test's
            self.errors.append(error)
        finally:
            store.close()

    def _free_stranded(self, store: Store) -> None:
        with store.write() as conn:
            order.free(conn, order.stranded(conn))

    def _receive(self, claimed: list[Claimed]) -> None:
        with self.lock:
            for one in claimed:
                key, number = one.delivery.order_key or "", one.delivery.log_id or 0
                self.settled[key].append(number)
                self.overlapped += [key] if key in self.present else []
                self.present.add(key)
            self.left -= len(claimed)

    def _give_back(self, claimed: list[Claimed]) -> None:
        with self.lock:
            self.present -= {one.delivery.order_key or "" for one in claimed}


def test_many_hands_keep_the_order_while_more_is_queued(database: Database, store: Store) -> None:
    total = 400 if database.dialect != "sqlite" else 120
    hands = Hands(database.url, total)
    threads = [threading.Thread(target=hands.work, args=(f"r{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()

    for start in range(0, total, 20):
        insist(partial(put, store, *((number, f"k{number % 9}") for number in range(start, start + 20))))
    for thread in threads:
        thread.join(60)

    assert hands.errors == []
    assert hands.overlapped == []
    assert {row.state for row in rows(store)} == {"delivered"}
    for key, settled in hands.settled.items():
        assert settled == sorted(settled), key
    assert sum(map(len, hands.settled.values())) == total
