"""Reading Moodle's log on every real database: windows, holes, late rows, names, times."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, NullPool, create_engine, event, text

from sidecar.moodle.decode import decode
from sidecar.moodle.logstore import Found, LogStore
from sidecar.moodle.names import NameFilter
from tests.databases import Database
from tests.rows import insert_rows, log_row

LOG = LogStore("mdl_", "logstore_standard_log")
VIEWED = r"\core\event\course_viewed"
CREATED = r"\core\event\user_created"


@pytest.fixture
def conn(moodle_db: Database) -> Iterator[Connection]:
    """An autocommit connection to a Moodle whose log has been emptied."""
    engine = create_engine(moodle_db.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM mdl_logstore_standard_log"))
        yield connection


def put(conn: Connection, *ids: int, **changes: object) -> None:
    insert_rows(conn, [log_row(id=number, **changes) for number in ids])


def ids_of(rows: object) -> list[int]:
    return [row.id for row in rows]  # type: ignore[attr-defined]


def test_an_empty_log_has_no_head_and_every_id_is_missing(conn: Connection) -> None:
    assert LOG.head(conn) is None
    assert LOG.count(conn, 0, 10) == 0
    assert LOG.missing(conn, 0, 10) == [(1, 10)]
    assert LOG.missing(conn, 10, 10) == []
    assert LOG.rows(conn, 0, 10, None, 5) == []
    assert LOG.recent(conn, "*", 5) == []
    assert LOG.first_id_at(conn, 0) is None
    assert LOG.row(conn, 1) is None


def test_holes_are_found_at_both_edges_and_between(conn: Connection) -> None:
    put(conn, 1003, 1004, 1007, 1009)

    assert LOG.head(conn) == 1009
    assert LOG.count(conn, 1003, 1009) == 3
    assert LOG.missing(conn, 1000, 1010) == [(1001, 1002), (1005, 1006), (1008, 1008), (1010, 1010)]
    assert LOG.missing(conn, 1002, 1004) == []
    assert LOG.missing(conn, 1003, 1007) == [(1005, 1006)]
    assert LOG.missing(conn, 1004, 1006) == [(1005, 1006)]


def test_a_jump_of_millions_is_one_range(conn: Connection) -> None:
    put(conn, 1, 5_000_000, 3_000_000_000_000)

    assert LOG.missing(conn, 0, 3_000_000_000_000) == [(2, 4_999_999), (5_000_001, 2_999_999_999_999)]


def test_rows_come_in_order_and_within_the_window(conn: Connection) -> None:
    put(conn, 14, 11, 12, 13, 15)

    assert ids_of(LOG.rows(conn, 11, 14, None, 10)) == [12, 13, 14]
    assert ids_of(LOG.rows(conn, 0, 99, None, 2)) == [11, 12]


def test_a_row_is_an_event(conn: Connection) -> None:
    put(conn, 8, other='{"name":"<b>\\\\ {{x}} \\"😀\\""}', objecttable="course", ip=None)
    row = LOG.row(conn, 8)

    assert row is not None
    assert decode(row).other == {"name": '<b>\\ {{x}} "😀"'}
    assert (row.objecttable, row.ip, row.timecreated) == ("course", None, 1772438400)


def test_names_and_patterns_are_filtered_by_the_database(conn: Connection) -> None:
    put(conn, 1, eventname=CREATED)
    put(conn, 2, eventname=VIEWED)
    put(conn, 3, eventname=r"\mod_quiz\event\attempt_started")
    put(conn, 4, eventname=r"\modxquiz\event\attempt_started")

    def found(*names: str) -> list[int]:
        return ids_of(LOG.rows(conn, 0, 9, NameFilter.of(names), 9))

    assert found(CREATED, VIEWED) == [1, 2]
    assert found(r"\mod_quiz\*", CREATED) == [1, 3]
    assert found("*attempt_started") == [3, 4]
    assert found("*") == [1, 2, 3, 4]
    assert found() == []


@pytest.mark.parametrize("special", ["%", "_", "\\", "|", "'", "[", "\\\\", "\\%", "é", "😀"])
def test_every_character_in_a_pattern_stands_for_itself(conn: Connection, special: str) -> None:
    put(conn, 1, eventname=f"a{special}b.c")
    put(conn, 2, eventname="axxb.c")

    assert ids_of(LOG.rows(conn, 0, 9, NameFilter.of([f"a{special}b*"]), 9)) == [1]
    assert ids_of(LOG.rows(conn, 0, 9, NameFilter.of([f"a{special}b.c"]), 9)) == [1]


def test_what_appears_in_gaps_is_found_even_if_nobody_wants_it(conn: Connection) -> None:
    put(conn, 5, 2000, 3_000_000, eventname=VIEWED)
    put(conn, 6, 7, eventname=CREATED)
    ranges = [(4, 6), (8, 8), (1000, 5000), (1_000_000, 9_000_000)]

    found = LOG.rows_in(conn, ranges, NameFilter.of([CREATED]), 10)

    assert found.ids == (5, 6, 2000, 3_000_000)
    assert ids_of(found.rows) == [6]
    assert found.complete


def test_gaps_that_stay_empty_cost_one_query_each_kind(conn: Connection) -> None:
    statements: list[str] = []
    event.listen(conn, "before_cursor_execute", lambda *call: statements.append(call[2]))
    ranges = [(n, n) for n in range(10, 900, 10)] + [(n * 1000, n * 1000 + 500) for n in range(1, 150)]

    found = LOG.rows_in(conn, ranges, None, 10)

    assert found == Found((), (), complete=True)
    assert len(statements) == 2


def test_no_gaps_ask_nothing(conn: Connection) -> None:
    assert LOG.rows_in(conn, [], None, 10) == Found()


def test_more_than_asked_for_is_told_and_comes_in_the_next_round(conn: Connection) -> None:
    put(conn, *range(1, 8), 500, 501)

    first = LOG.rows_in(conn, [(1, 7), (400, 600)], None, 5)
    second = LOG.rows_in(conn, [(6, 7), (400, 600)], None, 5)

    assert (first.ids, first.complete) == ((1, 2, 3, 4, 5), False)
    assert (second.ids, second.complete) == ((6, 7, 500, 501), True)


def test_the_newest_rows_of_an_event_come_first(conn: Connection) -> None:
    put(conn, 1, 1_000_001, 1_000_003, 1_000_005, eventname=CREATED)
    put(conn, 1_000_004, eventname=VIEWED)

    assert ids_of(LOG.recent(conn, CREATED, 2)) == [1_000_005, 1_000_003]
    assert ids_of(LOG.recent(conn, r"\core\*", 9)) == [1_000_005, 1_000_004, 1_000_003, 1_000_001]


def test_the_first_id_of_a_time_lies_below_every_row_of_that_time(conn: Connection) -> None:
    put(conn, 1, timecreated=100)
    put(conn, 2, timecreated=300)  # its neighbour waited in memory and was written later
    put(conn, 3, timecreated=200)
    put(conn, 4, timecreated=50)  # restored with a course
    put(conn, 5, timecreated=400)

    assert LOG.first_id_at(conn, 200) == 2
    assert LOG.first_id_at(conn, 301) == 5
    assert LOG.first_id_at(conn, 0) == 1
    assert LOG.first_id_at(conn, 401) is None


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(present=st.sets(st.integers(1, 30)), lo=st.integers(0, 15), width=st.integers(0, 20))
def test_rows_and_holes_make_up_the_window(conn: Connection, present: set[int], lo: int, width: int) -> None:
    conn.execute(text("DELETE FROM mdl_logstore_standard_log"))
    put(conn, *present)

    holes = [id_ for first, last in LOG.missing(conn, lo, lo + width) for id_ in range(first, last + 1)]
    rows = ids_of(LOG.rows(conn, lo, lo + width, None, 99))

    assert sorted(holes + rows) == list(range(lo + 1, lo + width + 1))
    assert not set(holes) & present


@pytest.mark.parametrize(
    "holes",
    [
        [(127, 129)],
        [(128, 255)],
        [(31, 32), (63, 63), (65, 65), (96, 127), (511, 514)],
        [(1, 1), (255, 256), (300, 450), (600, 600)],
        [(id_, id_) for id_ in range(2, 600, 3)],
    ],
    ids=["over an edge", "half a piece", "bits", "wide", "everywhere"],
)
def test_holes_are_found_in_and_over_pieces(conn: Connection, holes: list[tuple[int, int]]) -> None:
    gone = {id_ for first, last in holes for id_ in range(first, last + 1)}
    put(conn, *(set(range(1, 601)) - gone))

    assert LOG.missing(conn, 0, 600) == holes


def test_a_real_log_is_read_whole(moodle_db: Database) -> None:
    count = 731 if moodle_db.dialect == "postgresql" else 559
    engine = create_engine(moodle_db.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        events = [decode(row) for row in LOG.rows(conn, 0, count, None, 1000)]

        assert LOG.head(conn) == count
        assert LOG.missing(conn, 0, count) == []
        assert len(events) == count
        assert [one.other_problem for one in events if one.other_problem] == []
        assert [one.id for one in events] == list(range(1, count + 1))
