"""The stand-ins, and what asks them."""

from collections.abc import Iterator

import pytest

from sidecar.clock import FakeClock
from sidecar.identity.asking import Asker
from sidecar.settings import NetworkRules
from tests.identity.standins import Issuer, Moodle
from tests.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def asker(clock: FakeClock) -> Asker:
    return Asker(NetworkRules(), clock)


@pytest.fixture
def moodle(receiver: Receiver) -> Moodle:
    return Moodle(receiver)


@pytest.fixture
def issuer(receiver: Receiver, clock: FakeClock) -> Issuer:
    return Issuer(receiver, clock)
