"""A receiver, a transport to it, and an authority that both trust."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import SystemClock
from sidecar.gateway.line import Line
from sidecar.settings import Service
from sidecar.transports import connection
from sidecar.transports.base import Request, Transport, open_transport
from tests.receiver import Receiver
from tests.transports.certificates import Authority
from tests.transports.soapkind import SoapKind, keep_wsdl

Connect = Callable[..., Transport]
MakeLine = Callable[..., Line]


def request(endpoint: str = "/x", **changes: Any) -> Request:
    """Return a small request; its delivery id is `d-1`."""
    values: dict[str, Any] = {
        "delivery_id": "d-1",
        "method": "POST",
        "body": b'{"a": 1}',
        "content_type": "application/json",
        **changes,
    }
    return Request(endpoint=endpoint, **values)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(params=["rest", "soap"])
def kind(request: pytest.FixtureRequest) -> str:
    """The type of service: the contract is the same for all."""
    return str(request.param)


@pytest.fixture
def connect(
    kind: str, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connect]:
    """Open a transport to the receiver, or to wherever the test says."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    with ExitStack() as stack:

        def make(base_url: str | None = None, **options: Any) -> Transport:
            url = base_url or receiver.url
            url = keep_wsdl(tmp_path, url) if kind == "soap" else url
            values = {"type": kind, "base_url": url, "timeout": 10, **options}
            transport = open_transport(Service.model_validate(values), SystemClock())
            stack.callback(transport.close)
            return SoapKind(transport) if kind == "soap" else transport

        yield make


@pytest.fixture
def make_line(receiver: Receiver) -> Iterator[MakeLine]:
    """Open a line of the gateway to the receiver."""
    with ExitStack() as stack:

        def make(**options: Any) -> Line:
            values = {"base_url": receiver.url, "timeout": 10, **options}
            line = Line(Service.model_validate(values), SystemClock())
            stack.callback(line.close)
            return line

        yield make


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """Trust the authority as an administrator would: with SSL_CERT_FILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    connection.tls_context.cache_clear()
    yield authority
    connection.tls_context.cache_clear()
