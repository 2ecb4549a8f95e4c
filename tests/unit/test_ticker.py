"""Jobs go on whatever becomes of the machine's clock."""

from datetime import datetime, timedelta, tzinfo

import pytest

from sidecar import jobs
from sidecar.jobs import Ticker
from tests.acceptance.sidecar import eventually


class WallClock(datetime):
    """The machine's clock, set by the test."""

    shift = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "WallClock":
        return super().now(tz) + cls.shift


@pytest.mark.parametrize("hours", [-1, 1])
def test_jobs_go_on_when_the_clock_is_set_by_an_hour(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    for place in ("apscheduler.schedulers.base", "apscheduler.triggers.interval", "sidecar.jobs"):
        monkeypatch.setattr(f"{place}.datetime", WallClock)
    monkeypatch.setattr(WallClock, "shift", timedelta())
    monkeypatch.setattr(jobs, "_WALL_S", 0.02)
    done: list[int] = []
    ticker = Ticker()
    ticker.every(0.02, lambda: done.append(1), name="job")
    ticker.start()
    eventually(lambda: done)

    WallClock.shift = timedelta(hours=hours)
    done.clear()

    eventually(lambda: len(done) > 5, seconds=10)
    ticker.stop()
