"""What real servers prove about open transactions, with second sessions that hold some open."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from sidecar.moodle.proof import Method, Proof, horizon
from tests.databases import Database, Databases
from tests.rows import insert_rows, log_row
from tests.servers import Server

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR_AGO = NOON - timedelta(hours=1)

on_both_servers = pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
on_mariadb = pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
on_postgresql = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@contextmanager
def session(url: str, isolation_level: str | None = "AUTOCOMMIT") -> Iterator[Connection]:
    options = {"isolation_level": isolation_level} if isolation_level else {}
    with create_engine(url, poolclass=NullPool, **options).connect() as conn:
        yield conn


def look_until(conn: Connection, wanted: Callable[[Proof], bool]) -> Proof:
    """Look until the server's list has caught up: MariaDB renews it only when it was left alone for 0.1 s."""
    deadline = datetime.now(UTC) + timedelta(seconds=10)
    while not wanted(proof := horizon(conn, NOON)):
        assert datetime.now(UTC) < deadline, proof
        threading.Event().wait(0.15)
    return proof


@pytest.fixture
def server(databases: Databases) -> Server:
    return cast("Server", databases)


@pytest.fixture
def stranger(server: Server, moodle_db: Database) -> Iterator[str]:
    """The URL of an account that may read Moodle's log and nothing else."""
    name = f"stranger_{moodle_db.name}"[-60:]
    if moodle_db.dialect == "mysql":
        grants = [f"CREATE USER {name} IDENTIFIED BY 'x'", f"GRANT SELECT ON {moodle_db.name}.* TO {name}"]
    else:
        grants = [f"CREATE ROLE {name} LOGIN PASSWORD 'x'"]
    server.execute(*grants)
    yield make_url(moodle_db.url).set(username=name, password="x").render_as_string(hide_password=False)
    server.execute(f"DROP {'USER' if moodle_db.dialect == 'mysql' else 'ROLE'} {name}")


@on_sqlite
def test_sqlite_has_one_writer_and_every_gap_is_final(moodle_db: Database) -> None:
    with session(moodle_db.url) as conn:
        proof = horizon(conn, NOON)

    assert proof.method is Method.SINGLE_WRITER
    assert proof.final(NOON)
    assert abs(proof.now - datetime.now(UTC)) < timedelta(seconds=30)


@on_both_servers
def test_with_nothing_open_an_old_gap_is_final_and_a_fresh_one_not(moodle_db: Database) -> None:
    with session(moodle_db.url) as conn:
        proof = look_until(conn, lambda proof: proof.oldest is None)

    assert proof.method in (Method.INNODB, Method.ACTIVITY)
    assert proof.reason == "No other transaction is open."
    assert proof.final(HOUR_AGO)
    assert not proof.final(NOON)
    assert proof.asked_at == NOON
    assert abs(proof.now - datetime.now(UTC)) < timedelta(seconds=30)


@on_both_servers
def test_an_open_transaction_keeps_a_gap_open_until_it_ends(moodle_db: Database) -> None:
    with session(moodle_db.url) as conn, session(moodle_db.url, None) as writer:
        before = look_until(conn, lambda proof: proof.oldest is None).now
        insert_rows(writer, [log_row()])
        proof = look_until(conn, lambda proof: proof.oldest is not None)
        writer.commit()
        after = look_until(conn, lambda proof: proof.oldest is None)

    assert proof.oldest is not None
    assert before - timedelta(seconds=1) <= proof.oldest <= proof.now
    assert "began at" in proof.reason
    assert not proof.final(NOON)
    assert proof.final(HOUR_AGO)
    assert after.final(HOUR_AGO)


@on_postgresql
def test_a_transaction_that_has_written_nothing_yet_counts(moodle_db: Database) -> None:
    with session(moodle_db.url) as conn, session(moodle_db.url, None) as writer:
        writer.execute(text("SELECT nextval('mdl_logstore_standard_log_id_seq')"))

        assert horizon(conn, NOON).oldest is not None


@on_mariadb
def test_a_running_statement_without_a_transaction_counts(moodle_db: Database, server: Server) -> None:
    def run() -> None:
        with session(moodle_db.url) as sleeper:
            number.append(sleeper.execute(text("SELECT CONNECTION_ID()")).scalar_one())
            started.set()
            try:
                sleeper.execute(text("SELECT SLEEP(60)"))
            except OperationalError:
                sleeper.invalidate()

    number: list[int] = []
    started = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(10)
        with session(moodle_db.url) as conn:
            proof = look_until(conn, lambda proof: proof.oldest is not None)
    finally:
        server.execute(f"KILL {number[0]}")
        thread.join(10)

    assert proof.oldest is not None
    assert proof.now - proof.oldest < timedelta(seconds=30)
    assert not proof.final(NOON)


@on_mariadb
@pytest.mark.parametrize("zone", ["+00:00", "+09:00", "-11:30"])
def test_the_sessions_time_zone_changes_nothing(moodle_db: Database, zone: str) -> None:
    with session(moodle_db.url) as conn, session(moodle_db.url, None) as writer:
        conn.execute(text(f"SET time_zone = '{zone}'"))
        insert_rows(writer, [log_row()])
        proof = look_until(conn, lambda proof: proof.oldest is not None)

    assert proof.oldest is not None
    assert abs(proof.now - datetime.now(UTC)) < timedelta(seconds=30)
    assert abs(proof.now - proof.oldest) < timedelta(seconds=30)


@on_mariadb
def test_without_the_process_privilege_there_is_only_patience(moodle_db: Database, stranger: str) -> None:
    with session(stranger) as conn:
        proof = horizon(conn, NOON)

    assert proof.method is Method.PATIENCE
    assert not proof.final(HOUR_AGO)
    assert f"GRANT PROCESS ON *.* TO '{make_url(stranger).username}'@'%';" in proof.reason


@on_mariadb
def test_the_grant_that_is_named_mends_it(moodle_db: Database, stranger: str, server: Server) -> None:
    with session(stranger) as conn:
        remedy = horizon(conn, NOON).reason.partition("Mend: ")[2].rstrip(";")
    server.execute(remedy)
    with session(stranger) as conn, session(moodle_db.url, None) as writer:
        insert_rows(writer, [log_row()])
        proof = look_until(conn, lambda proof: proof.oldest is not None)

    assert proof.method is Method.INNODB


@on_mariadb
def test_a_read_only_server_may_be_a_replica_and_proves_nothing(moodle_db: Database, server: Server) -> None:
    server.execute("SET GLOBAL read_only = 1")
    try:
        with session(moodle_db.url) as conn:
            proof = horizon(conn, NOON)
    finally:
        server.execute("SET GLOBAL read_only = 0")

    assert proof.method is Method.PATIENCE
    assert "replica" in proof.reason


@on_postgresql
def test_hidden_sessions_leave_only_patience_until_the_grant_that_is_named(
    moodle_db: Database, stranger: str, server: Server
) -> None:
    with session(stranger) as conn, session(moodle_db.url, None) as writer:
        insert_rows(writer, [log_row()])
        hidden = horizon(conn, NOON)
        server.execute(hidden.reason.partition("Mend: ")[2])
        shown = horizon(conn, NOON)

    assert hidden.method is Method.PATIENCE
    assert not hidden.final(HOUR_AGO)
    assert f'GRANT pg_read_all_stats TO "{make_url(stranger).username}";' in hidden.reason
    assert shown.method is Method.ACTIVITY
    assert shown.oldest is not None


@on_postgresql
def test_ones_own_role_sees_its_own_sessions(moodle_db: Database, stranger: str) -> None:
    with session(stranger) as conn, session(stranger, None) as other:
        other.execute(text("SELECT 1"))
        proof = horizon(conn, NOON)

    assert proof.method is Method.ACTIVITY
    assert proof.oldest is not None


@on_postgresql
def test_a_session_that_is_not_tracked_leaves_only_patience(moodle_db: Database) -> None:
    with session(moodle_db.url) as conn, session(moodle_db.url) as silent:
        silent.execute(text("SET track_activities = off"))
        silent.execute(text("SELECT 1"))
        proof = horizon(conn, NOON)

    assert proof.method is Method.PATIENCE
    assert "track_activities" in proof.reason


@on_postgresql
def test_transactions_of_other_databases_do_not_count(
    moodle_db: Database, database: Database, server: Server
) -> None:
    with session(moodle_db.url) as conn, session(database.url, None) as elsewhere:
        elsewhere.execute(text("SELECT 1"))

        assert horizon(conn, NOON).oldest is None


@on_mariadb
def test_a_list_that_somebody_keeps_from_being_renewed_proves_nothing(moodle_db: Database) -> None:
    def watch() -> None:
        with session(moodle_db.url) as monitor:
            while not enough.is_set():
                monitor.execute(text("SELECT COUNT(*) FROM information_schema.innodb_trx"))
                frozen.set()

    frozen, enough = threading.Event(), threading.Event()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        assert frozen.wait(10)
        with session(moodle_db.url) as conn:
            proof = horizon(conn, NOON)
    finally:
        enough.set()
        thread.join(10)

    assert proof.method is Method.PATIENCE
    assert "more often than every 0.1 s" in proof.reason
