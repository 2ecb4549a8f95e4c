"""The ground that the other tests stand on: databases that are fresh, real, and survive being killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pymysql
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.conftest import absent
from tests.databases import Database, Databases
from tests.rows import insert_rows, log_row
from tests.servers import MariaDB, Server, ServerMissing, find_program

LOG = "mdl_logstore_standard_log"
on_servers = pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)


def query(url: str, *statements: str) -> list[tuple[Any, ...]]:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        for statement in statements[:-1]:
            connection.execute(text(statement))
        return [tuple(row) for row in connection.execute(text(statements[-1]))]


def eventually(true: Callable[[], bool], limit_s: float = 20) -> bool:
    deadline = time.monotonic() + limit_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


@pytest.fixture
def server(databases: Databases) -> Server:
    assert isinstance(databases, Server)
    return databases


@pytest.mark.parametrize("use", ["first", "second"])
def test_every_test_gets_an_empty_database(database: Database, use: str) -> None:
    # Would fail at the second use if the first had left its table behind.
    query(database.url, "CREATE TABLE guest (id INTEGER)", "INSERT INTO guest VALUES (1)", "SELECT 1")

    assert query(database.url, "SELECT count(*) FROM guest") == [(1,)]


def test_moodle_database_holds_the_rows_of_a_real_site(moodle_db: Database) -> None:
    found = query(moodle_db.url, f"SELECT count(*), max(id) FROM {LOG}")

    assert (
        found
        == {
            "sqlite": [(559, 559)],
            "mysql": [(559, 559)],
            "postgresql": [(731, 731)],
        }[moodle_db.dialect]
    )


@pytest.mark.parametrize("backend", ["sqlite", "mariadb"], indirect=True)
def test_moodle_texts_arrive_unharmed(moodle_db: Database) -> None:
    found = query(moodle_db.url, "SELECT fullname FROM mdl_course WHERE id = 2")

    assert found == [("Álgebra “Lineal” & <b>más</b> 日本語 js6981",)]


def test_ids_go_on_after_the_highest(moodle_db: Database) -> None:
    (highest,) = query(moodle_db.url, f"SELECT max(id) FROM {LOG}")[0]

    ids = insert_rows(moodle_db.url, [log_row(userid=1), log_row(userid=2), log_row(userid=3)])

    assert ids == [highest + 1, highest + 2, highest + 3]
    assert query(moodle_db.url, f"SELECT userid FROM {LOG} WHERE id > {highest} ORDER BY id") == [
        (1,),
        (2,),
        (3,),
    ]


def test_ids_go_on_after_one_given_by_hand(moodle_db: Database) -> None:
    insert_rows(moodle_db.url, [log_row(id=5000), log_row(id=4990)])

    assert insert_rows(moodle_db.url, [log_row()]) == [5001]


def test_fresh_campus_knows_nothing_of_the_last_one(databases: Databases, moodle_db: Database) -> None:
    insert_rows(moodle_db.url, [log_row(id=9000)])
    copy = databases.fresh_name()

    databases.create_database(copy, copy_of=moodle_db.name)

    assert query(databases.url(copy), f"SELECT max(id) FROM {LOG}") == [(9000,)]
    databases.drop_database(copy)
    with pytest.raises(OperationalError):
        query(databases.url(copy), f"SELECT max(id) FROM {LOG}")


@on_servers
def test_rows_of_an_open_transaction_stay_unseen(moodle_db: Database) -> None:
    with create_engine(moodle_db.url, poolclass=NullPool).connect() as late:
        insert_rows(late, [log_row(id=6000)])
        insert_rows(moodle_db.url, [log_row(id=6001)])

        seen_before = query(moodle_db.url, f"SELECT id FROM {LOG} WHERE id >= 6000 ORDER BY id")
        late.commit()

    assert seen_before == [(6001,)]
    assert query(moodle_db.url, f"SELECT id FROM {LOG} WHERE id >= 6000 ORDER BY id") == [(6000,), (6001,)]


@on_servers
def test_committed_rows_survive_kill(server: Server, moodle_db: Database) -> None:
    insert_rows(moodle_db.url, [log_row(id=7000)])

    server.kill()
    with pytest.raises(OperationalError):
        query(moodle_db.url, "SELECT 1")
    server.start()

    assert query(moodle_db.url, f"SELECT max(id) FROM {LOG}") == [(7000,)]


@on_servers
def test_restart_keeps_address_and_data(server: Server, database: Database) -> None:
    query(database.url, "CREATE TABLE guest (id INTEGER)", "INSERT INTO guest VALUES (41)", "SELECT 1")
    before = server.admin_url

    server.restart()

    assert server.admin_url == before
    assert query(database.url, "SELECT id FROM guest") == [(41,)]


@on_servers
def test_server_refuses_a_wrong_password(database: Database) -> None:
    wrong = make_url(database.url).set(password="wrong").render_as_string(hide_password=False)

    with pytest.raises(OperationalError, match=r"(?i)denied|authentication failed"):
        query(wrong, "SELECT 1")


def test_database_is_dropped_under_an_open_transaction(mariadb: MariaDB) -> None:
    name = mariadb.fresh_name()
    mariadb.create_database(name)
    query(mariadb.url(name), "CREATE TABLE guest (id INTEGER)", "SELECT 1")
    url = make_url(mariadb.url(name))
    left_open = pymysql.connect(
        host="127.0.0.1", port=url.port or 0, user=url.username, password=url.password or "", database=name
    )

    with closing(left_open), left_open.cursor() as cursor:
        cursor.execute("SELECT * FROM guest")
        mariadb.drop_database(name)

    assert mariadb.column(
        f"SELECT count(*) FROM information_schema.schemata WHERE schema_name = '{name}'"
    ) == [0]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux ends a child with its parent")
@pytest.mark.parametrize("kind", ["MariaDB", "PostgreSQL"])
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_server_dies_with_its_session(kind: str, by: signal.Signals, server_programs: None) -> None:
    script = (
        f"import tests.servers as t; s = t.{kind}(); s.start(); print(s.pid, s.home, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MIH_TEST_")},
    ) as session:
        assert session.stdout
        pid, home = session.stdout.readline().split()
        assert _alive(int(pid))

        session.send_signal(by)

    assert eventually(lambda: not _alive(int(pid)))
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def server_programs() -> None:
    try:
        find_program("mariadbd")
        find_program("postgres")
    except ServerMissing as missing:
        absent(str(missing))


def test_missing_server_is_a_skip_on_a_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no such server"):
        absent("no such server")


def test_missing_server_is_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="no such server"):
        absent("no such server")


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
