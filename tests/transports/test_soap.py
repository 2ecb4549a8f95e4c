"""SOAP calls against a service that holds each message against its schema."""
# ruff: noqa: E501 - one case is one line

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import Clock, FakeClock, SystemClock
from sidecar.model import Attempt, Outcome
from sidecar.settings import Service
from sidecar.transports import soap_cache
from sidecar.transports.base import Transport, open_transport
from tests.receiver import Receiver, answer, echo, hang
from tests.transports.conftest import request
from tests.transports.soapserver import SoapServer, envelope, fault

Open = Callable[..., Transport]
ENROL: dict[str, Any] = {"student": {"id": 7}, "course": "math-1", "note": "hi"}


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    soap_cache.library.forget()


@pytest.fixture
def server(receiver: Receiver) -> SoapServer:
    return SoapServer(receiver)


@pytest.fixture
def opened(clock: FakeClock) -> Iterator[Open]:
    """Open a transport to a server."""
    with ExitStack() as stack:

        def make(server: SoapServer, use: Clock = clock, **options: Any) -> Transport:
            values = {"type": "soap", "base_url": server.wsdl_url, "timeout": 10, **options}
            transport = open_transport(Service.model_validate(values), use)
            stack.callback(transport.close)
            return transport

        yield make


def enrol(transport: Transport, payload: Any = None, **changes: Any) -> Attempt:
    body = json.dumps(ENROL if payload is None else payload).encode()
    return transport.send(request(**{"endpoint": "Enrol", "body": body, **changes}))


def test_payload_arrives_as_the_schema_wants_it(opened: Open, server: SoapServer) -> None:
    payload = {
        "student": {
            "id": 7,
            "email": ["a@example.org", "b@example.org"],
            "born": "2001-02-03",
            "active": True,
            "photo": "aGk=",
            "address": {"street": "1 <b> & Sons", "lines": ["x", "y"], "kind": "home"},
        },
        "course": 101,
        "since": "2026-03-02T08:00:00+01:00",
        "fee": {"_value_1": 12.50, "currency": "EUR"},
        "note": None,
        "unit": {"name": "u", "unit": [{"name": "v"}]},
    }

    attempt = enrol(opened(server), payload)

    assert (attempt.outcome, attempt.status, attempt.error) == (Outcome.DELIVERED, 200, None)
    assert server.calls[0].fields == {
        "student/id": "7",
        "student/email": "a@example.org",
        "student/email[2]": "b@example.org",
        "student/born": "2001-02-03",
        "student/active": "true",
        "student/photo": "aGk=",
        "student/address@kind": "home",
        "student/address/street": "1 <b> & Sons",
        "student/address/lines/string": "x",
        "student/address/lines/string[2]": "y",
        "course": "101",
        "since": "2026-03-02T08:00:00+01:00",
        "fee@currency": "EUR",
        "fee": "12.5",
        "note@nil": "true",
        "note": "",
        "unit/name": "u",
        "unit/unit/name": "v",
    }


@pytest.mark.parametrize(("port", "version"), [("Soap11", "1.1"), ("Soap12", "1.2")])
def test_port_decides_on_the_version(opened: Open, server: SoapServer, port: str, version: str) -> None:
    attempt = enrol(opened(server, soap={"port": port}))

    assert attempt.outcome is Outcome.DELIVERED
    assert server.calls[0].version == version


def test_endpoint_may_name_the_port(opened: Open, server: SoapServer) -> None:
    transport = opened(server)

    outcomes = [
        enrol(transport, endpoint=name).outcome
        for name in ("Soap12.Enrol", "SisService.Soap11.Enrol", "/Enrol")
    ]

    assert outcomes == [Outcome.DELIVERED] * 3
    assert [call.version for call in server.calls] == ["1.2", "1.1", "1.1"]


def test_delivery_id_and_headers_go_with_the_call(opened: Open, server: SoapServer) -> None:
    transport = opened(server, headers={"X-Tenant": "campus"}, auth={"type": "bearer", "token": "tok-1"})

    enrol(transport, headers={"X-Rule": "r", "SOAPAction": "other"})

    headers = server.calls[0].headers
    assert headers["webhook-id"] == "d-1"
    assert headers["idempotency-key"] == "d-1"
    assert headers["x-tenant"] == "campus"
    assert headers["x-rule"] == "r"
    assert headers["authorization"] == "Bearer tok-1"
    assert headers["soapaction"] == '"urn:example:sis/Enrol"'


def test_result_comes_back_as_json_when_it_is_wanted(opened: Open, server: SoapServer) -> None:
    attempt = enrol(opened(server), keep_bytes=1000)

    assert json.loads(attempt.response or "") == {"number": 7, "at": "2026-03-02 08:00:00+00:00"}


@pytest.mark.parametrize("digest", [False, True], ids=["text", "digest"])
def test_username_token_is_accepted(opened: Open, receiver: Receiver, digest: bool) -> None:
    server = SoapServer(receiver, users={"moodle": "pass & <word>"})
    auth = {"type": "wsse", "username": "moodle", "password": "pass & <word>", "digest": digest}

    attempt = enrol(opened(server, auth=auth))

    assert attempt.outcome is Outcome.DELIVERED
    assert "authorization" not in server.calls[0].headers
    assert (b"pass &amp; &lt;word&gt;" in receiver.to("/sis")[0].body) is not digest


def test_wrong_username_token_is_rejected_by_its_fault(opened: Open, receiver: Receiver) -> None:
    server = SoapServer(receiver, users={"moodle": "right"})

    attempt = enrol(opened(server, auth={"type": "wsse", "username": "moodle", "password": "wrong"}))

    assert attempt.outcome is Outcome.REJECTED
    assert attempt.error == "fault e:Client: the security token could not be authenticated (status 500)"


def test_password_that_is_echoed_is_masked_also_as_xml_writes_it(
    opened: Open, server: SoapServer, receiver: Receiver
) -> None:
    transport = opened(server, auth={"type": "wsse", "username": "moodle", "password": "pass & <word>"})
    receiver.on("/sis", answer(500, fault("e:Server", "bad password pass &amp; &lt;word&gt;!")))

    attempt = enrol(transport)

    assert "pass &amp;" not in str(attempt.response)


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ({**ENROL, "cuorse": 1}, 'cuorse: there is no such argument, did you mean "course"?'),
        ({**ENROL, "student": {"id": 7, "mail": "x"}}, 'student.mail: there is no such argument, did you mean "email"?'),
        ({**ENROL, "student": {"id": "seven"}}, "student.id: expected a whole number, got text"),
        ({**ENROL, "student": {"id": 1.5}}, "student.id: expected a whole number, got a number with a point"),
        ({**ENROL, "student": {"id": True}}, "student.id: expected a whole number, got true or false"),
        ({**ENROL, "student": {"id": 7, "active": "maybe"}}, "student.active: expected true or false, got text"),
        ({**ENROL, "student": {"id": 7, "born": "soon"}}, "student.born: expected a date such as 2026-03-02, got other text"),
        ({**ENROL, "student": {"id": 7, "photo": "no base64!"}}, "student.photo: expected Base64, got other text"),
        ({**ENROL, "student": "x"}, "student: expected an object with id, email, born, active, photo and address, got text"),
        ({**ENROL, "student": [{"id": 7}]}, "student: expected an object with id, email, born, active, photo and address, got a list"),
        ({**ENROL, "course": ["a", "b"]}, "course: expected one value, got a list"),
        ({**ENROL, "course": "a\x0bb"}, "course: XML cannot hold the character U+000B at 2"),
        ({**ENROL, "since": "yesterday"}, "since: expected a time such as 2026-03-02T08:00:00Z, got other text"),
        ({"course": "x", "note": "n"}, "Enrol.student: Missing element student"),
        ({**ENROL, "student": {}}, "Enrol.student.id: Missing element id"),
        ([1], "the payload has to be an object with the arguments by name, got a list"),
    ],
)  # fmt: skip
def test_payload_that_does_not_fit_is_never_sent(
    opened: Open, server: SoapServer, payload: Any, sentence: str
) -> None:
    attempt = enrol(opened(server), payload)

    assert attempt.outcome is Outcome.INVALID
    assert attempt.error == (
        f"it cannot be sent: {sentence}. It is Enrol(student: {{id: int, email?: [string], born?: date,"
        " active?: boolean, photo?: base64Binary, address?: {street: string, lines?: {string?: [string]},"
        " kind: string}}, course: string, since?: dateTime, fee?: {_value_1: decimal, currency?: string},"
        " note?: string, unit?: {name: string, unit?: [Unit]})"
    )
    assert server.receiver.to("/sis") == []


def test_unknown_operation_lists_what_there_is(opened: Open, server: SoapServer) -> None:
    attempt = enrol(opened(server), endpoint="Unenrol")

    assert attempt.outcome is Outcome.INVALID
    assert attempt.error == 'it cannot be sent: the WSDL has no operation "Unenrol", did you mean "Enrol"?'


def test_operation_that_has_come_since_is_found(opened: Open, server: SoapServer, clock: FakeClock) -> None:
    transport = opened(server)
    transport.send(request("Enrol", body=json.dumps(ENROL).encode()))
    server.publish(sis_xsd=server.documents["sis.xsd"].replace('name="course"', 'name="module"'))
    clock.advance(120)

    attempt = enrol(transport, {"student": {"id": 7}, "module": "m", "note": "n"})

    # The server's own schema is still the old one: that it says so shows that the message went out.
    assert attempt.outcome is Outcome.REJECTED
    assert "module" in str(attempt.error)


@pytest.mark.parametrize(
    ("status", "body", "outcome", "error"),
    [
        (500, fault("e:Client", "no such course"), Outcome.REJECTED, "fault e:Client: no such course (status 500)"),
        (500, fault("e:Client.Auth", "who?"), Outcome.REJECTED, "fault e:Client.Auth: who? (status 500)"),
        (500, fault("wsse:FailedAuthentication", "no"), Outcome.REJECTED, "fault wsse:FailedAuthentication: no (status 500)"),
        (500, fault("wsse:MessageExpired", "late"), Outcome.FAILED, "fault wsse:MessageExpired: late (status 500)"),
        (500, fault("e:Server", "out of order"), Outcome.FAILED, "fault e:Server: out of order (status 500)"),
        (500, fault("42", ""), Outcome.FAILED, "fault 42: no reason given (status 500)"),
        (200, fault("e:Client", "no"), Outcome.REJECTED, "fault e:Client: no (status 200)"),
        (200, fault("e:Server", "ill"), Outcome.FAILED, "fault e:Server: ill (status 200)"),
        (400, fault("e:Sender", "no", "1.2"), Outcome.REJECTED, "fault e:Sender: no (status 400)"),
        (500, fault("e:Receiver", "ill", "1.2"), Outcome.FAILED, "fault e:Receiver: ill (status 500)"),
        (429, fault("e:Client", "slow down"), Outcome.BUSY, "fault e:Client: slow down (status 429)"),
        (503, fault("e:Client", "closed"), Outcome.FAILED, "fault e:Client: closed (status 503)"),
        (403, fault("e:Server", "go away"), Outcome.REJECTED, "fault e:Server: go away (status 403)"),
        (401, b"who are you", Outcome.REJECTED, "answered 401 Unauthorized"),
        (503, b"<html>busy</html>", Outcome.FAILED, "answered 503 Service Unavailable"),
        (200, b"<html>log in</html>", Outcome.FAILED, "answered 200, but not in SOAP: it is a document of html"),
        (200, b"ok", Outcome.FAILED, "answered 200, but not in SOAP: it is no XML (syntax error)"),
        (200, b"", Outcome.FAILED, "answered 200, but not in SOAP: it is no XML (no element found)"),
        (202, b"", Outcome.DELIVERED, None),
        (200, envelope(""), Outcome.DELIVERED, None),
        (200, envelope("<r>" + "x" * 3_000_000 + "</r>"), Outcome.DELIVERED, None),
        (
            200,
            b'<!DOCTYPE x [<!ENTITY a "b">]>' + envelope("<r>&a;</r>"),
            Outcome.FAILED,
            "answered 200, but not in SOAP: it has a DOCTYPE, which SOAP does not allow",
        ),
    ],
)  # fmt: skip
def test_answer_says_whose_fault_it_is(  # noqa: PLR0917 - fixtures
    opened: Open, server: SoapServer, status: int, body: bytes, outcome: Outcome, error: str | None
) -> None:
    server.receiver.on("/sis", answer(status, body))

    attempt = enrol(opened(server))

    assert (attempt.outcome, attempt.status, attempt.error) == (outcome, status, error)


def test_answer_with_attachments_is_understood(opened: Open, server: SoapServer) -> None:
    body = b"--b1\r\nContent-Type: application/xop+xml\r\n\r\n" + fault("e:Server", "ill") + b"\r\n--b1--\r\n"
    kind = 'multipart/related; type="application/xop+xml"; boundary="b1"'
    server.receiver.on("/sis", answer(200, body, content_type=kind))

    attempt = enrol(opened(server))

    assert attempt.error == "fault e:Server: ill (status 200)"


def test_one_way_operation_needs_no_envelope(opened: Open, server: SoapServer) -> None:
    attempt = opened(server).send(request("Note"))

    assert (attempt.outcome, attempt.status) == (Outcome.DELIVERED, 202)
    assert server.calls[0].fields == {"a": "1"}


def test_hanging_service_is_given_up_in_time(opened: Open, server: SoapServer) -> None:
    transport = opened(server, SystemClock(), timeout=0.5)
    enrol(transport)
    server.receiver.on("/sis", hang())

    attempt = enrol(transport)

    assert attempt.outcome is Outcome.FAILED
    assert attempt.error == f"no answer from 127.0.0.1:{server.receiver.port} within 0.5 s"


def test_no_text_holds_a_credential(opened: Open, server: SoapServer) -> None:
    transport = opened(server, auth={"type": "wsse", "username": "moodle", "password": "s3cret-word"})
    server.receiver.on("/sis", echo())

    attempt = enrol(transport)

    assert attempt.status == 400
    assert "s3cret-word" not in f"{attempt}"
