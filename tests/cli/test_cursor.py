"""The cursor is shown and set; gaps are listed."""

from collections.abc import Iterator

import pytest

from sidecar.clock import FakeClock
from sidecar.store import cursors, gaps
from sidecar.store.engine import Database as Store
from tests.cli.conftest import CONFIG, Mih
from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.rows import insert_rows, log_row


@pytest.fixture
def mih(bare: Mih, moodle_db: Database) -> Mih:
    """The command line on a real Moodle's database."""
    bare.write(moodle_db.url)
    return bare


@pytest.fixture
def seeds(mih: Mih, moodle_db: Database, clock: FakeClock) -> Iterator[Seeds]:
    """The store in that database."""
    store = Store(moodle_db.url, pool_size=2)
    yield Seeds(store, clock)
    store.close()


def place_of(seeds: Seeds) -> tuple[int, int, str | None, list[tuple[int, int]]]:
    with seeds.store.read() as conn:
        found = cursors.load(conn, "campus")
        open_gaps = [(gap.first_id, gap.last_id) for gap in gaps.waiting(conn, "campus")]
    assert found
    return found.position, found.fence, found.problem, open_gaps


def test_set_to_an_id_reads_that_row_first_and_forgets_gaps_above(mih: Mih, seeds: Seeds) -> None:
    seeds.cursor(900, head=10, problem="the log was emptied")
    with seeds.store.write() as conn:
        gaps.remember(conn, "campus", [(5, 6), (98, 120), (200, 300)], seen_at=seeds.clock.now())

    said = mih("cursor", "set", "100", typed="y\n")

    assert said.code == 0
    assert "Move the cursor of campus from 900 to 99, to read 801 ids again?" in said.err
    assert place_of(seeds) == (99, 1, None, [(5, 6), (98, 99)])


def test_set_to_latest_skips_to_the_end_and_keeps_what_may_still_appear(
    mih: Mih, seeds: Seeds, moodle_db: Database
) -> None:
    (last,) = insert_rows(moodle_db.url, [log_row(id=5_000)])
    insert_rows(moodle_db.url, [log_row(id=number) for number in range(4_001, 4_990)])
    seeds.cursor(10)
    with seeds.store.write() as conn:
        gaps.remember(conn, "campus", [(3, 4), (4_995, 4_996)], seen_at=seeds.clock.now())

    said = mih("cursor", "set", "latest", "--yes")

    assert said.code == 0
    assert place_of(seeds) == (last, 1, None, [(3, 4), (4_990, 4_999)])


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("place", "asked"), [("4000", 4000), ("latest", 4001)])
def test_set_refuses_ids_that_come_again_with_other_rows_and_says_what_to_write(
    mih: Mih, seeds: Seeds, moodle_db: Database, place: str, asked: int
) -> None:
    insert_rows(moodle_db.url, [log_row(id=4_000)])
    seeds.cursor(9_000)
    seeds.delivery(4_000, event_at=seeds.clock.now())  # of another event
    seeds.delivery(4_001, event_at=seeds.clock.now())  # an id that the log will give again

    said = mih("cursor", "set", place, "--yes")

    assert said.code == 1
    assert f"Write `ids_again_from: [{asked}]` below `moodle`" in said.err
    assert place_of(seeds)[0] == 9_000
    again = CONFIG.replace("moodle: {", f"moodle: {{ids_again_from: [{asked}], ")
    mih.write(moodle_db.url, again)
    assert mih("cursor", "set", place, "--yes").code == 0


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_set_reads_rows_again_that_are_the_same_or_said_to_be(
    mih: Mih, seeds: Seeds, moodle_db: Database
) -> None:
    now = seeds.clock.now()
    made = seeds.delivery(4_000, event_at=now)
    same = log_row(id=4_000, eventname=made.event, timecreated=int(now.timestamp()))
    insert_rows(moodle_db.url, [same, log_row(id=4_100)])
    seeds.cursor(4_100)

    assert mih("cursor", "set", "3000", "--yes").code == 0

    seeds.delivery(4_100, event_at=now)
    assert mih("cursor", "set", "3000", "--yes").code == 1
    assert mih("cursor", "set", "3000", "--same-rows", "--yes").code == 0


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_set_says_that_a_place_beyond_the_log_skips_what_is_yet_to_come(
    mih: Mih, seeds: Seeds, moodle_db: Database
) -> None:
    (last,) = insert_rows(moodle_db.url, [log_row()])
    seeds.cursor(last)

    said = [mih("cursor", "set", str(last + more), typed="n\n") for more in (1, 41)]

    beyond = f"beyond the newest row, {last}: what Moodle writes up to there is never read, to skip 40 ids"
    assert [beyond in one.err for one in said] == [False, True]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_set_asks_and_takes_no_for_an_answer(mih: Mih, seeds: Seeds) -> None:
    seeds.cursor(900)

    said = mih("cursor", "set", "100", typed="n\n")

    assert said.code == 1
    assert said.err.endswith("Nothing was changed.\n")
    assert place_of(seeds)[0] == 900


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("target", ["0", "newest", "1.5", "9" * 30])
def test_set_refuses_what_is_no_row(mih: Mih, seeds: Seeds, target: str) -> None:
    seeds.cursor(900)

    said = mih("cursor", "set", target, "--yes")

    assert said.code == 2
    assert place_of(seeds)[0] == 900


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_show_has_position_and_distance(mih: Mih, seeds: Seeds) -> None:
    none = mih("cursor", "show")
    seeds.cursor(900, head=950)
    found = mih("cursor", "show", "--json").json

    assert none.err.startswith("The site campus has no cursor yet")
    assert (found["position"], found["head"], found["behind"], found["problem"]) == (900, 950, 50, None)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_gaps_are_listed_with_what_became_of_them(mih: Mih, seeds: Seeds) -> None:
    empty = mih("gaps", "list")
    with seeds.store.write() as conn:
        gaps.remember(conn, "campus", [(5, 7), (9, 9)], seen_at=seeds.clock.now())
        gaps.close(conn, gaps.waiting(conn, "campus")[:1], "rolled back", now=seeds.clock.now())

    found = mih("gaps", "list", "--json").json

    assert empty.out == "No id is missing.\n"
    assert [(one["first_id"], one["ids"], one["state"], one["reason"]) for one in found] == [
        (9, 1, "open", None),
        (5, 3, "given up", "rolled back"),
    ]
