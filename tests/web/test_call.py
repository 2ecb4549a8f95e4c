"""Calling a service over HTTP: now or queued, once for each key, and never past what the circuit says."""

import json
from typing import Any

import pytest

from sidecar.clock import FakeClock
from sidecar.store import deliveries
from tests.receiver import Receiver, answer, echo, hang
from tests.web.conftest import MakeSite, Site

PATH = "/api/v1/services/crm/request"
ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def test_sync_call_answers_what_the_service_said(site: Site, receiver: Receiver) -> None:
    receiver.on("/users", answer(201, b'{"id": 7}'))

    told = site.call.post(PATH, json={"endpoint": "/users", "payload": {"name": "Zoë"}})

    assert told.status_code == 200
    body = told.json()
    assert (body["ok"], body["status"], body["body"], body["attempts"]) == (True, 201, '{"id": 7}', 1)
    [request] = receiver.to("/users")
    assert (request.method, json.loads(request.body)) == ("POST", {"name": "Zoë"})
    assert request.header("webhook-id") == body["delivery_id"]
    [logged] = site.view.get("/api/v1/log").json()["items"]
    assert (logged["delivery_id"], logged["status"]) == (body["delivery_id"], 201)


@ON_SQLITE
def test_refusal_of_the_service_is_an_answer_and_no_error_of_ours(site: Site, receiver: Receiver) -> None:
    receiver.otherwise(answer(422, b'{"error": "no"}'))

    told = site.call.post(PATH, json={"endpoint": "/x"})

    assert told.status_code == 200
    assert (told.json()["ok"], told.json()["status"]) == (False, 422)


def test_async_call_is_queued_durably_and_tells_its_fate(site: Site, receiver: Receiver) -> None:
    told = site.call.post(PATH, json={"endpoint": "/users", "payload": {"id": 1}, "mode": "async"})

    assert told.status_code == 202
    assert told.json()["state"] == "pending"
    fate = site.view.get(told.headers["Location"]).json()
    assert (fate["service"], fate["rule"], fate["state"], fate["tries"]) == ("crm", None, "pending", [])
    assert fate["request"] is None
    assert site.manage.get(told.headers["Location"]).json()["request"]["payload"] == '{"id": 1}'
    assert receiver.to("/users") == []


def test_one_key_is_queued_once(site: Site) -> None:
    call = {"endpoint": "/users", "payload": {"id": 1}, "mode": "async", "idempotency_key": "order-1"}

    first, second = (site.call.post(PATH, json=call).json() for _ in range(2))

    assert (first["repeated"], second["repeated"]) == (False, True)
    assert first["delivery_id"] == second["delivery_id"]
    with site.store.read() as conn:
        assert len(deliveries.find(conn)) == 1


@ON_SQLITE
def test_a_key_that_was_used_for_something_else_is_refused(site: Site) -> None:
    headers = {"Idempotency-Key": "order-1"}
    site.call.post(PATH, json={"payload": {"id": 1}, "mode": "async"}, headers=headers)

    told = site.call.post(PATH, json={"payload": {"id": 2}, "mode": "async"}, headers=headers)

    assert (told.status_code, told.json()["error"]["code"]) == (422, "key_reused")


@ON_SQLITE
def test_what_was_delivered_with_a_key_is_not_sent_again_for_a_day(
    make_site: MakeSite, receiver: Receiver, clock: FakeClock
) -> None:
    site = make_site()
    call = {"endpoint": "/users", "payload": {"id": 1}, "idempotency_key": "order-1"}

    first, second = (site.call.post(PATH, json=call).json() for _ in range(2))
    clock.advance(24 * 3600 + 1)
    third = site.call.post(PATH, json=call).json()

    assert [one["repeated"] for one in (first, second, third)] == [False, True, False]
    assert second["ok"]
    assert second["status"] == 200
    assert [request.header("Idempotency-Key") for request in receiver.to("/users")] == [
        first["delivery_id"]
    ] * 2


@ON_SQLITE
def test_what_failed_with_a_key_is_sent_again_with_the_same_id(site: Site, receiver: Receiver) -> None:
    receiver.on("/users", answer(500), answer(200))
    call = {"endpoint": "/users", "idempotency_key": "order-1"}

    first, second = (site.call.post(PATH, json=call).json() for _ in range(2))

    assert (first["ok"], second["ok"], second["repeated"]) == (False, True, False)
    assert first["delivery_id"] == second["delivery_id"]


@ON_SQLITE
def test_a_key_that_is_queued_is_not_sent_beside_the_queue(site: Site, receiver: Receiver) -> None:
    call = {"endpoint": "/users", "idempotency_key": "order-1"}
    site.call.post(PATH, json={**call, "mode": "async"})

    told = site.call.post(PATH, json=call)

    assert (told.status_code, told.json()["error"]["code"]) == (409, "in_progress")
    assert receiver.to() == []


@ON_SQLITE
def test_open_circuit_answers_503_and_when_to_come_again(
    make_site: MakeSite, receiver: Receiver, clock: FakeClock
) -> None:
    site = make_site(crm={"circuit_breaker": {"failure_threshold": 1, "cooldown": 30}})
    receiver.otherwise(answer(500))
    site.call.post(PATH, json={"endpoint": "/x"})

    told = site.call.post(PATH, json={"endpoint": "/x"})

    assert told.status_code == 503
    assert told.headers["Retry-After"] == "30"
    assert (told.json()["ok"], told.json()["attempts"]) == (False, 0)
    assert "circuit of crm is open" in told.json()["error"]
    assert len(receiver.to("/x")) == 1


@ON_SQLITE
def test_paused_service_answers_503_without_being_called(
    site: Site, receiver: Receiver, clock: FakeClock
) -> None:
    assert site.manage.post("/api/v1/services/crm/pause").json()["obstacle"] == "paused"

    told = site.call.post(PATH, json={})

    assert (told.status_code, told.json()["error"]) == (503, "crm is paused")
    assert receiver.to() == []


@ON_SQLITE
def test_a_slow_service_takes_neither_more_calls_than_it_may_nor_those_of_others(
    make_site: MakeSite, receiver: Receiver
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    receiver.on("/slow", hang())
    site = make_site(crm={"max_concurrency": 2, "timeout": 10})

    with ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(site.call.post, PATH, json={"endpoint": "/slow"}) for _ in range(2)]
        receiver.wait_for(2, "/slow")
        refused = site.call.post(PATH, json={"endpoint": "/quick"})
        listed = site.view.get("/api/v1/services")
        receiver.released.set()

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert refused.json()["error"] == "as many calls of crm as its max_concurrency allows are under way"
    assert receiver.to("/quick") == []
    assert listed.status_code == 200
    assert [one.result().json()["ok"] for one in slow] == [True, True]


@ON_SQLITE
def test_unknown_service_names_what_was_meant(site: Site) -> None:
    told = site.call.post("/api/v1/services/cmr/request", json={})

    assert told.status_code == 404
    assert told.json()["error"]["message"] == 'There is no service "cmr", did you mean "crm"?'


@ON_SQLITE
@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"heders": {}}, "body heders: nothing of that name is known here"),
        (
            {"method": "FETCH"},
            "body method: Input should be 'GET', 'POST'",
        ),
        ({"endpoint": "http://evil.example"}, "write the path only, such as /users"),
        ({"endpoint": "/a\r\nX: y"}, "body endpoint: "),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "body headers.X-A: "),
        ({"headers": {"X A": "b"}}, "is no header name"),
        ({"headers": {"Content-Length": "0"}}, "is set by the transport"),
        ({"headers": {"X-A": "ü"}}, "body headers.X-A: "),
        ({"idempotency_key": "a b"}, "body idempotency_key: "),
        ({"payload": "a\0b"}, "must not hold a NUL"),
        ([], "body: expected a JSON object"),
    ],
)
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_bad_input_is_told_in_plain_words_and_sends_nothing(
    site: Site, receiver: Receiver, call: Any, message: str, mode: str
) -> None:
    told = site.call.post(PATH, json={**call, "mode": mode} if call else call)

    assert told.status_code == 422
    assert message in told.json()["error"]["message"]
    assert receiver.to() == []


@ON_SQLITE
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"payload": NaN}',
        b'{"payload": "\\ud800"}',
        b'{"endpoint": "\\ud800"}',
        b'{"payload": \xff}',
        b'{"payload": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"payload": ' + b"9" * 5_000 + b"}",
    ],
)
def test_a_body_that_is_no_honest_json_is_refused(site: Site, receiver: Receiver, body: bytes) -> None:
    told = site.call.post(PATH, content=body, headers={"Content-Type": "application/json"})

    assert (told.status_code, told.json()["error"]["code"]) == (422, "bad_input")
    assert receiver.to() == []


@ON_SQLITE
def test_a_queued_cloudevent_is_the_same_event_when_its_key_comes_again(make_site: MakeSite) -> None:
    site = make_site(crm={"format": "cloudevents"})
    call = {"payload": {"n": 1}, "headers": {"ce-type": "t"}, "mode": "async", "idempotency_key": "order-1"}

    first, second = (site.call.post(PATH, json=call) for _ in range(2))

    assert (second.status_code, second.json()["repeated"]) == (202, True)
    queued = site.manage.get(first.headers["Location"]).json()["request"]
    event = json.loads(queued["payload"])
    assert (event["id"], event["type"], event["data"]) == (first.json()["delivery_id"], "t", {"n": 1})


@ON_SQLITE
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_is_no_statement_is_told_and_sends_nothing(
    make_site: MakeSite, receiver: Receiver, mode: str
) -> None:
    site = make_site(crm={"format": "xapi"}, rules=[])

    told = site.call.post(PATH, json={"payload": {"actor": {}, "verb": {}}, "mode": mode})

    assert told.status_code == 422
    assert told.json()["error"]["message"] == "payload: an xAPI statement needs object, each an object."
    assert receiver.to() == []


@ON_SQLITE
def test_large_bodies_are_refused_announced_or_not(site: Site) -> None:
    large = b'{"payload": "' + b"x" * 1_048_576 + b'"}'
    headers = {"Content-Type": "application/json"}

    announced = site.call.post(PATH, content=large, headers=headers)
    streamed = site.call.post(PATH, content=iter([large[:500_000], large[500_000:]]), headers=headers)

    assert (announced.status_code, streamed.status_code) == (413, 413)
    assert announced.json()["error"]["code"] == "too_large"


@ON_SQLITE
def test_payload_over_the_services_limit_is_refused(make_site: MakeSite) -> None:
    site = make_site(crm={"max_payload": 10})

    told = site.call.post(PATH, json={"payload": "12345678901", "mode": "async"})

    assert told.status_code == 422
    assert "11 bytes are over the service's max_payload of 10" in told.json()["error"]["message"]


@ON_SQLITE
def test_a_form_is_refused_with_what_to_send(site: Site) -> None:
    told = site.call.post(PATH, data={"endpoint": "/x"})

    assert (told.status_code, told.json()["error"]["code"]) == (415, "not_json")


@ON_SQLITE
def test_the_two_ways_to_give_a_key_must_agree(site: Site) -> None:
    told = site.call.post(PATH, json={"idempotency_key": "a"}, headers={"Idempotency-Key": "b"})

    assert told.status_code == 422


@ON_SQLITE
def test_what_a_careless_service_echoes_is_in_no_list(make_site: MakeSite, receiver: Receiver) -> None:
    receiver.otherwise(echo(400))
    site = make_site(crm={"auth": {"type": "bearer", "token": "planted-token-1"}})

    site.call.post(PATH, json={"endpoint": "/x"})

    said = "".join(
        site.manage.get(f"/api/v1{path}").text
        for path in ("/log", "/log/1", "/services/crm", "/circuits", "/rules/new-user", "/status")
    )
    assert "planted-token-1" not in said


@ON_SQLITE
def test_call_over_the_rate_limit_answers_503_and_when_to_come_again(
    make_site: MakeSite, receiver: Receiver
) -> None:
    site = make_site(crm={"rate_limit": "1/min"})
    site.call.post(PATH, json={"endpoint": "/x"})

    told = site.call.post(PATH, json={"endpoint": "/x"})

    assert (told.status_code, told.headers["Retry-After"]) == (503, "60")
    assert (told.json()["ok"], told.json()["attempts"]) == (False, 0)
    assert told.json()["error"] == "the rate limit of crm has no room for this call before 08:01:00 UTC"
    assert len(receiver.to("/x")) == 1


@ON_SQLITE
def test_service_that_is_gone_is_paused_by_the_call_that_finds_out(site: Site, receiver: Receiver) -> None:
    receiver.otherwise(answer(410))

    first, second = (site.call.post(PATH, json={}) for _ in range(2))

    assert (first.status_code, first.json()["status"]) == (200, 410)
    assert (second.status_code, second.json()["error"]) == (503, "crm is paused")
    assert len(receiver.to()) == 1
