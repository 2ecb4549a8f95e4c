"""Killed at any moment, twenty times: nothing is lost, and what is sent twice has the same id."""

import random

from sqlalchemy import create_engine, text

from tests.acceptance.conftest import MakeSidecar
from tests.acceptance.sidecar import Sidecar, eventually
from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.sink import Sink

_KILLS = 20
_ROWS = 5_000
_IN_FLIGHT = 16


def await_arrivals(receiver: Sink, sidecar: Sidecar, number: int) -> None:
    eventually(lambda: len(receiver.arrivals) >= number or not sidecar.running)
    assert sidecar.running, sidecar.said


def test_twenty_kills_lose_nothing(make_sidecar: MakeSidecar, moodle_db: Database, receiver: Sink) -> None:
    engine = create_engine(moodle_db.url)
    with engine.begin() as conn:
        conn.execute(text("DELETE FROM mdl_logstore_standard_log"))
    engine.dispose()
    insert_rows(moodle_db.url, [log_row(userid=n) for n in range(_ROWS)])
    sidecar = make_sidecar(
        dispatch={"concurrency": _IN_FLIGHT, "lease": 7, "poll": 0.2},
        services={"crm": {"base_url": receiver.url, "timeout": 1}},
        tail={"start": "beginning", "poll": 0.1, "lease": 2, "batch": 200},
    )
    chance = random.Random(20)

    for _ in range(_KILLS):
        sidecar.start()
        await_arrivals(receiver, sidecar, len(receiver.arrivals) + chance.randrange(1, _ROWS // _KILLS))
        sidecar.kill()
    code = sidecar.run("--until-idle")

    assert code == 0, sidecar.said
    assert {arrival.json()["userid"] for arrival in receiver.arrivals} == set(range(_ROWS))
    assert len(receiver.accepted) == _ROWS
    assert receiver.repeated <= _KILLS * (_IN_FLIGHT + 500)
