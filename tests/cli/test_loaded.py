"""What a sidecar holds in memory for as long as it runs: nothing that it does not use."""

import subprocess
import sys

import pytest

from sidecar.store import migrate
from tests.databases import Database

STARTED = """
import sys
from sidecar.cli import run
from sidecar.store import migrate
from sidecar.store.engine import Database
from sidecar.web import server
store = Database(sys.argv[1])
assert migrate.apply(store) == []
migrate.require_current(store)
print([name for name in ("alembic", "mako", "rich", "pygments", "zeep", "pika") if name in sys.modules])
"""


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_start_that_finds_its_tables_loads_no_library_that_it_does_not_use(database: Database) -> None:
    started = subprocess.run(
        [sys.executable, "-c", STARTED, database.url], capture_output=True, text=True, check=True
    )

    assert started.stdout == "[]\n"


def test_the_newest_migration_is_the_one_that_alembic_ends_with() -> None:
    last = migrate.sql("sqlite").rstrip().splitlines()[-1]

    assert f"SET version_num='{migrate.newest()}'" in last
