"""What REST alone promises: methods, headers, statuses, addresses, and what an answer may ask for."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import Outcome
from sidecar.transports.http import join_url
from sidecar.transports.status import classify, retry_after
from tests.receiver import Receiver, answer, message, raw
from tests.transports.conftest import Connect, request

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
def kind() -> str:
    return "rest"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
@pytest.mark.parametrize("body", [None, b"", '{"n": "Zoë 😀"}'.encode()], ids=["none", "empty", "text"])
def test_every_method_carries_its_body_and_leaves_the_connection_whole(
    connect: Connect, receiver: Receiver, method: str, body: bytes | None
) -> None:
    transport = connect()

    first, second = (transport.send(request(method=method, body=body)) for _ in range(2))

    assert (first.outcome, second.outcome) == (Outcome.DELIVERED, Outcome.DELIVERED)
    assert [(one.method, one.body, one.connection) for one in receiver.requests] == [
        (method, body or b"", 1),
        (method, body or b"", 1),
    ]
    assert receiver.requests[0].header("content-type") == (None if body is None else "application/json")


@pytest.mark.parametrize("kind_of_answer", [204, 304])
def test_answers_that_have_no_body_end_at_once(
    connect: Connect, receiver: Receiver, kind_of_answer: int
) -> None:
    receiver.on("/x", raw(message(kind_of_answer, b"", {})))

    assert connect().send(request()).status == kind_of_answer


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *[(status, Outcome.DELIVERED) for status in (200, 201, 202, 204, 207, 299)],
        *[(status, Outcome.REJECTED) for status in (301, 302, 303, 304, 307, 308)],
        *[(status, Outcome.REJECTED) for status in (400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 451)],
        *[(status, Outcome.BUSY) for status in (408, 425, 429)],
        *[(status, Outcome.FAILED) for status in (500, 501, 502, 503, 504, 507, 599)],
    ],
)
def test_status_decides_the_outcome(status: int, outcome: Outcome) -> None:
    assert classify(status) is outcome


def test_failure_has_its_status_reason_and_response(connect: Connect, receiver: Receiver) -> None:
    receiver.on("/x", answer(503, b"be back soon", retry_after="120"))

    attempt = connect().send(request())

    assert attempt.outcome is Outcome.FAILED
    assert attempt.status == 503
    assert attempt.error == "answered 503 Service Unavailable"
    assert attempt.response == "be back soon"
    assert attempt.retry_after_s == 120


def test_redirect_is_rejected_and_says_where_it_pointed(connect: Connect, receiver: Receiver) -> None:
    receiver.on("/x", answer(301, location="https://new.example/x"))

    attempt = connect().send(request())

    assert attempt.outcome is Outcome.REJECTED
    assert attempt.error == (
        "answered 301, a redirect to https://new.example/x: not followed; put the final URL into base_url"
    )
    assert len(receiver.requests) == 1


def test_long_redirect_is_cut(connect: Connect, receiver: Receiver) -> None:
    receiver.on("/x", answer(302, location="https://new.example/" + "y" * 50_000))

    attempt = connect().send(request())

    assert attempt.error is not None
    assert len(attempt.error) < 500


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 17 ", 17),
        ("9" * 400, float("inf")),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("Mon, 02 Mar 2026 08:01:40 GMT", 100),
        ("Mon, 02 Mar 2026 08:01:40 -0000", 100),
        ("Mon, 02 Mar 2026 03:01:40 -0500", 100),
        ("Monday, 02-Mar-26 08:01:40 GMT", 100),
        ("Mon, 02 Mar 2026 07:00:00 GMT", 0),
        ("Mon, 99 Mar 2026 07:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
def test_retry_after_never_fails_whatever_it_says(value: str) -> None:
    seconds = retry_after(value, NOW)

    assert seconds is None or seconds >= 0


def test_repetitions_can_be_recognised(connect: Connect, receiver: Receiver) -> None:
    connect().send(request(delivery_id="5c1b1a52-7a43-5d0f-9f0e-2b8f7c6d3e11"))

    (got,) = receiver.requests
    assert got.header("webhook-id") == "5c1b1a52-7a43-5d0f-9f0e-2b8f7c6d3e11"
    assert got.header("idempotency-key") == "5c1b1a52-7a43-5d0f-9f0e-2b8f7c6d3e11"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "bearer", "token": "t0ken"}, "authorization", "Bearer t0ken"),
        ({"type": "apikey", "key": "k3y"}, "x-api-key", "k3y"),
        ({"type": "apikey", "key": "k3y", "header": "X-Mine"}, "x-mine", "k3y"),
        (
            {"type": "basic", "username": "moodle", "password": "ü:x"},
            "authorization",
            "Basic " + base64.b64encode("moodle:ü:x".encode()).decode(),
        ),
        ({"type": "none"}, "authorization", None),
    ],
)
def test_credentials_go_where_they_belong(
    connect: Connect, receiver: Receiver, auth: dict[str, str], header: str, value: str | None
) -> None:
    connect(auth=auth).send(request())

    assert receiver.requests[0].header(header) == value


def test_headers_of_the_rule_replace_those_of_the_service_whatever_their_case(
    connect: Connect, receiver: Receiver
) -> None:
    transport = connect(
        headers={"X-Tenant": "a", "x-stays": "s"}, auth={"type": "bearer", "token": "of-the-service"}
    )

    transport.send(
        request(
            headers={
                "x-tenant": "b",
                "content-type": "text/plain",
                "AUTHORIZATION": "Bearer of-the-rule",
                "Webhook-Id": "forged",
                "idempotency-key": "forged",
            }
        )
    )

    (got,) = receiver.requests
    assert got.header("x-tenant") == "b"
    assert got.header("x-stays") == "s"
    assert got.header("content-type") == "text/plain"
    assert got.header("authorization") == "Bearer of-the-rule"
    assert got.header("webhook-id") == "d-1"
    assert got.header("idempotency-key") == "d-1"


@pytest.mark.parametrize(
    "headers", [{"Content-Length": "3"}, {"transfer-encoding": "chunked"}, {"Connection": "close"}]
)
def test_framing_is_ours_alone(connect: Connect, receiver: Receiver, headers: dict[str, str]) -> None:
    transport = connect()

    attempts = [transport.send(request(headers=headers)).outcome for _ in range(2)]

    assert attempts == [Outcome.DELIVERED, Outcome.DELIVERED]
    assert [(one.body, one.connection) for one in receiver.requests] == [(b'{"a": 1}', 1), (b'{"a": 1}', 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": {"X-Name": "a\r\nX-Admin: yes"}},
        {"headers": {"X-Name": "a\nX-Admin: yes"}},
        {"headers": {"X-Name": "nul\0"}},
        {"headers": {"X-Name": "José"}},
        {"headers": {"X Name: y\r\nX-Admin": "yes"}},
        {"delivery_id": "d\r\nX-Admin: yes"},
        {"content_type": "text/plain\r\nX-Admin: yes"},
        {"method": "GET /admin HTTP/1.1\r\nX-Admin: yes"},
        {"endpoint": "/x HTTP/1.1\r\nX-Admin: yes"},
        {"endpoint": "/" + "x" * 70_000},
    ],
)
def test_what_no_request_can_hold_is_invalid_and_unsent(
    connect: Connect, receiver: Receiver, changes: dict[str, Any]
) -> None:
    transport = connect()

    attempt = transport.send(request(**changes))

    assert attempt.outcome is Outcome.INVALID
    assert attempt.status is None
    assert attempt.error is not None
    assert attempt.error.startswith("it cannot be sent: ")
    assert receiver.requests == []
    assert transport.send(request()).outcome is Outcome.DELIVERED


@pytest.mark.parametrize(
    ("endpoint", "target"),
    [
        ("", "/"),
        ("/users", "/users"),
        ("users?x=1&y=%20", "/users?x=1&y=%20"),
        ("?x=1", "/?x=1"),
        ("//evil.example/x", "/evil.example/x"),
        ("http://evil.example/x", "/http://evil.example/x"),
        ("@evil.example/x", "/@evil.example/x"),
        (":1@evil.example", "/:1@evil.example"),
        (".evil.example", "/.evil.example"),
        ("\\\\evil.example\\x", "/\\\\evil.example\\x"),
        ("../../../etc", "/etc"),
        ("?@evil.example/", "/?@evil.example/"),
        ("#@evil.example/", "/"),
        ("/ä b", "/%C3%A4%20b"),
    ],
)
def test_endpoint_cannot_leave_the_service(
    connect: Connect, receiver: Receiver, endpoint: str, target: str
) -> None:
    connect().send(request(endpoint))

    (got,) = receiver.requests
    assert got.target == target
    assert got.header("host") == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    ("base_url", "endpoint", "url"),
    [
        ("https://h/api", "", "https://h/api"),
        ("https://h/api/", "", "https://h/api/"),
        ("https://h/api/", "/users", "https://h/api/users"),
        ("https://h/api", "users", "https://h/api/users"),
        ("https://h/api/", "?q=1", "https://h/api?q=1"),
    ],
)
def test_endpoint_is_appended_with_one_slash(base_url: str, endpoint: str, url: str) -> None:
    assert join_url(base_url, endpoint) == url
