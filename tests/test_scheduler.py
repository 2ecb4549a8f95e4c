"""What a process says of itself is of this moment."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy.exc import OperationalError

from sidecar.clock import FakeClock
from sidecar.hub import Hub, load
from sidecar.scheduler import Scheduler
from sidecar.store import replicas
from tests.databases import Database


@pytest.fixture
def hub(database: Database, tmp_path: Path, clock: FakeClock) -> Iterator[Hub]:
    path = tmp_path / "sidecar.yaml"
    path.write_text(yaml.safe_dump({"site": "campus", "moodle": {"url": database.url}}), encoding="utf-8")
    loaded = load(path, {})
    made = Hub(loaded.settings, loaded.book, role="dispatch", clock=clock, source=loaded.source)
    made.open()
    yield made
    made.close()


def said_problem(hub: Hub) -> str | None:
    with hub.store.read() as conn:
        problem: str | None = replicas.all_rows(conn)[0].problem
    return problem


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_problem_that_is_over_is_taken_back_without_waiting_for_the_next_beat(
    hub: Hub, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = OperationalError("SELECT 1", {}, ConnectionRefusedError(111, "Connection refused"))
    rounds = iter([away, away, None])

    def make_round() -> None:
        if error := next(rounds):
            raise error

    monkeypatch.setattr(hub.dispatcher, "run_once", make_round)
    scheduler = Scheduler(hub)
    for _ in range(2):
        scheduler._dispatch()
        clock.advance(scheduler._dispatch.waits_s)
    scheduler._beats()
    before = said_problem(hub)
    scheduler._beats._failed(away)  # it failed for the beat, too, which by itself would wait

    scheduler._dispatch()

    assert before is not None
    assert said_problem(hub) is None
