"""A gateway with a real service behind it, by a clock that its waits turn."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.gateway.gateway import Gateway
from sidecar.settings import Settings
from sidecar.store.engine import Database
from tests import databases
from tests.receiver import Receiver

MakeGateway = Callable[..., Gateway]


class Luck(Random):
    """Luck that never changes."""

    def __init__(self, always: float) -> None:
        super().__init__()
        self.always = always

    def random(self) -> float:
        """Return the same as ever."""
        return self.always


class Waits(list[float]):
    """The waits that a gateway asked for. `meanwhile` happens once, in the next one."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self.meanwhile: Callable[[], None] | None = None

    def wait(self, seconds: float) -> None:
        """Let the time pass."""
        self.append(round(seconds, 6))
        self._clock.advance(seconds)
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            happens()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def store(database: databases.Database) -> Iterator[Database]:
    found = Database(database.url)
    yield found
    found.close()


@pytest.fixture
def waits(clock: FakeClock) -> Waits:
    return Waits(clock)


@pytest.fixture
def make_gateway(
    store: Database, receiver: Receiver, clock: FakeClock, waits: Waits
) -> Iterator[MakeGateway]:
    """Gateways whose service crm is `receiver`; keywords change the service, `luck` is in its jitter."""
    made: list[Gateway] = []

    def make(*, luck: float = 0, **crm: Any) -> Gateway:
        settings = Settings.model_validate(
            {
                "site": "campus",
                "moodle": {"url": "sqlite:////nowhere.sqlite"},
                "services": {"crm": {"base_url": receiver.url, **crm}},
            }
        )
        made.append(Gateway(settings, store, clock=clock, wait=waits.wait, chance=Luck(luck)))
        return made[-1]

    yield make
    for gateway in made:
        gateway.close()
