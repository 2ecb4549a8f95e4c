"""Killed at any moment, again and again: nothing is lost, and what is sent twice has the same id."""

import random

import pytest
from sqlalchemy import NullPool, create_engine, text

from tests.acceptance.conftest import MakeSidecar
from tests.acceptance.sidecar import Sidecar, eventually
from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.sink import Sink

_IN_FLIGHT = 16


def await_arrivals(receiver: Sink, sidecar: Sidecar, number: int) -> None:
    eventually(lambda: len(receiver.requests) >= number or not sidecar.running)
    assert sidecar.running, sidecar.said


@pytest.mark.parametrize(("backend", "kills"), [("mariadb", 4), ("sqlite", 4)], indirect=["backend"])
def test_kills_at_any_moment_lose_nothing(
    make_sidecar: MakeSidecar, bare_moodle_db: Database, receiver: Sink, kills: int
) -> None:
    chance = random.Random(20)
    arrivals = [chance.randrange(1, 230) for _ in range(kills)]
    rows = sum(arrivals) + 250
    empty_log(bare_moodle_db.url)
    insert_rows(bare_moodle_db.url, [log_row(userid=n) for n in range(rows)])
    sidecar = make_sidecar(
        dispatch={"concurrency": _IN_FLIGHT, "lease": 3, "poll": 0.2},
        services={"crm": {"base_url": receiver.url, "timeout": 1}},
    )

    for number in arrivals:
        sidecar.start()
        await_arrivals(receiver, sidecar, len(receiver.requests) + number)
        sidecar.kill()
    code = sidecar.run("--until-idle")

    assert code == 0, sidecar.said
    assert {body["userid"] for body in receiver.bodies} == set(range(rows))
    assert len(receiver.accepted) == rows
    assert receiver.repeated < rows
    print(f"{kills} kills, {rows} deliveries: 0 lost, {receiver.repeated} sent again with the same id")  # noqa: T201 - the evidence, shown by -rP


def empty_log(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as conn:
        conn.execute(text("DELETE FROM mdl_logstore_standard_log"))
