"""Moodle's log table is emptied, set back and cleaned up: it is noticed, said, and waits for a decision."""

import yaml

from tests.acceptance.sidecar import eventually, write_config
from tests.chaos.world import World
from tests.rows import LOG_TABLE

_TRUNCATE = {"mysql": "TRUNCATE TABLE {0}", "postgresql": "TRUNCATE TABLE {0} RESTART IDENTITY"}


def truncated(world: World) -> None:
    """The table is emptied and its ids begin anew: reading stops, is decided on, and no new row is lost."""
    world.execute(_TRUNCATE[world.moodle.dialect].format(LOG_TABLE))
    [sidecar] = world.started()
    world.write(300)
    world.settle()

    world.execute(_TRUNCATE[world.moodle.dialect].format(LOG_TABLE))
    world.strike()
    world.write(60)
    _assert_told(world, "tail.stopped")
    _decide(world, 1)
    assert sidecar.running


def set_back(world: World) -> None:
    """Moodle's database is restored from yesterday, the store is not: old ids come again with other rows."""
    world.store_apart()
    world.started()
    world.write(200)
    world.settle()
    kept = world.ask(f"SELECT max(id) FROM {LOG_TABLE}")
    world.write(200)
    world.settle()

    world.execute(f"DELETE FROM {LOG_TABLE} WHERE id > {kept}", _next_id(world, kept + 1))
    world.strike()
    world.write(60)
    _assert_told(world, "tail.stopped")
    _decide(world, kept + 1)


def cleaned_up(world: World) -> None:
    """Moodle's cleanup passes the cursor while no sidecar runs: it is said, and what is left is delivered."""
    [sidecar] = world.started()
    world.write(200)
    world.settle()
    sidecar.terminate()
    last = world.ask(f"SELECT max(id) FROM {LOG_TABLE}")
    read = set(world.owed)
    world.write(200)

    world.execute(f"DELETE FROM {LOG_TABLE} WHERE id <= {last + 100}")
    world.strike()
    world.owed = read  # what Moodle itself has deleted nobody can deliver
    world.owe()
    sidecar.start()
    _assert_told(world, "cleanup_overtook")
    world.settle()


def _decide(world: World, number: int) -> None:
    """Go on with this row: refused first, because its id comes again, and then done as the command says."""
    refused = world.mih("cursor", "set", str(number), "--yes")
    assert refused.returncode == 1, refused.stdout
    assert f"ids_again_from: [{number}]" in refused.stderr, refused.stderr
    for one in world.sidecars:
        config = yaml.safe_load(one.config.read_text())
        config["moodle"]["ids_again_from"] = [number]
        write_config(one.config, **config)
    world.await_said("config.reloaded", *world.sidecars)
    done = world.mih("cursor", "set", str(number), "--yes")
    assert done.returncode == 0, done.stderr


def _assert_told(world: World, code: str) -> None:
    """See that `mih status` says what has happened."""
    said: dict[str, object] = {}

    def told() -> bool:
        said.update(world.status())
        return code in str(said["remarks"])

    eventually(told, seconds=30)
    world.notes.append(f"said: {said['summary']}")


def _next_id(world: World, number: int) -> str:
    """Return the statement that lets the next row have this id."""
    if world.moodle.dialect == "mysql":
        return f"ALTER TABLE {LOG_TABLE} AUTO_INCREMENT = {number}"
    return f"SELECT setval('{LOG_TABLE}_id_seq', {number}, false)"
