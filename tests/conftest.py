"""What every test can ask for: a clock that stands still, fresh databases, and the servers that hold them."""

import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import TypeVar

import hypothesis
import pytest

from sidecar.clock import FakeClock
from sidecar.store import migrate
from sidecar.store.engine import Database as Store
from tests import campus
from tests.broker import RabbitMQ
from tests.databases import Database, Databases, SQLiteFolder
from tests.servers import MariaDB, PostgreSQL, Server, ServerMissing

BACKENDS = ("sqlite", "mariadb", "postgresql")

AnyServer = TypeVar("AnyServer", bound=Server | RabbitMQ)
_servers: list[Server | RabbitMQ] = []


def pytest_configure() -> None:
    """Let SIGTERM end the session as Ctrl-C does, so that servers are stopped and their folders removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    hypothesis.settings.register_profile("untimed", deadline=None)  # no test may fail for a slow machine
    hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole processes: a long test that comes last has the other workers wait for it."""
    items.sort(key=lambda item: "acceptance" not in item.path.parts)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 2026-03-02 08:00 UTC until the test moves it."""
    return FakeClock()


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> SQLiteFolder:
    """A folder of SQLite files, with the methods of a server that make sense for it."""
    return SQLiteFolder(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB server of this session. A test may stop or kill it: it is up again for the next."""
    yield from _lent(MariaDB())


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server of this session. A test may stop or kill it: it is up again for the next."""
    yield from _lent(PostgreSQL())


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A message broker of this session. A test may stop or kill it: it is up again for the next."""
    yield from _lent(RabbitMQ())


@pytest.fixture(autouse=True)
def _standing_servers() -> Iterator[None]:
    """Start again what a test has stopped or killed."""
    yield
    for server in _servers:
        server.start()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of database of `database` and `moodle_db`.

    A test for some of them only: `@pytest.mark.parametrize("backend", ["mariadb"], indirect=True)`.
    """
    return str(request.param)


@pytest.fixture
def databases(backend: str, request: pytest.FixtureRequest) -> Databases:
    """The running server, or folder, that this test's databases are in."""
    found: Databases = request.getfixturevalue(backend)
    return found


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    """A fresh database with the sidecar's empty tables, once for every backend."""
    yield from _made(databases, copy_of=databases.template("store", make_tables))


@pytest.fixture
def bare_database(databases: Databases) -> Iterator[Database]:
    """A fresh database without any table, once for every backend."""
    yield from _made(databases)


@pytest.fixture
def moodle_db(databases: Databases) -> Iterator[Database]:
    """A fresh copy of a real Moodle's database with the sidecar's empty tables, once for every backend."""
    yield from _made(databases, copy_of=databases.template("campus", campus.load, make_tables))


@pytest.fixture
def bare_moodle_db(databases: Databases) -> Iterator[Database]:
    """A fresh copy of a real Moodle's database as it is before the sidecar comes, once for every backend."""
    yield from _made(databases, copy_of=databases.template("moodle", campus.load))


def make_tables(url: str) -> None:
    """Make the sidecar's tables in a database."""
    store = Store(url)
    migrate.apply(store)
    store.close()


def _made(databases: Databases, copy_of: str | None = None) -> Iterator[Database]:
    name = databases.fresh_name()
    databases.create_database(name, copy_of)
    yield databases.describe(name)
    if isinstance(databases, Server):
        databases.start()
    databases.drop_database(name)


def _lent(server: AnyServer) -> Iterator[AnyServer]:
    try:
        server.start()
        _servers.append(server)
        yield server
    except ServerMissing as missing:
        absent(f"{missing}: run scripts/bring-servers as root, or name a server in {server.variable}")
    finally:
        _servers[:] = [other for other in _servers if other is not server]
        server.close()


def absent(reason: str) -> None:
    """Skip on a laptop, fail where nothing may be skipped."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(reason)
    pytest.skip(reason)
