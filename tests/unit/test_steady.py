"""A loop survives its failures and says what keeps it from its work."""

from types import SimpleNamespace
from typing import Any

from sidecar.clock import FakeClock
from sidecar.errors import BrokerUnavailable
from sidecar.jobs import Steady


def test_what_fails_twice_is_a_problem_until_it_works(clock: FakeClock) -> None:
    errors: list[Exception | None] = [*[BrokerUnavailable("it is away")] * 2, RuntimeError("oh"), None]
    made = iter(errors)
    hub: Any = SimpleNamespace(clock=clock)
    said: list[str | None] = []

    def work() -> None:
        if error := next(made):
            raise error

    loop = Steady("tail", work, hub)
    for _ in errors:
        loop()
        said.append(loop.problem)
        clock.advance(loop.waits_s)

    assert said == [None, "it is away", "RuntimeError: see its log", None]
