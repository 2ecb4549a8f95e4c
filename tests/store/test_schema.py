"""The migrations, the tables in the code and the SQL for a DBA are one and the same schema."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, inspect

from sidecar.store import migrate
from sidecar.store.engine import Database as Store
from sidecar.store.tables import metadata
from tests.databases import Database

SCHEMA = Path(__file__).parents[2] / "sql" / "schema"
DIALECTS = ["mysql", "postgresql", "sqlite"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_sql_for_a_dba_is_what_the_migrations_do(dialect: str) -> None:
    assert (SCHEMA / f"{dialect}.sql").read_text() == migrate.sql(dialect), "run `make schema`"


def test_the_migrations_build_the_tables_that_the_code_sees(bare_database: Database) -> None:
    store = Store(bare_database.url)
    migrate.apply(store)

    with store.read() as conn:
        context = MigrationContext.configure(
            conn, opts={"compare_type": True, "version_table": "mih_version"}
        )
        differences = compare_metadata(context, metadata)
    store.close()

    assert differences == []


def test_the_sql_for_a_dba_runs_and_leaves_nothing_to_migrate(bare_database: Database) -> None:
    text = (SCHEMA / f"{bare_database.dialect}.sql").read_text()
    with create_engine(bare_database.url, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as conn:
        for statement in filter(str.strip, text.split(";\n")):
            conn.exec_driver_sql(statement)
        names = inspect(conn).get_table_names()
    store = Store(bare_database.url)

    todo = migrate.pending(store)

    store.close()
    assert todo == []
    assert sorted(names) == sorted([*metadata.tables, "mih_version"])
