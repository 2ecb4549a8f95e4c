"""The campus over time: the same story at any pace, and late rows only where a gap is still open."""

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from sidecar.clock import FakeClock
from sidecar.demo.campus import Campus
from sidecar.demo.cast import Cast
from sidecar.demo.life import Life
from sidecar.demo.story import Story

_GIVEN_UP_AT_ONCE = FakeClock().now() + timedelta(seconds=3.5)


class _World:
    """A campus whose clock a test turns."""

    def __init__(self, path: Path, given_up: Callable[[int], datetime | None]) -> None:
        dice = Random(1)
        cast = Cast(dice)
        self.path, self.clock, self.campus = path, FakeClock(), Campus(path)
        self.campus.found(cast, 1_772_438_400)
        self.life = Life(self.campus, Story(dice, cast), Random(2), clock=self.clock, given_up=given_up)

    def live(self, seconds: float, step_s: float) -> "_World":
        for number in range(1, round(seconds / step_s) + 1):
            self.clock.advance(step_s)
            self.life.step(number * step_s)
        return self

    def close(self) -> list[tuple[object, ...]]:
        self.campus.close()
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute("SELECT * FROM mdl_logstore_standard_log ORDER BY id").fetchall()


def _ids(rows: list[tuple[object, ...]]) -> set[object]:
    return {row[0] for row in rows}


@pytest.mark.parametrize("step_s", [0.25, 3.0])
def test_same_seed_writes_the_same_rows_at_any_pace(tmp_path: Path, step_s: float) -> None:
    fine = _World(tmp_path / "fine", lambda _: None).live(12, 0.05).close()
    coarse = _World(tmp_path / "coarse", lambda _: None).live(12, step_s).close()

    assert len(fine) > 80
    assert coarse == fine


def test_log_grows_by_five_to_fifteen_rows_a_second(tmp_path: Path) -> None:
    rows = _World(tmp_path / "campus", lambda _: None).live(60, 1).close()

    assert 5 * 60 < len(rows) < 15 * 60


def test_rows_come_late_below_ids_that_are_already_there(tmp_path: Path) -> None:
    world = _World(tmp_path / "campus", lambda _: _GIVEN_UP_AT_ONCE)
    world.live(4.6, 0.05)
    before = world.campus.rows

    world.live(0.5, 0.05)

    assert world.life.late == 0
    for tick in range(10):
        world.life.step(4.65 + tick * 0.05)
    assert world.life.late == 3
    assert world.campus.rows >= before + 3
    world.close()


def test_rolled_back_ids_stay_a_hole(tmp_path: Path) -> None:
    world = _World(tmp_path / "campus", lambda _: _GIVEN_UP_AT_ONCE).live(8, 0.05)

    ids = _ids(world.close())

    holes = set(range(1, len(ids) + 4)) - ids
    assert len(holes) == 3
    assert world.life.late == 3


def test_act_that_would_come_too_late_takes_new_ids_instead(tmp_path: Path) -> None:
    long_ago = FakeClock().now() - timedelta(seconds=10)
    world = _World(tmp_path / "campus", lambda _: long_ago).live(8, 0.05)

    ids = _ids(world.close())

    assert world.life.late == 0
    assert len(set(range(1, len(ids) + 7)) - ids) == 6


def test_campus_that_cannot_be_written_tells_why(tmp_path: Path) -> None:
    world = _World(tmp_path / "campus", lambda _: None)
    world.close()

    world.life.run(threading.Event())

    assert isinstance(world.life.failure, sqlite3.ProgrammingError)
