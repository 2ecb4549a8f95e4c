"""The cursor of a site: one holder at a time, and nobody moves it behind the holder's back."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from sidecar.errors import LeaseLost
from sidecar.model import Cursor
from sidecar.store import cursors
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW

LATER = NOW + timedelta(seconds=5)


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    with made.write() as conn:
        cursors.create(conn, "campus", 2**40, now=NOW)
    yield made
    made.close()


def lease(store: Store, replica: str, *, now: datetime = NOW) -> Cursor | None:
    with store.write() as conn:
        return cursors.lease(conn, "campus", replica, now=now, lease_s=10)


def held(store: Store, replica: str, *, now: datetime = NOW) -> Cursor:
    cursor = lease(store, replica, now=now)
    assert cursor is not None
    return cursor


def load(store: Store) -> Cursor:
    with store.read() as conn:
        cursor = cursors.load(conn, "campus")
    assert cursor is not None
    return cursor


def move(store: Store, before: Cursor, position: int) -> None:
    with store.write() as conn:
        after = replace(before, position=position, head=position + 9, caught_up_at=LATER, problem="odd 😀")
        cursors.advance(conn, before, after, now=LATER)


def test_new_cursor_belongs_to_nobody(store: Store) -> None:
    assert load(store) == Cursor("campus", 2**40, 0, None, None, None)
    with store.read() as conn:
        assert cursors.load(conn, "elsewhere") is None
        assert cursors.sites(conn) == ["campus"]


def test_site_has_one_cursor(store: Store) -> None:
    with pytest.raises(IntegrityError), store.write() as conn:
        cursors.create(conn, "campus", 1, now=NOW)


def test_only_one_replica_holds_it(store: Store) -> None:
    first = held(store, "replica-1")

    assert lease(store, "replica-2", now=NOW + timedelta(seconds=9.9)) is None
    assert (first.fence, first.leased_by, first.leased_until) == (1, "replica-1", NOW + timedelta(seconds=10))
    assert load(store) == first


def test_holder_extends_its_lease_without_a_new_fence(store: Store) -> None:
    held(store, "replica-1")

    again = held(store, "replica-1", now=LATER)

    assert (again.fence, again.leased_until) == (1, LATER + timedelta(seconds=10))


@pytest.mark.parametrize(
    "passed_s", [10, 3600, -1, -86_400], ids=["over", "long over", "clock back", "a day back"]
)
def test_ended_or_absurd_lease_is_taken_over_with_a_new_fence(store: Store, passed_s: int) -> None:
    held(store, "replica-1")

    second = held(store, "replica-2", now=NOW + timedelta(seconds=passed_s))

    assert (second.fence, second.leased_by) == (2, "replica-2")


def test_twenty_replicas_have_one_holder(store: Store) -> None:
    got: list[Cursor | None] = []
    at_once = threading.Barrier(20)

    def compete(number: int) -> None:
        at_once.wait(10)
        got.append(lease(store, f"replica-{number}"))

    threads = [threading.Thread(target=compete, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 20
    assert len([cursor for cursor in got if cursor is not None]) == 1


def test_holder_moves_it(store: Store) -> None:
    cursor = held(store, "replica-1")

    move(store, cursor, 2**40 + 7)

    moved = load(store)
    assert (moved.position, moved.head, moved.caught_up_at, moved.problem) == (
        2**40 + 7,
        2**40 + 16,
        LATER,
        "odd 😀",
    )
    assert (moved.fence, moved.leased_by) == (1, "replica-1")


def test_former_holder_cannot_move_it(store: Store) -> None:
    former = held(store, "replica-1")
    held(store, "replica-2", now=NOW + timedelta(minutes=1))

    with pytest.raises(LeaseLost, match=r"The cursor of campus was taken over by another replica"):
        move(store, former, 2**40 + 7)

    assert load(store).position == 2**40


def test_round_that_read_an_old_position_is_void(store: Store) -> None:
    cursor = held(store, "replica-1")
    move(store, cursor, 2**40 + 7)

    with pytest.raises(LeaseLost):
        move(store, cursor, 2**40 + 7)


def test_released_cursor_is_free_at_once(store: Store) -> None:
    cursor = held(store, "replica-1")

    with store.write() as conn:
        cursors.release(conn, cursor, now=NOW)

    assert held(store, "replica-2").fence == 2


def test_former_holder_releases_nothing(store: Store) -> None:
    former = held(store, "replica-1")
    held(store, "replica-2", now=NOW + timedelta(minutes=1))

    with store.write() as conn:
        cursors.release(conn, former, now=NOW)

    assert load(store).leased_by == "replica-2"


def test_cursor_placed_by_hand_voids_the_round_that_is_under_way(store: Store) -> None:
    cursor = held(store, "replica-1")

    with store.write() as conn:
        cursors.place(conn, "campus", 12, now=LATER)

    with pytest.raises(LeaseLost):
        move(store, cursor, 2**40 + 7)
    placed = load(store)
    assert (placed.position, placed.leased_by, placed.caught_up_at, placed.problem) == (12, None, None, None)
    assert held(store, "replica-1", now=LATER).position == 12
