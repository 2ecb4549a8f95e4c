"""A loop survives its failures and says what keeps it from its work."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import text

from sidecar.clock import FakeClock
from sidecar.errors import BrokerUnavailable
from sidecar.jobs import Steady
from sidecar.store.engine import Database


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


def test_a_loop_that_uses_two_databases_names_the_one_that_failed(clock: FakeClock, tmp_path: Path) -> None:
    moodle = Database(f"sqlite:///{tmp_path}/moodle.sqlite")
    store = Database(f"sqlite:///{tmp_path}/store.sqlite")
    hub: Any = SimpleNamespace(clock=clock, moodle=moodle, store=store)

    def of_store() -> None:
        with moodle.read() as conn, store.write() as writing:
            conn.execute(text("SELECT 1"))
            writing.execute(text("SELECT 1 FROM mih_queue"))

    def of_moodle() -> None:
        with moodle.read() as conn:
            conn.execute(text("SELECT 1 FROM mdl_user"))

    said = []
    for work in (of_store, of_moodle):
        loop = Steady("tail", work, hub)
        for _ in range(2):
            loop()
            clock.advance(loop.waits_s)
        said.append((loop.problem or "").partition(" ")[0])
    moodle.close()
    store.close()

    assert said == [store.shown, moodle.shown]
