"""What the request log keeps of the bodies: as much as was asked for, and no secret."""

import pytest

from sidecar.clock import FakeClock
from sidecar.gateway.line import Line
from sidecar.model import Attempt
from sidecar.settings import Service
from tests.deliveries import delivery
from tests.receiver import Receiver, answer

TOKEN = "s3cret-token"


def sent(receiver: Receiver, body: str = '{"n": 1}', **capture: object) -> Attempt:
    values = {"base_url": receiver.url, "auth": {"type": "bearer", "token": TOKEN}, "capture": capture}
    line = Line(Service.model_validate(values), FakeClock())
    try:
        return line.send(delivery(body=body))
    finally:
        line.close()


@pytest.fixture
def receiver() -> object:
    with Receiver() as made:
        yield made


def test_without_a_word_only_answers_of_failures_are_kept(receiver: Receiver) -> None:
    receiver.on("/crm", answer(200, b"fine"), answer(500, b"oops"))

    good, bad = sent(receiver), sent(receiver)

    assert (good.request, good.response) == (None, None)
    assert (bad.request, bad.response) == (None, "oops")


def test_request_is_kept_when_asked_for(receiver: Receiver) -> None:
    receiver.on("/crm", answer(200, b"fine"))

    attempt = sent(receiver, '{"name": "Zoë 😀"}', request=True)

    assert (attempt.request, attempt.response) == ('{"name": "Zoë 😀"}', None)


def test_answer_of_a_success_is_kept_when_asked_for(receiver: Receiver) -> None:
    receiver.on("/crm", answer(200, b"fine"))

    attempt = sent(receiver, response=True)

    assert (attempt.request, attempt.response) == (None, "fine")


def test_secrets_are_masked_in_both(receiver: Receiver) -> None:
    receiver.on("/crm", answer(200, f"you said {TOKEN}".encode()))

    attempt = sent(receiver, f'{{"token": "{TOKEN}"}}', request=True, response=True)

    assert attempt.request == '{"token": "********"}'
    assert attempt.response == "you said ********"


def test_bodies_end_at_the_limit_without_half_a_character(receiver: Receiver) -> None:
    receiver.on("/crm", answer(200, ("é" * 9_000).encode()))

    attempt = sent(receiver, '"' + "😀" * 9_000 + '"', request=True, response=True, max_bytes=16_384)

    assert attempt.request == '"' + "😀" * 4_095
    assert attempt.response == "é" * 8_192


def test_limit_never_cuts_a_secret_open(receiver: Receiver) -> None:
    receiver.on("/crm", answer(200, b"x" * 90 + TOKEN.encode()))

    attempt = sent(receiver, "x" * 90 + TOKEN, request=True, response=True, max_bytes=96)

    assert attempt.request == "x" * 90 + "******"
    assert TOKEN[:6] not in (attempt.response or "")
