"""Rows that commit later than rows with higher ids: missing first, found afterwards."""

import pytest
from sqlalchemy import NullPool, create_engine

from sidecar.moodle.logstore import Found, LogStore
from sidecar.moodle.names import NameFilter
from tests.databases import Database
from tests.rows import insert_rows, log_row

LOG = LogStore("mdl_", "logstore_standard_log")

# SQLite has one writer: there is no second session that could draw an id meanwhile.
both_servers = pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)


@both_servers
def test_a_row_that_commits_late_is_missing_and_then_found(moodle_db: Database) -> None:
    engine = create_engine(moodle_db.url, poolclass=NullPool)
    reader = create_engine(moodle_db.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as late, engine.connect() as early, reader.connect() as tail:
        start = LOG.head(tail) or 0
        [low] = insert_rows(late, [log_row(userid=41)])
        [high] = insert_rows(early, [log_row(userid=42)])
        early.commit()

        assert (low, high) == (start + 1, start + 2)
        assert LOG.head(tail) == high
        assert LOG.missing(tail, start, high) == [(low, low)]
        assert [row.userid for row in LOG.rows(tail, start, high, None, 10)] == [42]
        assert LOG.rows_in(tail, [(low, low)], None, 10) == Found()

        late.commit()
        found = LOG.rows_in(tail, [(low, low)], NameFilter.of(["*course_viewed"]), 10)

        assert found.ids == (low,)
        assert [row.userid for row in found.rows] == [41]


@both_servers
def test_a_rolled_back_row_leaves_its_hole(moodle_db: Database) -> None:
    engine = create_engine(moodle_db.url, poolclass=NullPool)
    reader = create_engine(moodle_db.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as session, reader.connect() as tail:
        start = LOG.head(tail) or 0
        insert_rows(session, [log_row(), log_row()])
        session.rollback()
        [after] = insert_rows(session, [log_row()])
        session.commit()

        holes = LOG.missing(tail, start, after)

        assert holes == [(start + 1, after - 1)]
        assert LOG.rows_in(tail, holes, None, 10) == Found()


@both_servers
def test_a_row_that_commits_between_the_two_questions_comes_twice_and_not_never(moodle_db: Database) -> None:
    engine = create_engine(moodle_db.url, poolclass=NullPool)
    reader = create_engine(moodle_db.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as late, reader.connect() as tail:
        [low] = insert_rows(late, [log_row()])
        [high] = insert_rows(moodle_db.url, [log_row()])

        holes = LOG.missing(tail, low - 1, high)
        late.commit()
        rows = LOG.rows(tail, low - 1, high, None, 10)

        assert holes == [(low, low)]
        assert [row.id for row in rows] == [low, high]
