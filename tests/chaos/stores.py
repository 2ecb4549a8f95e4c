"""The database dies, quarrels, refuses and hangs up while rows are written, read and delivered."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

from tests.acceptance.sidecar import eventually
from tests.chaos.world import World
from tests.servers import Server

CONNECTIONS = {
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = '{0}' AND id <> CONNECTION_ID()",
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = '{0}' AND pid <> pg_backend_pid()",
}
_CUT = {"mysql": "KILL {0}", "postgresql": "SELECT pg_terminate_backend({0})"}
_IMPATIENT = {
    "mysql": ("SET GLOBAL wait_timeout = 1", "SET GLOBAL wait_timeout = 28800"),
    "postgresql": (
        'ALTER DATABASE "{0}" SET idle_session_timeout = 1000',
        'ALTER DATABASE "{0}" RESET idle_session_timeout',
    ),
}

# What a server says to the victim of a deadlock or of a serialization failure, said by chance.
_SIGNAL = """
CREATE TRIGGER mih_chaos_{0} BEFORE {1} ON {0} FOR EACH ROW
IF RAND() < {2} THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = {3}, MESSAGE_TEXT = 'Deadlock found'; END IF
"""
_RAISE = """
CREATE FUNCTION mih_chaos_{0}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF random() < {2} THEN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '{4}'; END IF;
RETURN NEW; END $$
"""
_CALL = "CREATE TRIGGER mih_chaos_{0} BEFORE {1} ON {0} FOR EACH ROW EXECUTE FUNCTION mih_chaos_{0}()"
_REFUSALS = {"mysql": (_SIGNAL,), "postgresql": (_RAISE, _CALL)}
_REFUSED = (
    ("mih_cursors", "UPDATE", 0.05, 1213, "40001"),
    ("mih_queue", "UPDATE", 0.002, 1205, "40P01"),
    ("mih_log", "INSERT", 0.002, 1213, "40001"),
)
_HURRY = {
    "mysql": "SET GLOBAL innodb_lock_wait_timeout = 3",
    "postgresql": "ALTER DATABASE \"{0}\" SET deadlock_timeout = '50ms'",
}
_DEADLOCKS = {
    "mysql": "SELECT variable_value FROM information_schema.global_status"
    " WHERE variable_name = 'INNODB_DEADLOCKS'",
    "postgresql": "SELECT deadlocks FROM pg_stat_database WHERE datname = '{0}'",
}


def restarted(world: World) -> None:
    """The database server is killed and restarted under load, and stays away for seconds."""
    server = _server(world)
    world.started(2)
    with world.writing():
        for away_s in (0.2, 2.0, 0.2):
            world.wait(world.chance.uniform(1.5, 3))
            server.kill()
            world.strike()
            world.wait(away_s)
            server.start()
        world.wait(1)


def cut(world: World) -> None:
    """The server cuts connections: those that are at work, one by one, and those that rest for a second."""
    server, name, dialect = _server(world), world.moodle.name, world.moodle.dialect
    impatient, patient = (one.format(name) for one in _IMPATIENT[dialect])
    server.execute(impatient)
    try:
        world.started(2)
        with world.writing():
            for _ in range(25):
                world.wait(world.chance.uniform(0.1, 0.4))
                for number in server.column(CONNECTIONS[dialect].format(name)):
                    if world.chance.random() < 0.5:
                        with suppress(DBAPIError):  # it has gone by itself
                            server.execute(_CUT[dialect].format(number))
                        world.strike()
        world.wait(2.5)  # now the sidecars' pools rest, and are cut, too
    finally:
        server.execute(patient)


def quarrelled(world: World) -> None:
    """Somebody locks the sidecar's rows in other orders, and by chance a statement is refused."""
    server, dialect = _server(world), world.moodle.dialect
    server.execute(_HURRY[dialect].format(world.moodle.name))
    before = _deadlocks(world)
    sidecars = world.started(2)
    _change(world, [line.format(*refused) for refused in _REFUSED for line in _REFUSALS[dialect]])
    with world.writing(), _locking_all(world):
        world.wait(10)
    _change(world, [f"DROP TRIGGER mih_chaos_{one[0]}{_of(one[0], dialect)}" for one in _REFUSED])
    true_ones = _deadlocks(world) - before
    told = sum(one.said.count("it is tried again") for one in sidecars)
    world.struck = true_ones + told
    world.notes.append(f"{true_ones} true deadlocks; {told} times a loop had to begin anew")
    assert told, "no loop met a refusal"


def _change(world: World, statements: Sequence[str]) -> None:
    """Change tables that are in use: who does so may be the victim of a deadlock, and begins anew."""
    for statement in statements:
        eventually(partial(_changed, world, statement))


def _changed(world: World, statement: str) -> bool:
    try:
        world.execute(statement)
    except OperationalError:
        return False
    return True


def _of(table: str, dialect: str) -> str:
    return f" ON {table}" if dialect == "postgresql" else ""


def _deadlocks(world: World) -> int:
    return int(_server(world).column(_DEADLOCKS[world.moodle.dialect].format(world.moodle.name))[0])


@contextmanager
def _locking_all(world: World) -> Iterator[None]:
    """Lock rows of the sidecar's tables, in an order of its own each time."""
    stop = threading.Event()
    waiting = "mih_queue WHERE state <> 'delivered' ORDER BY id"
    wanted = ["mih_cursors", f"{waiting} LIMIT 20", f"{waiting} DESC"]

    def lock() -> None:
        engine = create_engine(world.moodle.url, poolclass=NullPool)
        while not stop.is_set():
            world.chance.shuffle(wanted)
            with suppress(DBAPIError), engine.begin() as conn:
                for one in wanted:
                    conn.execute(text(f"SELECT * FROM {one} FOR UPDATE")).all()
                    stop.wait(0.02)
            stop.wait(0.05)

    thread = threading.Thread(target=lock, name="quarreller")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _server(world: World) -> Server:
    assert isinstance(world.databases, Server)
    return world.databases


def everything(world: World) -> None:
    """Kills, a restarted database, cut connections and a receiver that resets, mixed within seconds."""
    server = _server(world)
    sidecars = world.started(2)
    deeds = ["kill", "restart", "cut", "away", "kill", "cut"]
    world.chance.shuffle(deeds)
    with world.writing():
        for deed in deeds:
            world.wait(world.chance.uniform(0.2, 0.6))
            world.strike()
            if deed == "kill":
                victim = world.chance.choice(sidecars)
                victim.kill()
                victim.start()
            elif deed == "restart":
                server.kill()
                server.start()
            elif deed == "away":
                with world.post.away():
                    world.wait(0.5)
            else:
                cut_all(world, server)
    eventually(lambda: all(one.running for one in sidecars))


def cut_all(world: World, server: Server) -> None:
    """End all connections that there are at this moment."""
    for number in server.column(CONNECTIONS[world.moodle.dialect].format(world.moodle.name)):
        with suppress(DBAPIError):
            server.execute(_CUT[world.moodle.dialect].format(number))
