"""CloudEvents that the official SDK reads, and xAPI statements whose id never changes."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_rabbitmq_event

from sidecar.bridge.render import Encoding, Rendered, compile_rule
from sidecar.bridge.render.envelope import attributes
from sidecar.errors import TemplateError
from sidecar.settings import Rule
from tests.unit.bridge.rendering import NASTY, make_scope

DELIVERY = "5f0d0000-0000-5000-8000-000000000001"


def sent(encoding: Encoding, payload: Any = None, *, method: str = "POST", **changes: Any) -> Rendered:
    """Return the request of an event with changes."""
    rule = Rule.model_validate(
        {"name": "r", "event": "*", "service": "crm", "payload": payload, "method": method}
    )
    template = compile_rule(rule, encoding)
    scope = make_scope(columns=template.columns, **changes) | {"delivery": {"id": DELIVERY}}
    return template.render_all(scope)


def message(made: Rendered) -> HTTPMessage:
    """Return a request as it goes over HTTP."""
    headers = {**made.headers} | ({"content-type": made.content_type} if made.content_type else {})
    return HTTPMessage(headers=headers, body=(made.body or "").encode())


STRUCTURED = Encoding("cloudevents")
BINARY = Encoding("cloudevents", binary=True)


@pytest.mark.parametrize("encoding", [STRUCTURED, BINARY], ids=["structured", "binary"])
def test_the_official_sdk_reads_both_modes(encoding: Encoding) -> None:
    made = sent(encoding, {"name": "{{ user.firstname }}", "id": "{{ objectid }}"})

    event = from_http_event(message(made))

    assert event.get_id() == DELIVERY
    assert event.get_source() == "/campus"
    assert event.get_type() == "org.moodle.core.user_created"
    assert event.get_subject() == "user/5"
    assert event.get_datacontenttype() == "application/json"
    assert event.get_time() == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert event.get_data() == {"name": NASTY, "id": 5}


def test_rabbitmq_consumers_read_binary_mode_as_well() -> None:
    made = sent(BINARY, {"id": "{{ objectid }}"})

    event = from_rabbitmq_event(
        RabbitMQMessage(
            headers=dict(made.headers), content_type=made.content_type, body=(made.body or "").encode()
        )
    )

    assert (event.get_id(), event.get_data()) == (DELIVERY, {"id": 5})


def test_strange_names_survive_in_headers_and_in_the_body() -> None:
    strange = {"objecttable": 'mdl "é" 100%41\n', "eventname": "\\local_é\\event\\x y"}

    for encoding in (STRUCTURED, BINARY):
        event = from_http_event(message(sent(encoding, {}, **strange)))
        assert event.get_subject() == 'mdl "é" 100%41\n/5'
        assert event.get_type() == "org.moodle.local_é.x y"
    assert all(
        value.isascii() and value.isprintable() for value in sent(BINARY, {}, **strange).headers.values()
    )


def test_whole_event_and_text_payloads_can_be_cloudevents() -> None:
    whole = json.loads(sent(STRUCTURED).body or "")
    text = json.loads(sent(STRUCTURED, '{"id": {{ objectid }}, "n": 7.50}').body or "")

    assert whole["data"]["eventname"] == r"\core\event\user_created"
    assert text["data"] == {"id": 5, "n": 7.5}


def test_source_can_be_set_and_what_is_unknown_is_left_away() -> None:
    found = attributes(
        make_scope(objectid=None, courseid=0, timecreated=10**18), "https://moodle.example.org"
    )

    assert found == {
        "specversion": "1.0",
        "id": "5f0d",
        "source": "https://moodle.example.org",
        "type": "org.moodle.core.user_created",
    }
    assert attributes(make_scope(objectid=None, courseid=2), "")["subject"] == "course/2"


def test_binary_mode_needs_no_body() -> None:
    made = sent(BINARY, method="GET")

    assert (made.body, made.content_type, made.headers["ce-id"]) == (None, None, DELIVERY)


STATEMENT = {
    "actor": {"mbox": "mailto:a@example.org"},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
    "object": {"id": "https://moodle.example.org"},
}
XAPI = Encoding("xapi")


def test_a_statement_gets_the_deliverys_id_and_the_version_header() -> None:
    made, again = sent(XAPI, STATEMENT), sent(XAPI, STATEMENT)

    assert json.loads(made.body or "") == {"id": DELIVERY, **STATEMENT}
    assert made.headers == {"X-Experience-API-Version": "1.0.3"}
    assert made.content_type == "application/json"
    assert again == made


def test_an_id_of_its_own_and_the_rules_version_stay() -> None:
    own = "12345678-1234-5678-9234-567812345678"
    rule = Rule.model_validate(
        {
            "name": "r",
            "event": "*",
            "service": "lrs",
            "payload": {"id": own, **STATEMENT},
            "headers": {"x-experience-api-version": "2.0.0"},
        }
    )

    made = compile_rule(rule, XAPI).render_all(make_scope())

    assert json.loads(made.body or "")["id"] == own
    assert made.headers == {"x-experience-api-version": "2.0.0"}


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ([STATEMENT], "an xAPI statement is an object"),
        ({"actor": {}, "object": "x"}, "an xAPI statement needs verb and object, each an object"),
        ({"id": "7", **STATEMENT}, "the id of an xAPI statement is a UUID"),
    ],
)
def test_what_is_no_statement_is_not_sent(payload: Any, problem: str) -> None:
    with pytest.raises(TemplateError, match=problem):
        sent(XAPI, payload)
