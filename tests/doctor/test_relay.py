"""`mih check` on the RabbitMQ that carries deliveries."""

from collections.abc import Iterator

import pytest

from sidecar.doctor.findings import Level
from sidecar.store import relayed
from sidecar.store.engine import Database as Store
from tests.broker import RabbitMQ
from tests.databases import Database
from tests.deliveries import NOW, delivery
from tests.doctor.conftest import Patient, about
from tests.relaying import door_to, remove

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Iterator[RabbitMQ]:
    yield rabbitmq
    remove(rabbitmq, door_to(rabbitmq, "campus"))


@pytest.fixture
def carried(moodle_db: Database) -> Database:
    """A store of which RabbitMQ has three deliveries."""
    store = Store(moodle_db.url)
    with store.write() as conn:
        relayed.enqueue(conn, [delivery(number) for number in (1, 2, 3)], now=NOW)
    store.close()
    return moodle_db


def test_a_broker_that_does_all_we_need(patient: Patient, carried: Database, broker: RabbitMQ) -> None:
    report = patient(carried.url, dispatch={"engine": "rabbitmq", "broker": {"url": broker.url()}})

    found = [one for one in report.findings if one.subject == "dispatch.broker"]
    assert [one.level for one in found] == [Level.OK, Level.OK]
    assert "lets us make, write and read our queues" in found[0].text
    assert found[1].text == "it has 3 deliveries: 0 due, 0 wait for a retry"


def test_a_broker_that_is_not_there(patient: Patient, carried: Database) -> None:
    url = "amqp://mih:secret@127.0.0.1:1/moodle"

    finding = about(
        patient(carried.url, dispatch={"engine": "rabbitmq", "broker": {"url": url}}), "dispatch.broker"
    )

    assert finding.level is Level.PROBLEM
    assert finding.text.startswith("127.0.0.1:1 cannot be reached")


def test_a_node_of_a_cluster_that_is_not_there_is_told_and_the_others_do(
    patient: Patient, carried: Database, broker: RabbitMQ
) -> None:
    cluster = {"url": broker.url(), "nodes": ["127.0.0.1:1"]}

    report = patient(carried.url, dispatch={"engine": "rabbitmq", "broker": cluster})

    found = [one for one in report.findings if one.subject == "dispatch.broker"]
    assert [one.level for one in found] == [Level.WARNING, Level.OK, Level.OK]
    assert found[0].text.startswith("127.0.0.1:1 cannot be reached")
    assert found[1].text.endswith(f" at 127.0.0.1:{broker.port} lets us make, write and read our queues")


def test_back_at_the_store_what_was_carried_is_told(patient: Patient, carried: Database) -> None:
    finding = about(patient(carried.url), "dispatch.engine")

    assert finding.level is Level.WARNING
    assert finding.text.startswith("RabbitMQ was carrying 3 deliveries")
