"""Pages take a share of the time while there is work, and all they want while there is none."""

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import pytest

from sidecar.web.fault import Fault
from sidecar.web.governor import Governor


class Day:
    """Time that passes when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.busy = True
        self.governor = Governor(lambda: self.busy, monotonic=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await anyio.lowlevel.checkpoint()

    async def page(self, seconds: float) -> None:
        async with self.governor.turn():
            self.now += seconds


def in_a_loop(work: Callable[[], Awaitable[None]]) -> None:
    """Run in a thread of its own: in this one a browser's loop may stand still."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(anyio.run, work).result()


def hammered(day: Day, pages: int, each_s: float) -> float:
    """Return the share of the time that pages took when they were asked for without a pause."""

    async def hammer() -> None:
        for _ in range(pages):
            await day.page(each_s)

    began = day.now
    in_a_loop(hammer)
    return pages * each_s / (day.now - began)


def test_hammered_pages_take_a_twentieth_of_the_time_while_there_is_work() -> None:
    assert hammered(Day(), 5000, 0.01) == pytest.approx(0.05, abs=0.005)


def test_what_was_taken_while_there_was_no_work_is_no_debt_when_some_comes() -> None:
    day = Day()
    day.busy = False
    hammered(day, 300, 0.1)

    day.busy = True

    assert hammered(day, 1, 0.1) == pytest.approx(1.0)


def test_pages_take_what_they_want_while_there_is_no_work() -> None:
    day = Day()
    day.busy = False

    assert hammered(day, 5000, 0.01) == pytest.approx(1.0)


def test_a_few_clicks_after_a_quiet_time_wait_for_nothing() -> None:
    assert hammered(Day(), 20, 0.05) == pytest.approx(1.0)


def test_a_page_that_waits_for_a_service_is_no_work_of_ours() -> None:
    day = Day()
    hammered(day, 1, 15)

    assert hammered(day, 10, 0.05) == pytest.approx(1.0)


def test_a_crowd_is_told_to_come_again() -> None:
    day = Day()
    hammered(day, 300, 0.01)
    told: list[Fault] = []
    held_s: list[float] = []

    async def one() -> None:
        began = day.now
        try:
            await day.page(0.2)
        except Fault as fault:
            told.append(fault)
            held_s.append(day.now - began)

    async def crowd() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(one)

    in_a_loop(crowd)

    assert told
    assert {fault.status for fault in told} == {503}
    # Refused at once they would be back at once.
    assert min(held_s) >= 5


@pytest.mark.parametrize(("busy", "most"), [(True, 2), (False, 4)])
def test_few_pages_are_made_at_once_and_fewer_while_there_is_work(*, busy: bool, most: int) -> None:
    day, inside = Day(), [0]
    day.busy = busy
    seen: list[int] = []

    async def one() -> None:
        async with day.governor.turn():
            inside[0] += 1
            seen.append(inside[0])
            await day.sleep(0.01)
            inside[0] -= 1

    async def crowd() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(15):
                group.start_soon(one)

    in_a_loop(crowd)

    assert (len(seen), max(seen)) == (15, most)


def test_pages_that_wait_long_for_something_else_are_in_nobodys_way() -> None:
    day = Day()
    waited_s: list[float] = []

    async def wait_long(ends: anyio.Event) -> None:
        async with day.governor.turn():
            await ends.wait()

    async def people() -> None:
        ends = anyio.Event()
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(wait_long, ends)
                await anyio.wait_all_tasks_blocked()
                day.now += 1.5
            began = day.now
            await day.page(0.05)
            waited_s.append(day.now - began)
            ends.set()

    in_a_loop(people)

    assert waited_s == [pytest.approx(0.05)]


def test_a_moment_between_two_waves_of_work_is_no_quiet_time() -> None:
    day = Day()
    hammered(day, 300, 0.01)

    day.busy = False
    in_the_moment = hammered(day, 3, 0.2)
    day.now += 2
    afterwards = hammered(day, 300, 0.01)

    # The first of three pages of 0.2 s has waited for a second.
    assert in_the_moment == pytest.approx(0.6 / 1.6, abs=0.05)
    assert afterwards == pytest.approx(1.0)
