"""Through a proxy: it is told no more than it has to know, and its own failures are not the service's."""

import base64
import socket

import pytest

from sidecar.model import Outcome
from tests.receiver import Receiver, answer
from tests.transports.certificates import Authority
from tests.transports.conftest import Connect, request
from tests.transports.proxies import TestProxy

# user "hub", password "p@ss/word"
USER = "hub:p%40ss%2Fword@"
PAIR = base64.b64encode(b"hub:p@ss/word").decode()


@pytest.fixture
def kind() -> str:
    return "rest"


def test_plain_http_is_passed_on_by_its_full_address(connect: Connect, receiver: Receiver) -> None:
    with TestProxy() as proxy:
        transport = connect(
            f"http://crm.example:{receiver.port}/api", proxy=f"http://{USER}127.0.0.1:{proxy.port}"
        )

        attempt = transport.send(request("/x?a=1"))

    assert attempt.outcome is Outcome.DELIVERED
    (head,) = proxy.heads
    assert head.startswith(f"POST http://crm.example:{receiver.port}/api/x?a=1 HTTP/1.1\r\n")
    assert f"Proxy-Authorization: Basic {PAIR}" in head
    assert receiver.requests[0].header("host") == f"crm.example:{receiver.port}"


def test_https_goes_through_a_tunnel_that_sees_nothing(connect: Connect, trusted: Authority) -> None:
    with Receiver(trusted.server("DNS:crm.example")) as secure, TestProxy() as proxy:
        transport = connect(
            f"https://crm.example:{secure.port}",
            proxy=f"http://{USER}127.0.0.1:{proxy.port}",
            auth={"type": "bearer", "token": "s3cret-token"},
        )

        outcomes = [transport.send(request()).outcome for _ in range(3)]
        transport.close()

    assert outcomes == [Outcome.DELIVERED] * 3
    (head,) = proxy.heads
    assert head.splitlines() == [
        f"CONNECT crm.example:{secure.port} HTTP/1.1",
        f"Host: crm.example:{secure.port}",
        f"Proxy-Authorization: Basic {PAIR}",
    ]
    assert secure.requests[0].header("proxy-authorization") is None
    assert secure.requests[0].header("authorization") == "Bearer s3cret-token"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_proxy_that_is_away_is_not_charged_to_the_service(connect: Connect, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    attempt = connect(f"{scheme}://crm.example", proxy=f"http://{USER}127.0.0.1:{port}").send(request())

    assert attempt.outcome is Outcome.UNSENT
    assert attempt.error == (f"the proxy 127.0.0.1:{port} cannot be used: [Errno 111] Connection refused")


@pytest.mark.parametrize(
    ("says", "outcome", "sentence"),
    [
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            Outcome.UNSENT,
            "answered 407: it wants a user and a password in proxy",
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nhello", Outcome.UNSENT, "answered 403: it refuses us, or is ill"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", Outcome.UNSENT, "answered 500: it refuses us, or is ill"),
        (b"", Outcome.UNSENT, "closed the connection without an answer"),
        (b"HTTP/1.1 200 Connection est", Outcome.UNSENT, "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", Outcome.UNSENT, "did not answer in HTTP"),
        (b"HTTP/1.1 200 " + b"x" * 20_000, Outcome.UNSENT, "closed the connection without an answer"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Outcome.FAILED, "answered 502: no way to crm.example:443"),
        (b"HTTP/1.0 503 Unreachable\r\n\r\n", Outcome.FAILED, "answered 503: no way to crm.example:443"),
        (b"HTTP/1.1 504 Timeout\r\n\r\n", Outcome.FAILED, "answered 504: no way to crm.example:443"),
    ],
)
def test_answer_of_the_proxy_says_whose_fault_it_is(
    connect: Connect, says: bytes, outcome: Outcome, sentence: str
) -> None:
    with TestProxy(says) as proxy:
        attempt = connect("https://crm.example", proxy=f"http://127.0.0.1:{proxy.port}").send(request())

    assert attempt.outcome is outcome
    assert attempt.status is None
    assert f"the proxy 127.0.0.1:{proxy.port} {sentence}" in str(attempt.error)


def test_proxy_that_wants_credentials_for_plain_http_is_not_charged_either(connect: Connect) -> None:
    with Receiver() as proxy:
        proxy.otherwise(answer(407))

        attempt = connect("http://crm.example", proxy=proxy.url).send(request())

    assert attempt.outcome is Outcome.UNSENT


def test_tunnel_that_is_never_opened_ends_with_the_time_for_the_connection(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"

        attempt = connect("https://crm.example", proxy=proxy, connect_timeout=0.3).send(request())

    assert attempt.outcome is Outcome.FAILED
    assert attempt.error == "no connection to crm.example:443 within 0.3 s"
    assert 300 <= attempt.latency_ms < 2_300


def test_proxy_is_under_the_network_rules(connect: Connect) -> None:
    attempt = connect("https://crm.example", proxy="http://169.254.169.254:3128").send(request())

    assert attempt.outcome is Outcome.INVALID
    assert "169.254.169.254, where a cloud hands out credentials" in str(attempt.error)


@pytest.mark.parametrize("target", ["http://169.254.169.254", "https://[fd00:ec2::254]"])
def test_address_in_figures_is_judged_although_the_proxy_would_connect(connect: Connect, target: str) -> None:
    with TestProxy() as proxy:
        attempt = connect(target, proxy=f"http://127.0.0.1:{proxy.port}").send(request())

    assert attempt.outcome is Outcome.INVALID
    assert proxy.heads == []


def test_credentials_of_the_proxy_stand_in_no_text(connect: Connect) -> None:
    with Receiver() as proxy:
        proxy.otherwise(answer(400, f"Basic {PAIR} is strange".encode()))

        attempt = connect("http://crm.example", proxy=f"http://{USER}127.0.0.1:{proxy.port}").send(request())

    assert attempt.response == "Basic ******** is strange"
