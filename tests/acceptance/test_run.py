"""`mih run` on a real Moodle log: what arrives, what it prints, how it ends."""

import re
from pathlib import Path

import pytest
import yaml
from sqlalchemy import NullPool, create_engine, func, make_url, select

from tests.acceptance.conftest import ENGINES, EVERYTHING, MakeSidecar
from tests.acceptance.sidecar import Sidecar, eventually, write_config
from tests.databases import Database
from tests.rows import LOG, insert_rows, log_row
from tests.servers import MariaDB, PostgreSQL
from tests.sink import Sink


def rows_in_log(url: str) -> int:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as conn:
        return conn.execute(select(func.count()).select_from(LOG)).scalar_one()


def test_every_real_row_arrives_once(
    make_sidecar: MakeSidecar, bare_moodle_db: Database, receiver: Sink
) -> None:
    sidecar = make_sidecar()

    code = sidecar.run("--until-idle")

    assert code == 0, sidecar.said
    assert len(receiver.accepted) == rows_in_log(bare_moodle_db.url)
    assert receiver.repeated == 0
    assert {body["id"] for body in receiver.bodies} == set(range(1, len(receiver.accepted) + 1))


def test_a_second_run_sends_nothing_again(make_sidecar: MakeSidecar, receiver: Sink) -> None:
    sidecar = make_sidecar()
    sidecar.run("--until-idle")
    before = len(receiver.requests)

    assert sidecar.run("--until-idle") == 0

    assert len(receiver.requests) == before


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_until_idle_waits_for_retries(
    make_sidecar: MakeSidecar, receiver: Sink, bare_moodle_db: Database
) -> None:
    receiver.fail_each_once()
    crm = {
        "base_url": receiver.url,
        "retry": {"backoff": 0.1},
        "circuit_breaker": {"failure_threshold": 10_000},
    }
    sidecar = make_sidecar(services={"crm": crm})

    assert sidecar.run("--until-idle") == 0

    assert len(receiver.accepted) == rows_in_log(bare_moodle_db.url)


@pytest.mark.parametrize("engine", ENGINES, indirect=True)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_until_idle_leaves_a_dead_service_after_one_probe_and_loses_nothing(
    make_sidecar: MakeSidecar, receiver: Sink, bare_moodle_db: Database
) -> None:
    receiver.status_of = lambda _: 500
    crm = {
        "base_url": receiver.url,
        "retry": {"max_retries": 50, "backoff": 0.1},
        "circuit_breaker": {"cooldown": 0.5},
        "max_concurrency": 4,
    }
    sidecar = make_sidecar(services={"crm": crm})
    assert sidecar.run("--until-idle") == 0
    assert receiver.accepted == {}

    receiver.status_of = lambda _: 200
    assert sidecar.run("--until-idle") == 0

    assert len(receiver.accepted) == rows_in_log(bare_moodle_db.url)


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_the_work_can_be_split_over_two_processes(
    make_sidecar: MakeSidecar, receiver: Sink, bare_moodle_db: Database
) -> None:
    reader, sender = make_sidecar("reader"), make_sidecar("sender")

    assert reader.run("--until-idle", "--role", "tail") == 0
    assert receiver.requests == []
    assert sender.run("--until-idle", "--role", "dispatch") == 0

    assert len(receiver.accepted) == rows_in_log(bare_moodle_db.url)


@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
def test_new_rows_arrive_while_it_runs_and_sigterm_ends_it(
    make_sidecar: MakeSidecar, receiver: Sink, bare_moodle_db: Database
) -> None:
    sidecar = make_sidecar(tail={"start": "latest", "poll": 0.1})
    sidecar.start()
    eventually(lambda: "sidecar.started" in sidecar.said)

    eventually(lambda: insert_rows(bare_moodle_db.url, [log_row(userid=77)]) and receiver.requests)
    code = sidecar.terminate()

    assert code == 0, sidecar.said
    assert sidecar.said.rstrip().endswith("sidecar.stopped")
    assert receiver.bodies[0]["userid"] == 77


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_changed_file_is_taken_over_and_a_broken_one_is_refused(
    make_sidecar: MakeSidecar, receiver: Sink, bare_moodle_db: Database
) -> None:
    sidecar = make_sidecar(rules=[EVERYTHING | {"endpoint": "/old"}], tail={"start": "latest", "poll": 0.1})
    sidecar.start()
    eventually(lambda: sidecar.has_begun)
    config = yaml.safe_load(sidecar.config.read_text())

    sidecar.config.write_text("rules: [")
    eventually(lambda: "config.refused" in sidecar.said)
    insert_rows(bare_moodle_db.url, [log_row()])
    eventually(lambda: receiver.requests)
    config["rules"][0]["endpoint"] = "/new"
    write_config(sidecar.config, **config)
    eventually(lambda: "config.reloaded" in sidecar.said)
    insert_rows(bare_moodle_db.url, [log_row()])
    eventually(lambda: len(receiver.requests) == 2)

    assert [request.target for request in receiver.requests] == ["/old", "/new"]
    assert sidecar.terminate() == 0


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_two_processes_on_one_sqlite_file_share_the_work(
    make_sidecar: MakeSidecar, receiver: Sink, bare_moodle_db: Database
) -> None:
    first, second = make_sidecar("first"), make_sidecar("second")

    first.start("--until-idle")
    second.start("--until-idle")

    assert (first.wait(), second.wait()) == (0, 0), first.said + second.said
    assert len(receiver.accepted) == rows_in_log(bare_moodle_db.url)
    assert receiver.repeated == 0


def test_a_broken_configuration_ends_with_3_and_all_problems(tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "sidecar.yaml",
        site="campus",
        moodle={"url": "sqlite:///nowhere.sqlite"},
        services={"judgeman": {"base_url": "https://judgeman.local"}},
        rules=[
            {"name": "a", "event": r"\core\event\user_created", "service": "judgman"},
            {"name": "b", "event": "*", "service": "judgeman", "paylod": "x"},
        ],
    )
    sidecar = Sidecar(config)

    assert sidecar.run() == 3

    assert 'did you mean "judgeman"' in sidecar.said
    assert "paylod" in sidecar.said
    assert "Traceback" not in sidecar.said


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_broken_template_is_found_before_anything_starts(make_sidecar: MakeSidecar) -> None:
    sidecar = make_sidecar(rules=[EVERYTHING | {"payload": '{"a": {{ usrid }}}'}])

    assert sidecar.run() == 3

    assert re.search(r"rules\[0\].*usrid.*userid", sidecar.said), sidecar.said


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_wrong_password_ends_with_4_and_says_so(
    make_sidecar: MakeSidecar, bare_moodle_db: Database
) -> None:
    sidecar = make_sidecar(moodle={"url": bare_moodle_db.url.replace("://", "://nobody_known", 1)})

    assert sidecar.run() == 4

    assert "refused the user name or password" in sidecar.said
    assert "not-a-secret" not in sidecar.said


def test_a_missing_log_table_ends_with_4_and_names_the_setting(
    make_sidecar: MakeSidecar, bare_moodle_db: Database
) -> None:
    sidecar = make_sidecar(moodle={"url": bare_moodle_db.url, "prefix": "m_"})

    assert sidecar.run() == 4

    assert "moodle.prefix" in sidecar.said


def test_pending_migrations_end_with_5_and_name_the_command(make_sidecar: MakeSidecar) -> None:
    sidecar = make_sidecar(store={"migrate": "check"})

    assert sidecar.run() == 5

    assert "mih migrate" in sidecar.said


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_database_that_goes_away_is_waited_for_and_nothing_is_lost(
    make_sidecar: MakeSidecar,
    receiver: Sink,
    bare_moodle_db: Database,
    databases: MariaDB | PostgreSQL,
) -> None:
    if not databases.admin_url:
        pytest.skip("a lent server is not killed")
    before = rows_in_log(bare_moodle_db.url)
    insert_rows(bare_moodle_db.url, [log_row() for _ in range(1500)])
    sidecar = make_sidecar()
    sidecar.start()
    eventually(lambda: len(receiver.requests) > 100)

    databases.kill()
    eventually(lambda: "waiting" in sidecar.said)
    databases.start()

    eventually(lambda: len(receiver.accepted) == before + 1500)
    assert sidecar.terminate() == 0
    assert "Traceback" not in sidecar.said


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_read_only_store_ends_with_4_and_says_what_to_do(
    make_sidecar: MakeSidecar, bare_moodle_db: Database
) -> None:
    read_only = make_url(bare_moodle_db.url).update_query_dict(
        {"options": "-c default_transaction_read_only=on"}
    )
    sidecar = make_sidecar(store={"url": read_only.render_as_string(hide_password=False)})

    assert sidecar.run() == 4

    assert "is read-only: give store.url a database that can be written to" in sidecar.said
