"""Thousands of old rows are replayed by real processes: live events pass them, kills lose nothing."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeSidecar
from tests.acceptance.sidecar import Sidecar, eventually
from tests.acceptance.test_kill import empty_log
from tests.databases import Database
from tests.rows import insert_rows, log_row
from tests.sink import Sink

RULE = {"name": "all", "event": "*", "service": "crm"}
MIH = (sys.executable, "-m", "sidecar")
LONG_AGO = int(time.time()) - 400 * 86_400


def mih(config: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MIH, *args, "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
        timeout=120,
    )


def old_rows(url: str, number: int) -> None:
    empty_log(url)
    insert_rows(url, [log_row(userid=n, timecreated=LONG_AGO + n) for n in range(number)])


def started(make_sidecar: MakeSidecar, *, lease: int = 8, **sections: object) -> Sidecar:
    sidecar = make_sidecar(
        rules=[RULE],
        tail={"start": "latest", "poll": 0.1, "lease": 2},
        dispatch={"lease": lease, "poll": 0.2},
        **sections,
    )
    sidecar.start()
    eventually(lambda: sidecar.has_begun or not sidecar.running)
    assert sidecar.running, sidecar.said
    return sidecar


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("backend", "rows"), [("mariadb", 5000), ("postgresql", 1500), ("sqlite", 1500)], indirect=["backend"]
)
def test_live_events_pass_a_replay(
    make_sidecar: MakeSidecar, bare_moodle_db: Database, receiver: Sink, rows: int
) -> None:
    old_rows(bare_moodle_db.url, rows)
    sidecar = started(make_sidecar)
    replaying = subprocess.Popen(
        [*MIH, "replay", "--rule", "all", "--from", "1", "--yes", "--config", sidecar.config],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    eventually(lambda: len(receiver.requests) > 50)

    waits_s, during = [], len(receiver.requests)
    for number in range(10):
        began = time.monotonic()
        insert_rows(bare_moodle_db.url, [log_row(userid=1_000_000 + number, timecreated=int(time.time()))])
        eventually(lambda n=number: any(b["userid"] == 1_000_000 + n for b in receiver.bodies))  # type: ignore[misc]
        waits_s.append(time.monotonic() - began)
    after = len(receiver.requests)
    said, _ = replaying.communicate(timeout=120)
    eventually(lambda: len(receiver.accepted) == rows + 10)
    sidecar.terminate()

    assert f"{rows:,} queued".encode() in said
    assert max(waits_s) < 2.0, waits_s
    assert receiver.repeated == 0
    print(  # noqa: T201 - the evidence, shown by -rP
        f"{rows} replayed, ten live events between numbers {during} and {after}: "
        f"the slowest arrived after {max(waits_s):.2f} s"
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("backend", ["mariadb", "postgresql", "sqlite"], indirect=True)
def test_a_replay_goes_on_after_kills(
    make_sidecar: MakeSidecar, bare_moodle_db: Database, receiver: Sink
) -> None:
    rows = 1200
    old_rows(bare_moodle_db.url, rows)
    sidecar = started(make_sidecar, lease=3, services={"crm": {"base_url": receiver.url, "timeout": 1}})
    sidecar.kill()
    assert (
        mih(sidecar.config, "replay", "--rule", "all", "--ids", "1-1000000", "--yes", "--detach").returncode
        == 0
    )
    chance = random.Random(7)

    for _ in range(3):
        sidecar.start()
        there = len(receiver.requests)
        eventually(lambda n=there: len(receiver.requests) > n + chance.randrange(1, 250))  # type: ignore[misc]
        sidecar.kill()
    sidecar.start()
    eventually(lambda: len(receiver.accepted) == rows)
    eventually(lambda: "replay.done" in sidecar.said)
    sidecar.terminate()

    [done] = json.loads(mih(sidecar.config, "replay", "list", "--json").stdout)
    assert (done["queued"], done["looked_at"], done["expected"]) == (rows, rows, rows)
    assert {body["userid"] for body in receiver.bodies} == set(range(rows))
    print(f"3 kills, {rows} replayed: 0 lost, {receiver.repeated} sent again with the same id")  # noqa: T201


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_without_a_sidecar_the_command_queues_by_itself(
    make_sidecar: MakeSidecar, bare_moodle_db: Database, receiver: Sink
) -> None:
    old_rows(bare_moodle_db.url, 700)
    sidecar = make_sidecar(rules=[RULE], tail={"start": "latest", "poll": 0.1, "lease": 2})
    assert sidecar.run("--until-idle") == 0

    said = mih(sidecar.config, "replay", "--rule", "all", "--from", "1", "--now", "--yes")
    code = sidecar.run("--until-idle")

    assert "is done: 700 queued" in said.stdout
    assert (code, len(receiver.accepted), receiver.repeated) == (0, 700, 0)
