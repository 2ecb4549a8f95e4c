"""What databases refuse is said in words, with which of them it was and what to do."""

from collections.abc import Iterator

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from sidecar.store.engine import Database as Store
from sidecar.store.faults import explain
from tests.acceptance.sidecar import eventually
from tests.databases import Database
from tests.servers import PostgreSQL

ON_SERVERS = pytest.mark.parametrize("backend", ["mariadb", "postgresql"], indirect=True)
ON_MARIADB = pytest.mark.parametrize("backend", ["mariadb"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)


def refusal(url: str, *statements: str) -> str:
    """Return what is said of these statements, of which the last one fails."""
    store = Store(url)
    try:
        with store.write() as conn:
            for statement in statements:
                conn.execute(text(statement))
    except SQLAlchemyError as refused:
        return explain(refused, "db")
    finally:
        store.close()
    return "nothing was refused"


@pytest.fixture
def stranger(postgresql: PostgreSQL, bare_database: Database) -> Iterator[str]:
    """The URL of an account of PostgreSQL that has been given nothing."""
    postgresql.execute("CREATE ROLE mih_stranger LOGIN PASSWORD 'let-me-in'")
    yield (
        make_url(bare_database.url).set(username="mih_stranger", password="let-me-in").render_as_string(False)
    )
    postgresql.execute("DROP ROLE mih_stranger")


@ON_SERVERS
@pytest.mark.parametrize(
    ("query", "said", "name"),
    [
        ("SELECT id FROM mdl_usr", "a table is missing", "mdl_usr"),
        ("SELECT langage FROM mdl_user", "a column is missing", "langage"),
    ],
)
def test_a_missing_table_or_column_is_named(
    bare_moodle_db: Database, query: str, said: str, name: str
) -> None:
    told, _, words = refusal(bare_moodle_db.url, query).partition("its words: ")

    assert said in told
    assert name in words


@ON_POSTGRESQL
def test_a_missing_right_names_the_table(stranger: str, bare_database: Database) -> None:
    owner = Store(bare_database.url)
    with owner.write() as conn:
        conn.execute(text("CREATE TABLE mdl_user (id int)"))
    owner.close()

    told = refusal(stranger, "SELECT id FROM mdl_user")

    assert told.endswith(
        "the account has no right to do that: `mih check` prints the GRANT, "
        "`sql/grants/postgresql.sql` has all; its words: permission denied for table mdl_user"
    )
    assert "let-me-in" not in told


@ON_POSTGRESQL
def test_who_is_turned_away_by_postgresql_is_told_why(
    stranger: str, postgresql: PostgreSQL, bare_database: Database
) -> None:
    told = {}
    postgresql.execute(f'REVOKE CONNECT ON DATABASE "{bare_database.name}" FROM public')
    told["database"] = refusal(stranger, "SELECT 1")
    postgresql.execute("ALTER ROLE mih_stranger NOLOGIN")
    told["login"] = refusal(stranger, "SELECT 1")
    assert postgresql.home is not None
    rules = postgresql.home / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all mih_stranger 127.0.0.1/32 reject\n{before}")
    postgresql.execute("SELECT pg_reload_conf()")
    try:
        # The server takes its rules over in its own time; until then the role may not log in.
        eventually(lambda: "its pg_hba.conf needs a line for it" in refusal(stranger, "SELECT 1"))
    finally:
        rules.write_text(before)
        postgresql.execute("SELECT pg_reload_conf()")

    assert "may not use this database" in told["database"]
    assert 'role "mih_stranger" is not permitted to log in' in told["login"]


@ON_MARIADB
def test_a_table_that_is_full_is_a_disk_that_is_full(bare_database: Database) -> None:
    filled = refusal(
        bare_database.url,
        "SET SESSION max_heap_table_size = 16384",
        "CREATE TEMPORARY TABLE small (filler CHAR(250)) ENGINE=MEMORY",
        "INSERT INTO small SELECT 'x' FROM seq_1_to_5000",
    )

    assert filled.endswith("its disk is full: make room there; nothing is lost")


@pytest.mark.parametrize(
    ("number", "text_", "said"),
    [
        (1021, "Disk got full writing 'x'", "its disk is full: make room there; nothing is lost"),
        (1130, "Host '10.0.0.7' is not allowed", "lets this account in from other machines only"),
        (0, "", "has broken the connection"),
    ],
)
def test_what_no_test_server_says_on_demand_has_its_words(number: int, text_: str, said: str) -> None:
    error = OperationalError("SELECT 1", {}, Exception(number, text_))

    assert explain(error, "db") == f"db {said}"
