"""Missing ids: remembered as ranges, narrowed as late rows appear, closed with a reason."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from sidecar.model import Gap
from sidecar.store import gaps
from sidecar.store.engine import Database as Store
from tests.databases import Database
from tests.deliveries import NOW

FAR = 2**40


@pytest.fixture
def store(database: Database) -> Iterator[Store]:
    made = Store(database.url)
    with made.write() as conn:
        gaps.remember(conn, "campus", [(FAR, FAR + 9), (5, 5), (7, 8)], seen_at=NOW)
        gaps.remember(conn, "other", [(1, 100)], seen_at=NOW)
        gaps.remember(conn, "campus", [], seen_at=NOW)
    yield made
    made.close()


def waiting(store: Store) -> list[Gap]:
    with store.read() as conn:
        return gaps.waiting(conn, "campus")


def ranges(found: list[Gap]) -> list[tuple[int, int]]:
    return [(gap.first_id, gap.last_id) for gap in found]


def missing(store: Store) -> tuple[int, int, int]:
    with store.read() as conn:
        found = gaps.missing(conn, "campus")
    return found.gaps_open, found.ids_open, found.ids_given_up


def test_gaps_of_a_site_wait_lowest_first(store: Store) -> None:
    found = waiting(store)

    assert ranges(found) == [(5, 5), (7, 8), (FAR, FAR + 9)]
    assert {gap.seen_at for gap in found} == {NOW}
    assert missing(store) == (3, 13, 0)


def test_split_gap_keeps_its_age(store: Store) -> None:
    gap = waiting(store)[2]

    with store.write() as conn:
        rest = [Gap(FAR, FAR + 3, gap.seen_at), Gap(FAR + 5, FAR + 9, gap.seen_at)]
        gaps.replace(conn, "campus", [gap], rest)

    found = waiting(store)
    assert ranges(found) == [(5, 5), (7, 8), (FAR, FAR + 3), (FAR + 5, FAR + 9)]
    assert {gap.seen_at for gap in found} == {NOW}


def test_filled_gap_is_gone(store: Store) -> None:
    with store.write() as conn:
        gaps.replace(conn, "campus", waiting(store)[:1], [])

    assert ranges(waiting(store)) == [(7, 8), (FAR, FAR + 9)]


def test_closed_gaps_stay_listed_with_their_reason(store: Store) -> None:
    first, second, _ = waiting(store)
    later = NOW + timedelta(hours=1)

    with store.write() as conn:
        gaps.close(conn, [first, second], "no transaction is as old 😀", now=later)
        gaps.close(conn, [], "nothing", now=later)

    assert ranges(waiting(store)) == [(FAR, FAR + 9)]
    assert missing(store) == (1, 10, 3)
    with store.read() as conn:
        listed = gaps.closed(conn, "campus", limit=10)
        newest = gaps.closed(conn, "campus", limit=1)
    assert {(one.gap.first_id, one.closed_at, one.reason) for one in listed} == {
        (5, later, "no transaction is as old 😀"),
        (7, later, "no transaction is as old 😀"),
    }
    assert len(newest) == 1


def test_old_closed_gaps_are_forgotten_in_pieces_and_open_ones_never(store: Store) -> None:
    with store.write() as conn:
        gaps.close(conn, gaps.waiting(conn, "campus")[:2], "patience", now=NOW)

    removed = []
    for _ in range(3):
        with store.write() as conn:
            removed.append(gaps.prune(conn, before=NOW + timedelta(days=900), limit=1))

    assert removed == [1, 1, 0]
    assert ranges(waiting(store)) == [(FAR, FAR + 9)]


def test_a_gap_of_some_ids_is_kept_bit_by_bit(store: Store) -> None:
    every_other = int("10" * 25_000, 2)

    with store.write() as conn:
        gaps.add(conn, "campus", [Gap(FAR + 100, FAR + 50_099, NOW, bits=every_other)])

    found = waiting(store)[-1]
    assert (found.first_id, found.last_id, found.bits) == (FAR + 100, FAR + 50_099, every_other)
    assert missing(store) == (4, 25_013, 0)


def test_what_is_left_of_a_given_up_gap_stays_given_up(store: Store) -> None:
    with store.write() as conn:
        gaps.close(conn, gaps.waiting(conn, "campus")[1:2], "patience", now=NOW)
        [was] = gaps.closed(conn, "campus", limit=10)
        gaps.replace_given_up(conn, "campus", was, [Gap(8, 8, NOW)])
        [left] = gaps.closed(conn, "campus", limit=10)

    assert (left.gap.first_id, left.gap.last_id, left.reason, left.closed_at) == (8, 8, "patience", NOW)
    assert ranges(waiting(store)) == [(5, 5), (FAR, FAR + 9)]
