"""What the doctor says about a real Moodle's log: silent, restored, cleaned up too early, elsewhere."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine, insert, text

from sidecar.clock import FakeClock, SystemClock
from sidecar.errors import ExitCode
from sidecar.model import CircuitState
from sidecar.store import circuits, cursors, migrate, queue, services, tables
from sidecar.store.engine import Database as Store
from tests.databases import Database, Databases
from tests.deliveries import delivery
from tests.doctor.conftest import Patient, about, subjects
from tests.rows import insert_rows, log_row
from tests.servers import Server

PLUGINS = {
    ("tool_log", "enabled_stores"): "logstore_standard",
    ("logstore_standard", "jsonformat"): "1",
    ("logstore_standard", "loglifetime"): "30",
}
LOG = "mdl_logstore_standard_log"


def run(url: str, *statements: str) -> None:
    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as conn:
        for statement in statements:
            conn.execute(text(statement))


def configure(url: str, plugins: Mapping[tuple[str, str], str] = PLUGINS) -> None:
    run(
        url,
        "CREATE TABLE mdl_config (name VARCHAR(255), value TEXT)",
        "CREATE TABLE mdl_config_plugins (plugin VARCHAR(100), name VARCHAR(100), value TEXT)",
        "INSERT INTO mdl_config VALUES ('version', '2024100706'), ('release', '4.5.6 (Build: 20250811)')",
        *(f"INSERT INTO mdl_config_plugins VALUES ('{p}', '{n}', '{v}')" for (p, n), v in plugins.items()),
    )


def place_cursor(url: str, position: int, site: str = "campus") -> None:
    store = Store(url)
    with store.write() as conn:
        cursors.create(conn, site, position, now=FakeClock().now())
    store.close()


def empty_log(url: str) -> None:
    run(url, f"DELETE FROM {LOG}")


def test_a_healthy_moodle_has_no_problem_but_the_closed_port(moodle_db: Database, patient: Patient) -> None:
    configure(moodle_db.url)
    insert_rows(moodle_db.url, [log_row(timecreated=int(datetime.now().astimezone().timestamp()))])

    report = patient(moodle_db.url, at=SystemClock())

    assert subjects(report, "problem") == ["service crm"]
    # The test's URL holds its password, as a real one should not.
    assert [one for one in subjects(report, "warning") if not one.endswith("moodle.url")] == []
    assert about(report, "Moodle").text == "release 4.5.6 (Build: 20250811)"
    assert about(report, "log store").level == "ok"
    assert about(report, "migrations").text == "all are applied"
    assert about(report, "mih_ tables").level == "ok"
    assert "POST http://127.0.0.1:9/events, " in about(report, "rule viewed").text
    assert report.exit_code is ExitCode.FAILED


def test_a_wrong_prefix_is_named_with_the_right_one(bare_moodle_db: Database, patient: Patient) -> None:
    report = patient(bare_moodle_db.url, moodle={"url": bare_moodle_db.url, "prefix": "moo_"})

    finding = about(report, "moo_logstore_standard_log")
    assert finding.level == "problem"
    assert finding.text == "there is no such table in Moodle's database"
    assert finding.remedy == "set moodle.prefix to mdl_: there is a log table under that prefix"
    assert about(report, "rules").text == "were not tried: the log cannot be read"


def test_an_empty_database_has_no_log(database: Database, patient: Patient) -> None:
    report = patient(database.url)

    assert about(report, LOG).level == "problem"
    assert "check the database in moodle.url" in str(about(report, LOG).remedy)


def test_a_disabled_log_store_is_a_problem(bare_moodle_db: Database, patient: Patient) -> None:
    configure(bare_moodle_db.url, PLUGINS | {("tool_log", "enabled_stores"): "logstore_xapi"})

    finding = about(patient(bare_moodle_db.url), "log store")

    assert finding.level == "problem"
    assert finding.remedy == "enable it: Site administration > Plugins > Logging > Manage log stores"


def test_settings_of_moodle_that_cannot_be_read_are_one_note_each_table(
    bare_moodle_db: Database, patient: Patient
) -> None:
    report = patient(bare_moodle_db.url)

    assert about(report, "release").level == "note"
    assert about(report, "log store, jsonformat, loglifetime").level == "note"


def test_php_serialized_rows_are_a_note(bare_moodle_db: Database, patient: Patient) -> None:
    configure(bare_moodle_db.url, PLUGINS | {("logstore_standard", "jsonformat"): "0"})

    assert about(patient(bare_moodle_db.url), "jsonformat").level == "note"


def test_a_clock_that_differs_is_a_warning(bare_moodle_db: Database, patient: Patient) -> None:
    early, late = FakeClock(SystemClock().now() - timedelta(hours=3)), FakeClock(SystemClock().now())
    late.advance(600)

    ahead = about(patient(bare_moodle_db.url, at=early), "the clock of Moodle's database")
    behind = about(patient(bare_moodle_db.url, at=late), "the clock of Moodle's database")

    assert (ahead.level, ahead.text) == ("warning", "is 3 h ahead of this machine's")
    assert (behind.level, behind.text) == ("warning", "is 10 min behind this machine's")


def test_a_silent_log_is_a_warning(bare_moodle_db: Database, patient: Patient, clock: FakeClock) -> None:
    (number,) = insert_rows(bare_moodle_db.url, [log_row()])
    clock.advance(5 * 86_400)

    finding = about(patient(bare_moodle_db.url), "log")

    assert (finding.level, finding.text) == ("warning", f"its newest row, {number}, is 5 days old")


def test_a_log_that_ends_below_the_cursor_waits_for_a_decision(moodle_db: Database, patient: Patient) -> None:
    place_cursor(moodle_db.url, 1_000_000)

    finding = about(patient(moodle_db.url), "cursor")

    assert finding.level == "problem"
    assert str(finding.remedy).startswith("mih cursor set latest")


def test_rows_that_were_deleted_unread_are_a_problem(moodle_db: Database, patient: Patient) -> None:
    configure(moodle_db.url)
    empty_log(moodle_db.url)
    insert_rows(moodle_db.url, [log_row(id=5000)])
    place_cursor(moodle_db.url, 4000)

    finding = about(patient(moodle_db.url), "loglifetime")

    assert finding.level == "problem"
    assert finding.text.startswith("the log begins at row 5000, but only rows up to 4000 were read")


def test_a_backlog_near_the_end_of_loglifetime_is_a_warning(
    moodle_db: Database, patient: Patient, clock: FakeClock
) -> None:
    configure(moodle_db.url)
    empty_log(moodle_db.url)
    insert_rows(moodle_db.url, [log_row(id=5000), log_row(id=5001)])
    place_cursor(moodle_db.url, 5000)
    clock.advance(20 * 86_400)

    finding = about(patient(moodle_db.url), "loglifetime")

    assert finding.level == "warning"
    assert finding.text == "the next row to read is 20 days old, and Moodle deletes rows after 30 days"


def test_a_cursor_of_another_site_name_is_a_warning(moodle_db: Database, patient: Patient) -> None:
    place_cursor(moodle_db.url, 10, site="old-campus")

    finding = about(patient(moodle_db.url), "site")

    assert finding.level == "warning"
    assert finding.text.startswith("the store knows old-campus, but not campus")


def test_what_stops_a_service_is_told(moodle_db: Database, patient: Patient, clock: FakeClock) -> None:
    store = Store(moodle_db.url)
    with store.write() as conn:
        conn.execute(
            insert(tables.circuits).values(
                service="crm",
                state=CircuitState.OPEN,
                failures=5,
                opened_at=clock.now(),
                last_error="answered 503",
                updated_at=clock.now(),
            )
        )
        conn.execute(
            insert(tables.services).values(
                name="crm",
                type="rest",
                base_url="",
                auth="none",
                settings="{}",
                source="file",
                enabled=True,
                paused=True,
                updated_at=clock.now(),
            )
        )
        assert services.paused(conn) == {"crm"}
        assert circuits.load_all(conn)["crm"].state is CircuitState.OPEN
    store.close()

    warnings = [one for one in patient(moodle_db.url).findings if one.subject == "service crm"]

    assert [one.text for one in warnings if one.level == "warning"] == [
        "was paused by hand: its deliveries wait",
        "its circuit is open since 2026-03-02 08:00 UTC, after: answered 503",
    ]


def test_pending_migrations_stop_only_who_checks(bare_moodle_db: Database, patient: Patient) -> None:
    applied = about(patient(bare_moodle_db.url), "migrations")
    checked = about(patient(bare_moodle_db.url, store={"migrate": "check"}), "migrations")

    assert (applied.level, applied.remedy) == ("note", "mih migrate does it now")
    assert (checked.level, checked.remedy) == ("problem", "mih migrate")


def test_tables_of_our_names_that_somebody_else_made_are_a_problem(
    bare_moodle_db: Database, patient: Patient
) -> None:
    run(bare_moodle_db.url, "CREATE TABLE mih_queue (id INTEGER)")

    finding = about(patient(bare_moodle_db.url), "migrations")

    assert finding.level == "problem"
    assert finding.text.startswith("mih_queue: these tables are there")


def test_nothing_is_changed_by_looking(moodle_db: Database, patient: Patient) -> None:
    place_cursor(moodle_db.url, 1)

    def state() -> list[object]:
        with create_engine(moodle_db.url, poolclass=NullPool).connect() as conn:
            names = [LOG, "mdl_user", *tables.metadata.tables]
            return [conn.execute(text(f"SELECT * FROM {name}")).all() for name in names]

    before = state()
    patient(moodle_db.url)

    assert state() == before


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_database_that_is_down_ends_with_4_and_the_rest_is_looked_at(
    bare_moodle_db: Database, databases: Databases, patient: Patient
) -> None:
    assert isinstance(databases, Server)
    databases.stop()

    report = patient(bare_moodle_db.url)

    assert report.exit_code is ExitCode.DATABASE
    assert about(report, "moodle.url").level == "problem"
    assert "not-a-secret" not in str(report)
    assert about(report, "service crm").level == "problem"


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_file_that_is_not_there_is_not_made(bare_moodle_db: Database, patient: Patient) -> None:
    url = bare_moodle_db.url.replace(".sqlite", "-elsewhere.sqlite")

    first, second = patient(url), patient(url)

    assert first == second
    assert first.exit_code is ExitCode.DATABASE
    assert "there is no file" in about(first, "moodle.url").text


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_store_of_its_own_is_looked_at_beside_moodle(
    bare_moodle_db: Database, patient: Patient, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/store.sqlite"

    before = patient(bare_moodle_db.url, store={"url": url})
    store = Store(url)
    migrate.apply(store)
    store.close()
    after = patient(bare_moodle_db.url, store={"url": url})

    assert about(before, "store").text.endswith("is made at the first start, or by mih migrate")
    assert about(after, "store").text.startswith("the sidecar's tables stand in a database of its own")
    assert about(after, "the clock of the store").level == "warning"
    assert about(after, "migrations").text == "all are applied"
    assert about(after, "cursor").text.startswith("there is none yet")


def test_what_waits_for_a_service_that_is_gone_or_off_can_be_settled(
    moodle_db: Database, patient: Patient, clock: FakeClock
) -> None:
    store = Store(moodle_db.url)
    with store.write() as conn:
        made = [delivery(1, "old"), delivery(2, "old"), delivery(3, "crm")]
        queue.enqueue(conn, made, now=clock.now())
    store.close()
    off = {"crm": {"base_url": "http://127.0.0.1:9", "enabled": False}}

    report = patient(moodle_db.url, services=off)

    gone = about(report, "service old")
    assert (gone.level, gone.text) == ("warning", "is not configured, and 2 deliveries wait for it")
    assert gone.remedy is not None
    assert "mih queue cancel --service old" in gone.remedy
    assert [one.text for one in report.findings if one.subject == "service crm"][-1] == (
        "is disabled in the configuration: its deliveries are queued and wait, 1 now"
    )
