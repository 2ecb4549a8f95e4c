"""`Gateway.request`: the door that scripts and plugins use, with real services behind it."""

import json
from pathlib import Path
from threading import Thread

import pytest
import yaml

import sidecar
from sidecar.clock import FakeClock
from sidecar.errors import ConfigError, NotFound
from sidecar.store import circuits, log, services
from sidecar.store.engine import Database
from tests import databases
from tests.gateway.conftest import MakeGateway
from tests.receiver import Receiver, answer, echo


def test_call_returns_the_answer_and_is_logged(
    make_gateway: MakeGateway, receiver: Receiver, store: Database
) -> None:
    receiver.on("/users", answer(201, b'{"id": 7}'))

    response = make_gateway().request("crm", "/users", {"name": "Zoë"}, method="POST")

    assert (response.ok, response.status, response.attempts) == (True, 201, 1)
    assert response.json() == {"id": 7}
    [request] = receiver.to("/users")
    assert json.loads(request.body) == {"name": "Zoë"}
    assert request.header("Content-Type") == "application/json"
    with store.read() as conn:
        [row] = log.find(conn)
    assert (row.service, row.endpoint, row.attempt, row.outcome, row.status) == (
        "crm",
        "/users",
        1,
        "delivered",
        201,
    )
    assert row.response is None or "7" in row.response


def test_a_service_of_forms_gets_fields_as_moodle_s_web_services_read_them(
    make_gateway: MakeGateway, receiver: Receiver
) -> None:
    gateway = make_gateway(format="form")
    users = {"wsfunction": "core_user_create_users", "users": [{"username": "zoë", "suspended": False}]}

    gateway.request("crm", "/server.php", users)
    gateway.request("crm", "/server.php", users, method="GET")
    gateway.request("crm", "/server.php", "a=1")

    sent, asked, text = receiver.requests
    fields = (
        "wsfunction=core_user_create_users&users%5B0%5D%5Busername%5D=zo%C3%AB&users%5B0%5D%5Bsuspended%5D=0"
    )
    assert sent.body.decode() == fields
    assert sent.header("Content-Type") == "application/x-www-form-urlencoded"
    assert (asked.target, asked.body) == (f"/server.php?{fields}", b"")
    assert (text.body, text.header("Content-Type")) == (b"a=1", "application/x-www-form-urlencoded")


def test_failures_are_retried_at_once_then_after_1_2_and_4_times_the_backoff(
    make_gateway: MakeGateway, receiver: Receiver, waits: list[float], store: Database
) -> None:
    receiver.on("/x", answer(503), answer(502), answer(500), answer(200, b"fine"))

    response = make_gateway(retry={"max_retries": 3, "backoff": 2}).request("crm", "/x", {})

    assert (response.ok, response.attempts, response.body) == (True, 4, "fine")
    assert waits == [2, 4, 8]
    with store.read() as conn:
        assert [row.attempt for row in log.find(conn)] == [4, 3, 2, 1]


def test_last_error_is_returned_when_all_tries_fail(make_gateway: MakeGateway, receiver: Receiver) -> None:
    receiver.otherwise(answer(500, b"broken"))

    response = make_gateway(retry={"max_retries": 2, "backoff": 0}).request("crm", "/x", {})

    assert (response.ok, response.status, response.attempts, response.body) == (False, 500, 3, "broken")
    assert response.error is not None
    assert "500" in response.error


def test_rejected_call_is_not_repeated(make_gateway: MakeGateway, receiver: Receiver) -> None:
    receiver.otherwise(answer(422, b'{"error": "no"}'))

    response = make_gateway().request("crm", "/x", {})

    assert (response.ok, response.status, response.attempts) == (False, 422, 1)
    assert response.json() == {"error": "no"}


def test_open_circuit_answers_at_once_without_a_network_call(
    make_gateway: MakeGateway, receiver: Receiver, clock: FakeClock
) -> None:
    receiver.otherwise(answer(500))
    gateway = make_gateway(retry={"max_retries": 0}, circuit_breaker={"failure_threshold": 2, "cooldown": 30})
    gateway.request("crm", "/x", {})
    gateway.request("crm", "/x", {})

    refused = gateway.request("crm", "/x", {})

    assert (refused.ok, refused.status, refused.attempts) == (False, None, 0)
    assert refused.error is not None
    assert "circuit of crm is open until" in refused.error
    assert len(receiver.to("/x")) == 2

    clock.advance(31)
    receiver.otherwise(answer(200))
    assert gateway.request("crm", "/x", {}).ok
    assert gateway.request("crm", "/x", {}).ok


def test_twenty_threads_send_one_probe_through_an_open_circuit(
    make_gateway: MakeGateway, receiver: Receiver, clock: FakeClock, store: Database
) -> None:
    receiver.otherwise(answer(500))
    gateway = make_gateway(retry={"max_retries": 0}, circuit_breaker={"failure_threshold": 1, "cooldown": 30})
    gateway.request("crm", "/x", {})
    clock.advance(31)

    threads = [Thread(target=gateway.request, args=("crm", "/x", {})) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(receiver.to("/x")) == 2
    with store.read() as conn:
        assert circuits.load_all(conn)["crm"].state == "open"


def test_paused_service_is_not_called(
    make_gateway: MakeGateway, receiver: Receiver, store: Database, clock: FakeClock
) -> None:
    gateway = make_gateway()
    with store.write() as conn:
        services.sync(conn, gateway._settings.services, now=clock.now())
        services.pause(conn, "crm", pause=True, now=clock.now())

    response = gateway.request("crm", "/x", {})

    assert (response.ok, response.error, response.attempts) == (False, "crm is paused", 0)
    assert receiver.to("/x") == []


def test_get_puts_the_payload_into_the_query(make_gateway: MakeGateway, receiver: Receiver) -> None:
    make_gateway().request("crm", "/users", {"q": "a b&c", "id": [1, 2]}, method="GET")

    [request] = receiver.to("/users")
    assert request.target == "/users?q=a+b%26c&id=1&id=2"
    assert request.body == b""


def test_good_answers_to_get_are_cached_for_their_time(
    make_gateway: MakeGateway, receiver: Receiver, clock: FakeClock
) -> None:
    receiver.on("/a", answer(500), answer(200, b"1"), answer(200, b"2"))
    gateway = make_gateway(cache_ttl=60, retry={"max_retries": 0})

    assert not gateway.request("crm", "/a", method="GET").ok
    assert gateway.request("crm", "/a", method="GET").body == "1"
    assert gateway.request("crm", "/a", method="GET").body == "1"
    clock.advance(61)
    assert gateway.request("crm", "/a", method="GET").body == "2"


def test_one_idempotency_key_is_one_delivery_id(make_gateway: MakeGateway, receiver: Receiver) -> None:
    gateway = make_gateway()

    for key in ("order-1", "order-1", "order-2"):
        gateway.request("crm", "/x", {}, idempotency_key=key)

    first, second, third = (request.header("Idempotency-Key") for request in receiver.to("/x"))
    assert first == second != third


def test_unknown_service_names_those_there_are(make_gateway: MakeGateway) -> None:
    with pytest.raises(NotFound, match='no service "judgman"; there are: crm'):
        make_gateway().request("judgman")


def test_secret_that_the_service_echoes_is_neither_the_callers_nor_the_logs(
    make_gateway: MakeGateway, receiver: Receiver, store: Database
) -> None:
    receiver.otherwise(echo(400))
    gateway = make_gateway(auth={"type": "bearer", "token": "planted-token-1"})

    response = gateway.request("crm", "/x", {})

    assert response.status == 400
    assert response.body is not None
    assert "Authorization: Bearer ********" in response.body
    with store.read() as conn:
        assert "planted-token-1" not in str(log.find(conn))


def test_gateway_of_a_file_is_one_line_away(
    database: databases.Database, receiver: Receiver, tmp_path: Path
) -> None:
    path = tmp_path / "sidecar.yaml"
    config = {
        "site": "campus",
        "moodle": {"url": database.url},
        "services": {"crm": {"base_url": receiver.url}},
    }
    path.write_text(yaml.safe_dump(config), encoding="utf-8")

    with sidecar.Gateway.from_config(path) as gateway:
        assert gateway.request("crm", "/users", {"id": 1}, method="POST").ok


def test_gateway_of_a_broken_file_says_all_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text("site: campus\nservces: {}\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=r"servces.*did you mean"):
        sidecar.Gateway.from_config(path)


def test_answer_that_ends_as_a_secret_begins_stays_whole(
    make_gateway: MakeGateway, receiver: Receiver
) -> None:
    receiver.otherwise(answer(200, b"it was planted"))

    response = make_gateway(auth={"type": "bearer", "token": "planted-token-1"}).request("crm", "/x", {})

    assert response.body == "it was planted"


def test_secret_that_the_end_of_a_refusal_cuts_is_masked(
    make_gateway: MakeGateway, receiver: Receiver
) -> None:
    receiver.otherwise(answer(400, b"x" * 2_040 + b"planted-token-1"))

    response = make_gateway(auth={"type": "bearer", "token": "planted-token-1"}).request("crm", "/x", {})

    assert response.body == "x" * 2_040 + "********"
