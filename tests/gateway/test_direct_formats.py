"""Direct calls in the formats that put something around a payload: what arrives is what the standards say."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from tests.gateway.conftest import MakeGateway
from tests.receiver import Received, Receiver

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
both_modes = pytest.mark.parametrize("mode", ["structured", "binary"])
STATEMENT = {
    "actor": {"mbox": "mailto:a@example.org"},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
    "object": {"id": "https://moodle.example.org"},
}


def event_in(request: Received) -> BaseCloudEvent:
    """Return what the official SDK reads in a request."""
    return from_http_event(HTTPMessage(headers=dict(request.headers), body=request.body))


@both_modes
def test_a_payload_goes_as_the_data_of_a_cloudevent(
    make_gateway: MakeGateway, receiver: Receiver, mode: str
) -> None:
    gateway = make_gateway(format="cloudevents", cloudevents=mode)

    response = gateway.request("crm", "/events", {"name": "Zoë", "id": 7})

    assert (response.ok, response.attempts) == (True, 1)
    event = event_in(receiver.requests[0])
    assert event.get_id() == response.delivery_id
    assert event.get_source() == "/campus"
    assert event.get_type() == "org.moodle.hub.call"
    assert event.get_data() == {"name": "Zoë", "id": 7}
    assert event.get_datacontenttype() == "application/json"


@both_modes
def test_attributes_are_the_callers_headers(make_gateway: MakeGateway, receiver: Receiver, mode: str) -> None:
    gateway = make_gateway(
        format="cloudevents", cloudevents=mode, cloudevents_source="https://moodle.example.org"
    )
    headers = {
        "ce-type": "org.example.order.paid",
        "CE-Subject": "order/%C3%A9%207",
        "ce-time": "2026-03-02T08:00:00Z",
        "X-Trace": "a",
    }

    gateway.request("crm", "/events", None, headers=headers)

    [request] = receiver.requests
    event = event_in(request)
    assert (event.get_type(), event.get_subject()) == ("org.example.order.paid", "order/é 7")
    assert (event.get_source(), event.get_time()) == (
        "https://moodle.example.org",
        datetime(2026, 3, 2, 8, tzinfo=UTC),
    )
    assert not event.get_data()
    assert request.header("X-Trace") == "a"


def test_in_structured_mode_everything_is_in_the_body(make_gateway: MakeGateway, receiver: Receiver) -> None:
    make_gateway(format="cloudevents").request(
        "crm", "/events", '{"n": 7.50}', headers={"ce-type": "t"}, idempotency_key="order-1"
    )

    [request] = receiver.requests
    assert request.header("Content-Type") == "application/cloudevents+json"
    assert request.header("ce-type") is None
    assert request.body == (
        b'{"specversion":"1.0","id":"%s","source":"/campus","type":"t","datacontenttype":"application/json"'
        b',"data":{"n": 7.50}}' % str(request.header("webhook-id")).encode()
    )


@both_modes
def test_a_question_is_no_event(make_gateway: MakeGateway, receiver: Receiver, mode: str) -> None:
    gateway = make_gateway(format="cloudevents", cloudevents=mode)

    gateway.request("crm", "/events", {"since": 7}, method="GET")
    gateway.request("crm", "/events/7", method="DELETE")

    assert [(one.method, one.target, one.body) for one in receiver.requests] == [
        ("GET", "/events?since=7", b""),
        ("DELETE", "/events/7", b""),
    ]
    assert [one.header("ce-id") for one in receiver.requests] == [None, None]


@pytest.mark.parametrize(
    ("payload", "headers", "why"),
    [
        ("no json", {}, "payload: this text is no JSON, as the service's format wants it"),
        ("NaN", {}, "payload: this text is no JSON, as the service's format wants it"),
        ({}, {"ce-id": "7"}, "headers: ce-id is made here; an idempotency key gives the same id again"),
        (
            {},
            {"ce-my-own": "7"},
            "headers: ce-my-own is no attribute of a CloudEvent: a to z and digits only",
        ),
    ],
)
def test_what_makes_no_cloudevent_is_not_sent(
    make_gateway: MakeGateway, receiver: Receiver, payload: Any, headers: dict[str, str], why: str
) -> None:
    response = make_gateway(format="cloudevents").request("crm", "/events", payload, headers=headers)

    assert (response.ok, response.attempts, response.error) == (False, 0, why)
    assert receiver.requests == []


def test_a_statement_goes_with_its_id_version_and_content_type(
    make_gateway: MakeGateway, receiver: Receiver
) -> None:
    gateway = make_gateway(format="xapi")

    response = gateway.request("crm", "/statements", STATEMENT)
    gateway.request("crm", "/statements", json.dumps(STATEMENT | {"id": response.delivery_id}))
    gateway.request("crm", "/statements", {"limit": 1}, method="GET")
    gateway.request("crm", "/statements", STATEMENT, headers={"x-experience-api-version": "2.0.0"})

    made, as_text, asked, _ = receiver.requests
    assert json.loads(made.body) == {"id": response.delivery_id, **STATEMENT}
    assert made.header("Content-Type") == "application/json"
    assert json.loads(as_text.body) == json.loads(made.body)
    assert (asked.target, asked.body) == ("/statements?limit=1", b"")
    versions = [one.header("X-Experience-API-Version") for one in receiver.requests]
    assert versions == ["1.0.3", "1.0.3", "1.0.3", "2.0.0"]


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (None, "payload: an xAPI statement is an object with actor, verb and object"),
        ([STATEMENT], "payload: an xAPI statement is an object with actor, verb and object"),
        ({"actor": {}, "object": "x"}, "payload: an xAPI statement needs verb and object, each an object"),
        (
            {"id": "7", **STATEMENT},
            "payload: the id of an xAPI statement is a UUID: leave it away to have one made",
        ),
    ],
)
def test_what_is_no_statement_is_not_sent(
    make_gateway: MakeGateway, receiver: Receiver, payload: Any, why: str
) -> None:
    response = make_gateway(format="xapi").request("crm", "/statements", payload)

    assert (response.ok, response.attempts, response.error) == (False, 0, why)
    assert receiver.requests == []
