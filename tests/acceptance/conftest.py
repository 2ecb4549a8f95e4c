"""A real Moodle's database, a receiver, and sidecars between them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.sidecar import Sidecar, write_config
from tests.broker import RabbitMQ
from tests.databases import Database
from tests.relaying import door_to, remove
from tests.sink import Sink

MakeSidecar = Callable[..., Sidecar]

ENGINES = ["database", "rabbitmq"]
EVERYTHING = {"name": "all", "event": "*", "service": "crm", "max_event_age": "none"}


@pytest.fixture
def receiver() -> Iterator[Sink]:
    """A receiver that accepts everything until the test says otherwise."""
    with Sink() as found:
        yield found


@pytest.fixture(params=["database"])
def engine(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What carries the deliveries. For both: `@pytest.mark.parametrize("engine", ENGINES, indirect=True)`."""
    if request.param == "database":
        yield {}
        return
    broker: RabbitMQ = request.getfixturevalue("rabbitmq")
    yield {"engine": "rabbitmq", "broker": {"url": broker.url()}}
    remove(broker, door_to(broker, "campus"))


@pytest.fixture
def make_sidecar(
    bare_moodle_db: Database, receiver: Sink, tmp_path: Path, engine: dict[str, Any]
) -> Iterator[MakeSidecar]:
    """Sidecars on `bare_moodle_db` that send to `receiver`; all keys of the configuration can be changed."""
    made: list[Sidecar] = []

    def make(name: str = "sidecar", *, rules: list[dict[str, Any]] | None = None, **sections: Any) -> Sidecar:
        config = {
            "site": "campus",
            "moodle": {"url": bare_moodle_db.url},
            "tail": {"start": "beginning", "poll": 0.1, "lease": 2},
            "dispatch": {"lease": 10, "poll": 0.2, **engine},
            "services": {"crm": {"base_url": receiver.url, "retry": {"backoff": 0.1}}},
            "rules": rules or [EVERYTHING],
            # Several of them run on this machine at once.
            "web": {"enabled": False},
        }
        made.append(Sidecar(write_config(tmp_path / f"{name}.yaml", **(config | sections))))
        return made[-1]

    yield make
    for item in made:
        item.close()
