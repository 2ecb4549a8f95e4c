"""What the doctor can learn about a Moodle from its database, and what it says when it cannot."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest
from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from sidecar.moodle.site import Fact, facts, find_prefixes
from tests.databases import Database, Databases
from tests.servers import Server

CONFIG = {"version": "2024100706", "release": "4.5.6 (Build: 20250811)"}
PLUGINS = {
    ("tool_log", "enabled_stores"): "logstore_standard,logstore_xapi",
    ("logstore_standard", "jsonformat"): "1",
    ("logstore_standard", "loglifetime"): "365",
}


@pytest.fixture
def conn(database: Database) -> Iterator[Connection]:
    engine = create_engine(database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def configure(conn: Connection, plugins: dict[tuple[str, str], str]) -> None:
    conn.execute(text("CREATE TABLE mdl_config (id INTEGER, name VARCHAR(255), value TEXT)"))
    conn.execute(
        text(
            "CREATE TABLE mdl_config_plugins (id INTEGER, plugin VARCHAR(100), name VARCHAR(100), value TEXT)"
        )
    )
    for name, value in CONFIG.items():
        conn.execute(text("INSERT INTO mdl_config VALUES (1, :name, :value)"), {"name": name, "value": value})
    for (plugin, name), value in plugins.items():
        values = {"plugin": plugin, "name": name, "value": value}
        conn.execute(text("INSERT INTO mdl_config_plugins VALUES (1, :plugin, :name, :value)"), values)


def test_a_moodle_says_what_it_is(conn: Connection) -> None:
    configure(conn, PLUGINS)

    site = facts(conn, "mdl_")

    assert site.version == Fact("2024100706")
    assert site.release == Fact("4.5.6 (Build: 20250811)")
    assert site.log_stores == Fact(("logstore_standard", "logstore_xapi"))
    assert site.jsonformat == Fact(True)
    assert site.loglifetime_days == Fact(365)
    assert site.auto_increment_increment == Fact(1)
    assert site.now.value is not None
    assert abs(site.now.value - datetime.now(UTC)) < timedelta(seconds=30)


def test_settings_that_were_never_saved_are_unknown(conn: Connection) -> None:
    configure(conn, {("logstore_standard", "loglifetime"): "soon"})

    site = facts(conn, "mdl_")

    assert site.jsonformat == Fact(unknown="mdl_config_plugins has no logstore_standard/jsonformat")
    assert site.loglifetime_days == Fact(unknown="'soon' is not what was expected")


def test_no_log_store_is_not_the_same_as_unknown(conn: Connection) -> None:
    configure(conn, {("tool_log", "enabled_stores"): ""})

    assert facts(conn, "mdl_").log_stores == Fact(())


def test_a_missing_table_is_named_with_the_remedy(conn: Connection) -> None:
    site = facts(conn, "moo_")

    assert site.version == Fact(
        unknown="there is no table moo_config. Mend: moodle.prefix or the database in moodle.url"
    )
    assert site.jsonformat.unknown is not None
    assert "moo_config_plugins" in site.jsonformat.unknown
    assert site.now.value is not None


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_missing_grant_is_named_with_the_remedy(
    conn: Connection, database: Database, databases: Databases
) -> None:
    configure(conn, PLUGINS)
    server, name = cast("Server", databases), f"blind_{database.name}"[-60:]
    if database.dialect == "mysql":
        conn.execute(text(f"CREATE USER {name} IDENTIFIED BY 'x'"))
        conn.execute(text(f"GRANT SELECT ON {database.name}.mdl_config TO {name}"))
    else:
        conn.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'x'"))
        conn.execute(text(f"GRANT SELECT ON mdl_config TO {name}"))
    url = make_url(database.url).set(username=name, password="x")

    with create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as blind:
        site = facts(blind, "mdl_")
    conn.execute(text(f"DROP USER {name}" if database.dialect == "mysql" else f"DROP OWNED BY {name}"))
    if database.dialect == "postgresql":
        server.execute(f"DROP ROLE {name}")

    assert site.version == Fact("2024100706")
    assert site.jsonformat == Fact(
        unknown="mdl_config_plugins may not be read."
        " Mend: GRANT SELECT ON mdl_config_plugins to the account in moodle.url"
    )


@pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
def test_a_lost_connection_is_no_fact(conn: Connection, databases: Databases) -> None:
    cast("Server", databases).kill()

    with pytest.raises(OperationalError):
        facts(conn, "mdl_")


def test_prefixes_under_which_there_is_a_log_are_found(conn: Connection) -> None:
    for prefix in ("mdl_", "moodle45_", ""):
        conn.execute(text(f"CREATE TABLE {prefix}logstore_standard_log (id INTEGER)"))
    conn.execute(text("CREATE TABLE mdl_logstore_standard_log_old (id INTEGER)"))

    assert find_prefixes(conn) == ["", "mdl_", "moodle45_"]
    assert find_prefixes(conn, "mylog") == []
