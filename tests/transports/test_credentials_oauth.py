"""Tokens of OAuth 2: fetched once for all, renewed early, and their server's illness is its own."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs

import pytest

from sidecar.clock import FakeClock
from sidecar.model import Outcome
from sidecar.settings import Service
from sidecar.transports.http import HttpTransport
from tests.receiver import Exchange, Receiver, answer, hang, hang_up, raw
from tests.transports.conftest import Connect, request

MakeSender = Callable[..., HttpTransport]


@pytest.fixture
def kind() -> str:
    return "rest"


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[MakeSender]:
    """Open a transport to the receiver by a clock that the test turns."""
    with ExitStack() as stack:

        def make(clock: FakeClock, **options: Any) -> HttpTransport:
            service = Service.model_validate({"base_url": receiver.url, "timeout": 10, **options})
            transport = HttpTransport(service, clock)
            stack.callback(transport.close)
            return transport

        yield make


class TokenServer(Receiver):
    """Gives out t1, t2 ..., each for an hour unless told otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.life: object = 3600
        self.otherwise(self._give)

    @property
    def auth(self) -> dict[str, str]:
        return {
            "type": "oauth2",
            "token_url": f"{self.url}/token",
            "client_id": "moodle hub",
            "client_secret": "s3cret/of:ours",
        }

    def refuse(self) -> None:
        """Know nobody."""
        self.on("/token", answer(401, b'{"error": "invalid_client"}'))

    def relent(self) -> None:
        """Give out tokens again."""
        self.on("/token", self._give)

    def _give(self, exchange: Exchange) -> bool:
        said = {"access_token": f"t{len(self.requests)}", "token_type": "Bearer", "expires_in": self.life}
        return answer(200, json.dumps(said).encode())(exchange)


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


def tokens_seen(receiver: Receiver) -> list[str | None]:
    return [one.header("authorization") for one in receiver.requests]


def test_token_is_fetched_once_and_sent_with_every_request(
    sender: MakeSender, receiver: Receiver, tokens: TokenServer
) -> None:
    transport = sender(FakeClock(), auth={**tokens.auth, "scope": "users.read users.write"})

    outcomes = [transport.send(request()).outcome for _ in range(3)]

    assert outcomes == [Outcome.DELIVERED] * 3
    assert tokens_seen(receiver) == ["Bearer t1"] * 3
    (asked,) = tokens.requests
    assert asked.method == "POST"
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "scope": ["users.read users.write"],
    }
    # RFC 6749, 2.3.1: form-encoded first.
    pair = base64.b64encode(b"moodle+hub:s3cret%2Fof%3Aours").decode()
    assert asked.header("authorization") == f"Basic {pair}"


def test_id_and_secret_can_be_sent_in_the_body(
    sender: MakeSender, receiver: Receiver, tokens: TokenServer
) -> None:
    sender(FakeClock(), auth={**tokens.auth, "client_auth": "body"}).send(request())

    (asked,) = tokens.requests
    assert asked.header("authorization") is None
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["moodle hub"],
        "client_secret": ["s3cret/of:ours"],
    }


@pytest.mark.parametrize(
    ("life", "after_s", "asked"),
    [(3600, 3239, 1), (3600, 3241, 2), ("3600", 3239, 1), (None, 269, 1), (None, 271, 2), (0, 0, 2)],
)
def test_token_is_renewed_when_nine_tenths_of_its_life_are_over(
    sender: MakeSender, tokens: TokenServer, life: object, after_s: float, asked: int
) -> None:
    tokens.life = life
    clock = FakeClock()
    transport = sender(clock, auth=tokens.auth)

    transport.send(request())
    clock.advance(after_s)
    transport.send(request())

    assert len(tokens.requests) == asked


def test_old_token_is_used_while_it_lives_and_the_token_server_is_ill(
    sender: MakeSender, receiver: Receiver, tokens: TokenServer
) -> None:
    clock = FakeClock()
    transport = sender(clock, auth=tokens.auth)
    transport.send(request())
    tokens.on("/token", answer(503))

    clock.advance(3500)
    early = transport.send(request())
    clock.advance(101)
    late = transport.send(request())

    assert (early.outcome, late.outcome) == (Outcome.DELIVERED, Outcome.UNSENT)
    assert tokens_seen(receiver) == ["Bearer t1", "Bearer t1"]


def test_refused_token_is_replaced_once(sender: MakeSender, receiver: Receiver, tokens: TokenServer) -> None:
    receiver.on("/x", answer(), answer(401), answer(), answer(401), answer(401), answer())
    transport = sender(FakeClock(), auth=tokens.auth)

    attempts = [transport.send(request()) for _ in range(4)]

    assert [one.outcome for one in attempts] == [
        Outcome.DELIVERED,
        Outcome.DELIVERED,
        Outcome.REJECTED,
        Outcome.DELIVERED,
    ]
    assert [header.removeprefix("Bearer ") for header in map(str, tokens_seen(receiver))] == [
        "t1",
        "t1",
        "t2",
        "t2",
        "t3",
        "t3",
    ]
    assert len({one.body for one in receiver.requests}) == 1


def test_all_senders_share_one_token(sender: MakeSender, receiver: Receiver, tokens: TokenServer) -> None:
    tokens.on("/token", hang(tokens._give))
    clock = FakeClock()
    senders = [sender(clock, auth=tokens.auth) for _ in range(8)]
    threads = [threading.Thread(target=one.send, args=(request(),)) for one in senders]
    for thread in threads:
        thread.start()
    tokens.wait_for(1)

    tokens.released.set()
    for thread in threads:
        thread.join(20)

    assert len(tokens.requests) == 1
    assert tokens_seen(receiver) == ["Bearer t1"] * 8


@pytest.mark.parametrize(
    ("behaviour", "sentence"),
    [
        (
            answer(401, b'{"error": "invalid_client", "error_description": "unknown client"}'),
            "answered 401 invalid_client unknown client",
        ),
        (answer(400, b'{"error": ["x"]}'), "answered 400"),
        (answer(503, b"<html>s3cret/of:ours</html>"), "answered 503"),
        (answer(200, b"{}"), "its answer holds no access_token to send"),
        (answer(200, b"[" * 50_000), "its answer holds no access_token to send"),
        (answer(200, b'{"access_token": "a\\r\\nX: y"}'), "its answer holds no access_token to send"),
        (answer(302, location="https://elsewhere.example"), "answered 302"),
        (hang_up, "Server disconnected without sending a response."),
        (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "its answer begins with b'SSH-2.0-OpenSSH_9.6"),
    ],
)
def test_ill_token_server_is_not_charged_to_the_service_and_says_what_it_said(
    sender: MakeSender, receiver: Receiver, tokens: TokenServer, behaviour: Any, sentence: str
) -> None:
    tokens.on("/token", behaviour)

    attempt = sender(FakeClock(), auth=tokens.auth).send(request())

    assert attempt.outcome is Outcome.UNSENT
    assert attempt.error is not None
    assert attempt.error.startswith(f"no token from 127.0.0.1:{tokens.port}: ")
    assert sentence in attempt.error
    assert "s3cret" not in attempt.error
    assert receiver.requests == []


def test_token_server_that_hangs_ends_at_the_deadline(connect: Connect, tokens: TokenServer) -> None:
    tokens.on("/token", hang())

    attempt = connect(auth=tokens.auth, timeout=0.3).send(request())

    assert attempt.outcome is Outcome.UNSENT
    assert attempt.error == f"no token from 127.0.0.1:{tokens.port} in time"
    assert 300 <= attempt.latency_ms < 2_300


def test_token_server_is_under_the_network_rules(sender: MakeSender, receiver: Receiver) -> None:
    auth = {
        "type": "oauth2",
        "token_url": "http://169.254.169.254/token",
        "client_id": "a",
        "client_secret": "b",
    }

    attempt = sender(FakeClock(), auth=auth).send(request())

    assert attempt.outcome is Outcome.INVALID
    assert attempt.error is not None
    assert "169.254.169.254, where a cloud hands out credentials" in attempt.error
    assert receiver.requests == []


def test_token_that_is_echoed_is_masked(sender: MakeSender, receiver: Receiver, tokens: TokenServer) -> None:
    tokens.on("/token", answer(200, b'{"access_token": "s3cret-token"}'))
    receiver.on("/x", answer(403, b"s3cret-token may not do that"))

    attempt = sender(FakeClock(), auth=tokens.auth).send(request())

    assert attempt.response == "******** may not do that"
