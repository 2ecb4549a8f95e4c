"""Credentials, proxies, network rules and signatures together, over REST and SOAP alike."""

import gzip
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from sidecar.clock import SystemClock
from sidecar.model import Attempt, Outcome
from sidecar.settings import NetworkRules, Service
from sidecar.transports.base import Transport, open_transport
from sidecar.transports.soap_cache import library
from tests.receiver import Received, Receiver, answer
from tests.transports.certificates import Authority
from tests.transports.conftest import Connect, request
from tests.transports.multiplexed import Http2Server
from tests.transports.proxies import TestProxy
from tests.transports.soapkind import SoapKind
from tests.transports.soapserver import SoapServer, wsdl
from tests.transports.test_credentials_oauth import TokenServer
from tests.transports.test_network import Names, rules

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
CALLED = {"rest": "/x", "soap": "/sis"}
# A WSDL and what it imports are read before the first call.
READ_BEFORE = {"rest": 0, "soap": 4}

Open = Callable[..., Transport]


@pytest.fixture
def opened(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Open a transport to a receiver, which over SOAP has a WSDL, too; `host` is the name to call it by."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    library.forget()
    with ExitStack() as stack:

        def make(
            receiver: Receiver,
            *,
            host: str = "127.0.0.1",
            network: NetworkRules | None = None,
            **options: Any,
        ) -> Transport:
            url = receiver.url.replace("127.0.0.1", host)
            if kind == "soap":
                SoapServer(receiver).publish(sis_wsdl=wsdl(f"{url}/sis"))
                url += "/sis.wsdl"
            service = Service.model_validate({"type": kind, "base_url": url, "timeout": 10, **options})
            transport = open_transport(service.within(network) if network else service, SystemClock())
            stack.callback(transport.close)
            return SoapKind(transport) if kind == "soap" else transport

        yield make


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


def said(attempt: Attempt) -> str:
    assert attempt.error is not None
    return attempt.error


def assert_signed(one: Received, body: bytes) -> None:
    at = datetime.fromtimestamp(int(str(one.header("webhook-timestamp"))), UTC)
    assert one.header("webhook-signature") == Webhook(SECRET).sign("d-1", at, body.decode())


def authorizations(receiver: Receiver, path: str | None = None) -> list[str | None]:
    return [one.header("authorization") for one in receiver.to(path)]


def test_one_token_serves_every_request_to_the_service(
    opened: Open, kind: str, receiver: Receiver, tokens: TokenServer
) -> None:
    transport = opened(receiver, auth=tokens.auth)

    outcomes = [transport.send(request()).outcome for _ in range(3)]

    assert outcomes == [Outcome.DELIVERED] * 3
    assert authorizations(receiver) == ["Bearer t1"] * (READ_BEFORE[kind] + 3)
    assert len(tokens.requests) == 1


def test_refused_token_is_replaced_and_the_signed_request_sent_again(
    opened: Open, kind: str, receiver: Receiver, tokens: TokenServer
) -> None:
    transport = opened(receiver, auth=tokens.auth, signing={"secret": SECRET})
    receiver.on(CALLED[kind], answer(401), answer(202))

    attempt = transport.send(request())

    assert attempt.outcome is Outcome.DELIVERED
    assert authorizations(receiver, CALLED[kind]) == ["Bearer t1", "Bearer t2"]
    first, second = receiver.to(CALLED[kind])
    assert first.body == second.body
    for one in (first, second):
        assert_signed(one, one.body)


def test_token_server_that_refuses_us_is_not_charged_to_the_service(
    opened: Open, receiver: Receiver, tokens: TokenServer
) -> None:
    tokens.on("/token", answer(401, b'{"error": "invalid_client"}'))

    attempt = opened(receiver, auth=tokens.auth).send(request())

    assert attempt.outcome is Outcome.UNSENT
    assert f"no token from 127.0.0.1:{tokens.port}: answered 401 invalid_client" in said(attempt)
    assert receiver.requests == []


@pytest.mark.parametrize("kind", ["soap"], indirect=True)
def test_token_goes_to_the_host_of_the_wsdl_alone(
    opened: Open, receiver: Receiver, tokens: TokenServer
) -> None:
    with Receiver() as other:
        transport = opened(receiver, auth=tokens.auth)
        server, away = SoapServer(receiver), SoapServer(other)
        imported = server.documents["abstract.wsdl"].replace("sis.xsd", f"{away.receiver.url}/sis.xsd")
        server.publish(abstract_wsdl=imported)

        attempt = transport.send(request())

        assert attempt.outcome is Outcome.DELIVERED
        assert authorizations(receiver) == ["Bearer t1"] * 3
        assert authorizations(other) == [None, None]


def asking_for_certificates(authority: Authority) -> ssl.SSLContext:
    context = authority.server("IP:127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    return context


def test_own_certificate_is_shown_and_own_authority_trusted(opened: Open, authority: Authority) -> None:
    cert, key = authority.client("pw-of-key")
    ca = {"ca": str(authority.file)}
    certificate = {"cert": str(cert), "key": str(key), "key_password": "pw-of-key"}

    with Receiver(asking_for_certificates(authority)) as secure:
        without = opened(secure, tls=ca).send(request())
        seen = len(secure.requests)
        attempt = opened(secure, tls=ca | certificate).send(request())

    assert (without.outcome, seen) == (Outcome.FAILED, 0)
    assert attempt.outcome is Outcome.DELIVERED


def test_own_certificate_authority_and_token_work_together(
    opened: Open, kind: str, authority: Authority, tokens: TokenServer
) -> None:
    cert, key = authority.client("pw-of-key")
    tls = {"ca": str(authority.file), "cert": str(cert), "key": str(key), "key_password": "pw-of-key"}

    with Receiver(asking_for_certificates(authority)) as secure:
        attempt = opened(secure, tls=tls, auth=tokens.auth).send(request())

    assert attempt.outcome is Outcome.DELIVERED
    assert authorizations(secure, CALLED[kind]) == ["Bearer t1"]


def test_proxy_passes_everything_on(opened: Open, kind: str, receiver: Receiver) -> None:
    with TestProxy() as proxy:
        transport = opened(receiver, host="crm.example", proxy=f"http://127.0.0.1:{proxy.port}")

        outcomes = [transport.send(request()).outcome for _ in range(2)]
        transport.close()

    assert outcomes == [Outcome.DELIVERED] * 2
    assert len(receiver.requests) == READ_BEFORE[kind] + 2
    assert {one.header("host") for one in receiver.requests} == {f"crm.example:{receiver.port}"}
    assert all(f" http://crm.example:{receiver.port}/" in head for head in proxy.heads)


def test_tunnel_of_a_proxy_sees_neither_token_nor_certificate(
    opened: Open, kind: str, authority: Authority, tokens: TokenServer
) -> None:
    with Receiver(authority.server("DNS:crm.example")) as secure, TestProxy() as proxy:
        transport = opened(
            secure,
            host="crm.example",
            proxy=f"http://127.0.0.1:{proxy.port}",
            tls={"ca": str(authority.file)},
            auth={**tokens.auth, "token_url": f"http://127.0.0.1:{tokens.port}/token"},
        )

        attempt = transport.send(request())
        transport.close()

    assert attempt.outcome is Outcome.DELIVERED
    assert authorizations(secure, CALLED[kind]) == ["Bearer t1"]
    assert {head.splitlines()[0].split()[0] for head in proxy.heads} == {"POST", "CONNECT"}
    assert not any("Bearer" in head for head in proxy.heads)


@pytest.mark.parametrize("read_already", [False, True], ids=["before the WSDL", "after it"])
def test_failure_of_the_proxy_is_not_charged(
    opened: Open, kind: str, receiver: Receiver, read_already: bool
) -> None:
    if read_already:
        opened(receiver, host="localhost").send(request())
    seen = len(receiver.requests)
    transport = opened(receiver, host="localhost", proxy="http://127.0.0.1:1")

    attempt = transport.send(request())

    assert attempt.outcome is Outcome.UNSENT
    assert "the proxy 127.0.0.1:1 cannot be used: [Errno 111] Connection refused" in said(attempt)
    assert len(receiver.requests) == seen


def test_proxy_that_wants_a_password_is_not_charged(opened: Open, receiver: Receiver) -> None:
    with Receiver() as proxy:
        proxy.otherwise(answer(407))

        attempt = opened(receiver, host="crm.example", proxy=proxy.url).send(request())

    assert attempt.outcome is Outcome.UNSENT
    assert f"the proxy 127.0.0.1:{proxy.port} answered 407: it wants a user" in said(attempt)


def test_service_behind_a_tunnel_cannot_pass_for_the_proxy(
    opened: Open, kind: str, authority: Authority
) -> None:
    with Receiver(authority.server("DNS:crm.example")) as secure, TestProxy() as proxy:
        transport = opened(
            secure,
            host="crm.example",
            proxy=f"http://127.0.0.1:{proxy.port}",
            tls={"ca": str(authority.file)},
        )
        secure.on(CALLED[kind], answer(407))

        attempt = transport.send(request())
        transport.close()

    assert (attempt.outcome, attempt.status) == (Outcome.REJECTED, 407)
    assert said(attempt) == "answered 407 Proxy Authentication Required"


def test_token_is_fetched_through_the_proxy(opened: Open, receiver: Receiver, tokens: TokenServer) -> None:
    auth = {**tokens.auth, "token_url": f"http://login.example:{tokens.port}/token"}
    with TestProxy() as proxy:
        transport = opened(receiver, host="crm.example", proxy=f"http://127.0.0.1:{proxy.port}", auth=auth)

        attempt = transport.send(request())
        transport.close()

    assert attempt.outcome is Outcome.DELIVERED
    assert proxy.heads[0].startswith(f"POST http://login.example:{tokens.port}/token HTTP/1.1\r\n")
    assert len(tokens.requests) == 1


@pytest.mark.parametrize("through", ["straight", "proxy"])
def test_token_server_at_a_refused_address_is_never_asked(
    opened: Open, receiver: Receiver, through: str
) -> None:
    auth = {"type": "oauth2", "token_url": "http://169.254.169.254/t", "client_id": "a", "client_secret": "b"}
    with TestProxy() as proxy:
        options = {"proxy": f"http://127.0.0.1:{proxy.port}"} if through == "proxy" else {}

        attempt = opened(receiver, auth=auth, **options).send(request())

    assert attempt.outcome is Outcome.INVALID
    assert "the network rules refuse 169.254.169.254, where a cloud hands out credentials" in said(attempt)
    assert (receiver.requests, proxy.heads) == ([], [])


def test_name_of_a_token_server_is_judged_by_its_address(
    opened: Open, receiver: Receiver, tokens: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, login_example=[["127.0.0.2"]])
    auth = {**tokens.auth, "token_url": f"http://login.example:{tokens.port}/token"}
    transport = opened(receiver, network=rules(allow="127.0.0.1", private=False), auth=auth)

    attempt = transport.send(request())

    assert attempt.outcome is Outcome.INVALID
    assert "the network rules refuse login.example is at 127.0.0.2, which is loopback" in said(attempt)
    assert (receiver.requests, tokens.requests) == ([], [])


def test_signature_is_of_the_body_before_it_was_packed(connect: Connect, receiver: Receiver) -> None:
    attempt = connect(gzip=True, signing={"secret": SECRET}).send(request(body=b"x" * 5000))

    assert attempt.outcome is Outcome.DELIVERED
    (one,) = receiver.requests
    assert one.header("content-encoding") == "gzip"
    assert b"x" * 5000 in gzip.decompress(one.body)
    assert_signed(one, gzip.decompress(one.body))


def test_http2_carries_the_key_in_the_query(connect: Connect, trusted: Authority) -> None:
    with Http2Server(trusted.server("IP:127.0.0.1")) as server:
        transport = connect(
            f"https://127.0.0.1:{server.port}",
            http2=True,
            auth={"type": "apikey", "key": "k-12345", "query": "key"},
        )

        outcomes = [transport.send(request()).outcome for _ in range(2)]
        transport.close()

    assert outcomes == [Outcome.DELIVERED] * 2
    assert [(number, path) for number, path, _ in server.bodies] == [(1, "/x?key=k-12345")] * 2
