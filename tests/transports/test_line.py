"""The gateway's line to a service: always an Attempt, never a secret in it."""

import base64

import pytest

from sidecar.clock import FakeClock
from sidecar.gateway.line import Line
from sidecar.model import Delivery, Outcome
from sidecar.settings import Service
from tests.receiver import Receiver, answer, echo
from tests.transports.conftest import MakeLine


def delivery(**changes: object) -> Delivery:
    values: dict[str, object] = {
        "delivery_id": "d-1",
        "rule": "r",
        "rule_version": "1",
        "service": "crm",
        "event": None,
        "log_id": 1,
        "method": "POST",
        "endpoint": "/x",
        "body": "{}",
        "content_type": "application/json",
        "created_at": FakeClock().now(),
    }
    return Delivery(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "secret"),
    [
        ({"auth": {"type": "bearer", "token": "s3cret-token"}}, "s3cret-token"),
        ({"auth": {"type": "apikey", "key": "s3cret-key"}}, "s3cret-key"),
        (
            {"auth": {"type": "basic", "username": "moodle", "password": "s3cret"}},
            base64.b64encode(b"moodle:s3cret").decode(),
        ),
        ({"headers": {"X-Signature": "s3cret-header"}}, "s3cret-header"),
        ({"headers": {"Authorization": "Token s3cret-part"}}, "s3cret-part"),
    ],
)
def test_echoed_credentials_are_masked(
    make_line: MakeLine, receiver: Receiver, options: dict[str, object], secret: str
) -> None:
    receiver.on("/x", echo(400))

    attempt = make_line(**options).send(delivery())

    assert any(secret in value for _, value in receiver.requests[0].headers)
    assert attempt.response is not None
    assert "********" in attempt.response
    assert secret not in attempt.response


@pytest.mark.parametrize(
    "said", ['the token "quo\\"te/d" is wrong', "?token=quo%22te%2Fd is wrong", 'quo"te/d is wrong']
)
def test_credentials_are_masked_in_other_spellings(
    make_line: MakeLine, receiver: Receiver, said: str
) -> None:
    receiver.on("/x", answer(401, said.encode()))
    line = make_line(auth={"type": "bearer", "token": 'quo"te/d'})

    attempt = line.send(delivery())

    assert attempt.response is not None
    assert "********" in attempt.response
    assert "te/d" not in attempt.response
    assert "te%2Fd" not in attempt.response


def test_secret_that_the_end_of_the_excerpt_cuts_is_masked(make_line: MakeLine, receiver: Receiver) -> None:
    receiver.on("/x", answer(400, b"." * 2040 + b"s3cret-token"))

    attempt = make_line(auth={"type": "bearer", "token": "s3cret-token"}).send(delivery())

    assert attempt.response == "." * 2040 + "********"


def test_secrets_are_masked_in_errors(make_line: MakeLine, receiver: Receiver) -> None:
    receiver.on("/x", answer(302, location="https://x.example/?t=s3cret-token"))

    attempt = make_line(auth={"type": "bearer", "token": "s3cret-token"}).send(delivery())

    assert attempt.error is not None
    assert "https://x.example/?t=********" in attempt.error


def test_words_of_the_answer_stay(make_line: MakeLine, receiver: Receiver) -> None:
    receiver.on("/x", answer(400, b"no such user"))

    attempt = make_line(auth={"type": "basic", "username": "moodle", "password": "no"}).send(delivery())

    assert attempt.response == "no such user"


def test_service_that_no_transport_knows_costs_an_attempt_not_the_sender() -> None:
    line = Line(Service(type="pigeon", base_url="http://127.0.0.1"), FakeClock())

    attempt = line.send(delivery())

    assert attempt.outcome is Outcome.FAILED
    assert attempt.error is not None
    assert 'unknown service type "pigeon"; there are: ' in attempt.error
    line.close()


def test_body_that_has_no_bytes_costs_an_attempt_not_the_sender(make_line: MakeLine) -> None:
    line = make_line()

    attempt = line.send(delivery(body="\ud800"))

    assert attempt.outcome is Outcome.FAILED
    assert line.send(delivery()).outcome is Outcome.DELIVERED
