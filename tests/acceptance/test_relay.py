"""The same as with the store's own queue, and more of it: RabbitMQ carries what real processes deliver."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from tests.acceptance.conftest import MakeSidecar
from tests.acceptance.sidecar import Sidecar, eventually
from tests.acceptance.test_kill import await_arrivals, empty_log
from tests.broker import RabbitMQ
from tests.databases import Database
from tests.relaying import door_to, lying_at
from tests.rows import insert_rows, log_row
from tests.sink import Sink

Make = Callable[..., Sidecar]
pytestmark = [
    pytest.mark.parametrize("backend", ["mariadb"], indirect=True),
    pytest.mark.parametrize("engine", ["rabbitmq"], indirect=True),
    pytest.mark.timeout(240),
]


@pytest.fixture
def make(make_sidecar: MakeSidecar, engine: dict[str, Any], receiver: Sink) -> Make:
    def sidecar(name: str = "sidecar", service: dict[str, Any] | None = None) -> Sidecar:
        crm = {"base_url": receiver.url, "retry": {"backoff": 0.1}, "timeout": 2, **(service or {})}
        return make_sidecar(name, services={"crm": crm}, dispatch={"poll": 0.2, "lease": 5, **engine})

    return sidecar


def states(url: str) -> dict[tuple[str, int], int]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as conn:
        query = text("SELECT state, lane, COUNT(*) FROM mih_queue GROUP BY state, lane")
        return {(row[0], row[1]): row[2] for row in conn.execute(query)}


def test_killed_at_any_moment_and_the_broker_too_nothing_is_lost(
    make: Make, rabbitmq: RabbitMQ, bare_moodle_db: Database, receiver: Sink
) -> None:
    rows = 1500
    empty_log(bare_moodle_db.url)
    insert_rows(bare_moodle_db.url, [log_row(userid=n) for n in range(rows)])
    sidecar, chance = make(), random.Random(7)

    for kills_broker in (False, False, True):
        sidecar.start()
        await_arrivals(receiver, sidecar, len(receiver.requests) + chance.randrange(50, 300))
        if kills_broker:
            rabbitmq.kill()
            rabbitmq.start()
            await_arrivals(receiver, sidecar, len(receiver.requests) + 50)
        sidecar.kill()
    code = sidecar.run("--until-idle")

    assert code == 0, sidecar.said
    assert {body["userid"] for body in receiver.bodies} == set(range(rows))
    assert len(receiver.accepted) == rows
    assert states(bare_moodle_db.url) == {("delivered", 2): rows}
    assert lying_at(door_to(rabbitmq, "campus")) == 0
    print(f"{rows} deliveries: 0 lost, {receiver.repeated} sent again with the same id")  # noqa: T201 - evidence


def test_one_reads_two_send_and_failures_come_back_after_a_wait(
    make: Make, rabbitmq: RabbitMQ, bare_moodle_db: Database, receiver: Sink
) -> None:
    receiver.fail_each_once()
    empty_log(bare_moodle_db.url)
    insert_rows(bare_moodle_db.url, [log_row(userid=n) for n in range(200)])
    service = {"retry": {"backoff": 1.2}, "circuit_breaker": {"failure_threshold": 10_000}}
    reader, *senders = (make(name, service) for name in ("reader", "one", "two"))

    for sender in senders:
        sender.start("--role", "dispatch")
    assert reader.run("--until-idle", "--role", "tail") == 0
    eventually(lambda: len(receiver.accepted) == 200)
    codes = [sender.terminate() for sender in senders]

    assert codes == [0, 0], [sender.said for sender in senders]
    assert len(receiver.requests) == 400
    assert states(bare_moodle_db.url) == {("delivered", 2): 200}
    assert lying_at(door_to(rabbitmq, "campus")) == 0
