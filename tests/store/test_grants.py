"""The least privileges of sql/grants, granted for real: enough for the whole work, and for nothing else."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from sidecar.clock import FakeClock
from sidecar.doctor import examine
from sidecar.hub import Hub
from sidecar.moodle.logstore import LogStore
from sidecar.store import migrate, watch
from sidecar.store.engine import Database as Store
from sidecar.store.tables import metadata
from sidecar.upkeep import watch_moodle
from tests.build import loaded
from tests.databases import Database, Databases
from tests.receiver import Receiver
from tests.rows import insert_rows, log_row
from tests.servers import Server

SQL = Path(__file__).parents[2] / "sql"
PASSWORD = "not-a-secret"
PRIVATE = ("mih_secrets", "mih_sessions", "mih_users")
ACCOUNTS = ("mih_migrate", "mih_app", "mih_report")
on_both_servers = pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)

RULE = {
    "name": "seen",
    "event": r"\core\event\course_viewed",
    "max_event_age": "none",
    "payload": {
        "who": "{{ user.username }}",
        "friend": "{{ relateduser.email }}",
        "course": "{{ course.shortname }}",
        "category": "{{ category.name }}",
        "path": "{{ context.path }}",
    },
}


@dataclass(frozen=True, slots=True)
class Site:
    """A Moodle database on a server where the three accounts have what sql/grants gives them."""

    url: str
    dialect: str

    def url_of(self, account: str) -> str:
        parts = make_url(self.url).set(username=account, password=PASSWORD)
        return parts.render_as_string(hide_password=False)

    def run(self, account: str | None, *statements: str) -> None:
        url = self.url_of(account) if account else self.url
        with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as conn:
            for statement in statements:
                conn.exec_driver_sql(statement, execution_options={"no_parameters": True})


def statements(name: str, filled: dict[str, str]) -> list[str]:
    script = (SQL / name).read_text()
    for placeholder, value in filled.items():
        script = script.replace(placeholder, value)
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


@pytest.fixture
def site(bare_moodle_db: Database, databases: Databases) -> Iterator[Site]:
    server = cast("Server", databases)
    site = Site(bare_moodle_db.url, bare_moodle_db.dialect)
    filled = {
        "@MOODLE_DB@": bare_moodle_db.name,
        "@STORE_DB@": bare_moodle_db.name,
        "@PREFIX@": "mdl_",
        "@SCHEMA@": "public",
        "@HOST@": "%",
        **{f"@{who}_PASSWORD@": PASSWORD for who in ("MIGRATE", "APP", "REPORT")},
    }
    grants = statements(f"grants/{bare_moodle_db.dialect}.sql", filled)
    accounts = [one for one in grants if one.startswith("CREATE")]
    # Statements about the sidecar's tables, which are there only after `mih migrate`: the last part.
    after = [one for one in grants if _needs_tables(one)]
    before = [one for one in grants if one not in after and one not in accounts]
    try:
        site.run(None, "CREATE TABLE mdl_task_scheduled (id BIGINT, lastruntime BIGINT)")
        site.run(None, *accounts, *before)
        store = Store(site.url_of("mih_migrate"))
        migrate.apply(store)
        store.close()
        for name in ("common", bare_moodle_db.dialect):
            site.run("mih_migrate", *statements(f"views/{name}.sql", {}))
        site.run(None, *after)
        yield site
    finally:
        _drop_accounts(site, server)


def _needs_tables(statement: str) -> bool:
    return re.search(r'\.[`"]mih_', statement) is not None and "CREATE" not in statement


def _drop_accounts(site: Site, server: Server) -> None:
    for account in ACCOUNTS:
        if site.dialect == "mysql":
            server.execute(f"DROP USER IF EXISTS {account}")
        else:
            site.run(None, f"DROP OWNED BY {account} CASCADE", f"DROP ROLE {account}")


def test_every_table_is_named_in_the_grants_of_mysql() -> None:
    script = (SQL / "grants" / "mysql.sql").read_text()

    for name in metadata.tables:
        for account in ACCOUNTS:
            if account == "mih_report" and name in PRIVATE:
                continue
            assert any(f"`{name}`" in line and f"'{account}'" in line for line in script.splitlines()), (
                f"{account} has nothing on {name}"
            )


@on_both_servers
def test_the_app_account_can_do_the_whole_work(site: Site, clock: FakeClock, tmp_path: Path) -> None:
    with Receiver() as crm:
        known = loaded(
            tmp_path,
            site.url_of("mih_app"),
            rules=[RULE],
            services={"crm": {"base_url": crm.url}},
            store={"migrate": "check"},
        )
        hub = Hub(known.settings, known.book, clock=clock)
        hub.open()
        hub.tail.run_once()
        insert_rows(site.url, [log_row(userid=4, relateduserid=2, courseid=2, contextid=2)])

        assert hub.tail.run_once().queued == 1
        while not crm.requests:
            hub.dispatcher.run_once()
        hub.dispatcher.stop()
        hub.tail.release()
        hub.close()

    assert len(crm.requests) == 1
    assert b'"who"' in crm.requests[0].body
    with create_engine(site.url_of("mih_report"), poolclass=NullPool).connect() as report:
        assert report.execute(text("SELECT state FROM mih_queue")).scalar_one() == "delivered"
        assert report.execute(text("SELECT COUNT(*) FROM mih_v_dead_letters")).scalar_one() == 0


@on_both_servers
def test_the_doctor_misses_nothing_on_the_app_account(site: Site, clock: FakeClock, tmp_path: Path) -> None:
    with Receiver() as crm:
        services = {"crm": {"base_url": crm.url}}
        known = loaded(tmp_path, site.url_of("mih_app"), rules=[RULE], services=services)
        report = examine(known.settings, known.source, known.book, clock=clock)

    assert [finding for finding in report.findings if finding.level == "problem"] == []
    assert "may change" not in str(report)
    assert "mdl_user.password" not in str(report)


@on_both_servers
def test_the_app_account_can_watch_moodle(site: Site, clock: FakeClock, tmp_path: Path) -> None:
    site.run(None, "INSERT INTO mdl_task_scheduled VALUES (1, 1)")
    settings = loaded(tmp_path, site.url_of("mih_app"), rules=[RULE]).settings
    store = Store(site.url_of("mih_app"))

    found = watch_moodle(store, store, LogStore(), settings, clock)
    with store.read() as conn:
        unknown = [one.subject for one in watch.load(conn, "campus").values() if one.level == "unknown"]
    store.close()

    assert "cron_stale" in [one.code for one in found]
    assert unknown == ["json_format", "log_store"]


FORBIDDEN = {
    "mih_app": [
        "DELETE FROM mdl_logstore_standard_log WHERE id = 0",
        "UPDATE mdl_user SET firstname = 'x' WHERE id = 0",
        "INSERT INTO mdl_course_categories (name) VALUES ('x')",
        "SELECT password FROM mdl_user WHERE id = 0",
        "SELECT * FROM mdl_user WHERE id = 0",
        "SELECT id FROM mdl_grade_grades WHERE id = 0",
        "CREATE TABLE mih_other (id INTEGER)",
        "DROP TABLE mih_queue",
        "ALTER TABLE mih_queue ADD COLUMN x INTEGER",
        "UPDATE mih_audit SET who = 'x' WHERE id = 0",
    ],
    "mih_migrate": [
        "SELECT id FROM mdl_logstore_standard_log WHERE id = 0",
        "SELECT id FROM mdl_user WHERE id = 0",
        "DROP TABLE mdl_user",
    ],
    "mih_report": [
        "SELECT id FROM mdl_user WHERE id = 0",
        "DELETE FROM mih_queue WHERE id = 0",
        *(f"SELECT COUNT(*) FROM {name}" for name in PRIVATE),
        "CREATE TABLE mih_other (id INTEGER)",
    ],
}


@on_both_servers
@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_can_do_nothing_else(site: Site, account: str) -> None:
    for statement in FORBIDDEN[account]:
        with pytest.raises(DBAPIError) as refused:
            site.run(account, statement)

        said = str(refused.value.orig)
        assert "denied" in said or "must be owner" in said, statement
