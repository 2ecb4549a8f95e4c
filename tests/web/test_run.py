"""`mih run` listens: a call over HTTP is queued, sent and told, and the process ends in order."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.sidecar import Sidecar, eventually, write_config
from tests.databases import Database
from tests.process import free_port
from tests.receiver import Receiver
from tests.servers import PostgreSQL

TOKEN = "a-token-of-some-length"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def sidecar(moodle_db: Database, receiver: Receiver, tmp_path: Path) -> Iterator[Sidecar]:
    config = write_config(
        tmp_path / "sidecar.yaml",
        site="campus",
        moodle={"url": moodle_db.url},
        services={"crm": {"base_url": receiver.url}},
        web={"port": free_port(), "tokens": [{"name": "plugin", "token": TOKEN, "role": "call"}]},
    )
    running = Sidecar(config)
    yield running
    running.close()


def port_of(sidecar: Sidecar) -> int:
    return int(sidecar.config.read_text().partition("port: ")[2].split()[0])


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"], indirect=True)
def test_a_queued_call_is_sent_and_its_fate_told(sidecar: Sidecar, receiver: Receiver) -> None:
    sidecar.start()
    eventually(lambda: "web.listening" in sidecar.said)
    url = f"http://127.0.0.1:{port_of(sidecar)}"

    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=20) as client:
        call = {"endpoint": "/users", "payload": {"id": 1}, "mode": "async"}
        queued = client.post("/api/v1/services/crm/request", json=call)
        fate = queued.headers["Location"]
        eventually(lambda: client.get(fate).json()["state"] == "delivered")
        eventually(lambda: client.get("/readyz").status_code == 200)

    [request] = receiver.to("/users")
    assert request.header("webhook-id") == queued.json()["delivery_id"]
    assert sidecar.terminate() == 0
    assert "web.request method=POST path=/api/v1/services/crm/request token=plugin status=202" in sidecar.said
    assert TOKEN not in sidecar.said


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_port_that_is_taken_costs_the_api_and_not_the_deliveries(sidecar: Sidecar) -> None:
    with socket.create_server(("127.0.0.1", port_of(sidecar))):
        sidecar.start()
        eventually(lambda: "works without it" in sidecar.said)
        assert sidecar.terminate() == 0

    assert "cannot be listened on: Address already in use. Set web.port to a free one" in sidecar.said


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("options", [("--until-idle",)])
def test_a_run_until_idle_listens_nowhere(sidecar: Sidecar, options: tuple[str, ...]) -> None:
    assert sidecar.run(*options) == 0
    assert "web.listening" not in sidecar.said


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_health_is_answered_in_every_role_also_without_the_api_and_the_database(
    moodle_db: Database, databases: PostgreSQL, tmp_path: Path
) -> None:
    port = free_port()
    config = write_config(
        tmp_path / "sidecar.yaml",
        site="campus",
        moodle={"url": moodle_db.url},
        web={"enabled": False, "health_port": port},
    )
    sidecar = Sidecar(config)
    health = [sys.executable, "-m", "sidecar", "health", "--config", str(config)]
    url = f"http://127.0.0.1:{port}"
    try:
        sidecar.start("--role", "tail")
        eventually(lambda: "health.listening" in sidecar.said)
        well = [httpx.get(f"{url}{path}").status_code for path in ("/healthz", "/readyz", "/")]
        databases.kill()
        away = [httpx.get(f"{url}{path}", timeout=20) for path in ("/healthz", "/readyz")]
        alive = subprocess.run(health, capture_output=True, text=True, check=False)
    finally:
        sidecar.close()
    gone = subprocess.run(health, capture_output=True, text=True, check=False)

    assert well == [200, 200, 404]
    assert [one.status_code for one in away] == [200, 503]
    assert away[1].json() == {"status": "ill", "reason": "its database cannot be reached: its log says why"}
    assert (alive.returncode, gone.returncode) == (0, 1)
    assert "Nobody answers" in gone.stderr
