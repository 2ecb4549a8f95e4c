"""The Test of a service of each type, against real servers: it says what a delivery would meet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sidecar.clock import SystemClock
from sidecar.settings import Service
from sidecar.workshop import Trial, trial
from tests.broker import RabbitMQ
from tests.receiver import Receiver, answer, echo
from tests.transports.soapserver import SoapServer

SECRET = "planted-password-77"


def tried(values: dict[str, Any], **asked: Any) -> Trial:
    found = trial(Service.model_validate({"timeout": 10, **values}), SystemClock(), **asked)
    assert SECRET not in str(found)
    return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.mark.parametrize(
    ("status", "reached", "accepted"),
    [(204, True, True), (404, True, False), (429, True, False), (503, False, False)],
)
def test_a_rest_service_is_asked_by_get(
    receiver: Receiver, status: int, reached: bool, accepted: bool
) -> None:
    receiver.otherwise(answer(status))

    found = tried({"base_url": receiver.url}, endpoint="/ping")

    assert (found.reached, found.accepted, found.attempt.status) == (reached, accepted, status)
    assert [(one.method, one.target) for one in receiver.requests] == [("GET", "/ping")]


def test_what_a_service_repeats_of_its_secrets_is_masked(receiver: Receiver) -> None:
    receiver.otherwise(echo(400))

    found = tried({"base_url": receiver.url, "auth": {"type": "bearer", "token": SECRET}})

    assert found.attempt.response is not None
    assert "********" in found.attempt.response


def test_a_broker_is_logged_in_to_and_nothing_is_declared(rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.url(query="queue_declare=never-made")

    found = tried({"type": "amqp", "base_url": url})

    assert (found.reached, found.accepted, found.attempt.error) == (True, True, None)
    assert "never-made" not in _queues(rabbitmq)


def test_a_broker_that_refuses_the_password_says_so(rabbitmq: RabbitMQ) -> None:
    parts = urlsplit(rabbitmq.url())
    url = f"amqp://nobody:{SECRET}@{parts.hostname}:{parts.port}/"

    found = tried({"type": "amqp", "base_url": url})

    assert (found.reached, found.accepted, found.attempt.status) == (False, False, 403)


def test_a_soap_service_shows_its_wsdl(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    server = SoapServer(receiver)

    found = tried({"type": "soap", "base_url": server.wsdl_url})
    wrong = tried({"type": "soap", "base_url": f"{receiver.url}/nothing.wsdl"})

    assert (found.reached, found.attempt.error, server.calls) == (True, None, [])
    assert wrong.reached is False
    assert "The WSDL cannot be used" in str(wrong.attempt.error)


def _queues(rabbitmq: RabbitMQ) -> list[str]:
    connection = rabbitmq.connect()
    channel = connection.channel()
    try:
        channel.queue_declare("never-made", passive=True)
    except Exception as error:  # noqa: BLE001 - pika's own; only a queue that is there raises nothing
        return [] if "NOT_FOUND" in str(error) else [str(error)]
    finally:
        connection.close()
    return ["never-made"]
