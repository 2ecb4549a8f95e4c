"""Services that cannot be reached, each by a real socket, and what is said about it."""

import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.doctor.reach import Reached, reach_all
from sidecar.settings import Service
from tests.process import free_port
from tests.receiver import Receiver
from tests.transports.certificates import Authority


def reach(url: str, timeout: float = 2) -> Reached:
    return reach_all({"crm": Service(base_url=url, timeout=timeout)})["crm"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@contextmanager
def trusting(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("SSL_CERT_FILE", str(authority.file))
        yield


def test_a_listening_port_is_reached_and_nothing_is_sent() -> None:
    with Receiver() as crm:
        reached = reach(crm.url)
        requests = list(crm.requests)

    assert reached.problem is None
    assert reached.private
    assert requests == []


def test_a_closed_port_refuses() -> None:
    port = free_port()

    reached = reach(f"http://127.0.0.1:{port}")

    assert reached.problem == f"127.0.0.1:{port} refuses connections: nothing listens there"


def test_a_name_that_nobody_has_cannot_be_resolved() -> None:
    reached = reach("https://crm.invalid/api")

    assert reached.problem == "the name of crm.invalid:443 cannot be resolved"
    assert "DNS" in str(reached.remedy)


def test_a_server_that_hangs_in_the_handshake_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        reached = reach(f"https://127.0.0.1:{port}", timeout=0.2)

    assert reached.problem == f"no answer from 127.0.0.1:{port} within 0.2 s"


def test_plain_http_where_tls_is_expected_is_said() -> None:
    with Receiver() as crm:
        reached = reach(crm.url.replace("http:", "https:"))

    assert "does not speak TLS as it should" in str(reached.problem)


def test_a_certificate_of_an_unknown_authority_is_said(authority: Authority) -> None:
    with Receiver(authority.server("IP:127.0.0.1")) as crm:
        reached = reach(crm.url)

    assert "is signed by nobody that this machine trusts" in str(reached.problem)
    assert "SSL_CERT_FILE" in str(reached.remedy)


def test_a_certificate_that_is_signed_by_itself_is_said(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.file, authority.key_file)

    with Receiver(context) as crm:
        reached = reach(crm.url)

    assert "is signed by nobody that this machine trusts" in str(reached.problem)


def test_an_expired_certificate_is_said(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver(authority.server("IP:127.0.0.1", days=-1)) as crm, trusting(authority, monkeypatch):
        reached = reach(crm.url)

    assert reached.problem == f"the certificate of 127.0.0.1:{crm.port} has expired"


def test_a_certificate_for_another_name_is_said(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver(authority.server("DNS:elsewhere.test")) as crm, trusting(authority, monkeypatch):
        reached = reach(crm.url)

    assert reached.problem == f"the certificate of 127.0.0.1:{crm.port} is for another name"


def test_a_good_certificate_says_when_it_ends(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver(authority.server("IP:127.0.0.1")) as crm, trusting(authority, monkeypatch):
        reached = reach(crm.url)

    assert reached.problem is None
    assert reached.expires_at is not None


def test_all_services_are_tried_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=20) as crowded:
        crowded.settimeout(20)
        url = f"https://127.0.0.1:{crowded.getsockname()[1]}"
        services = {f"s{number}": Service(base_url=url, timeout=20) for number in range(20)}
        with ThreadPoolExecutor(1) as door:
            # It says nothing to anybody until all are there.
            met = door.submit(lambda: [crowded.accept()[0] for _ in services])
            met.add_done_callback(_hang_up)
            found = reach_all(services)
            there = len(met.result())

    assert there == 20
    assert all(one.problem for one in found.values())


def _hang_up(came: Future[list[socket.socket]]) -> None:
    for wire in came.result():
        wire.close()


@pytest.mark.parametrize(
    ("resolved", "address", "private"),
    [
        (["10.1.2.3", "::1"], "crm:80", True),
        (["fe80::1%eth0"], "crm.example.org:80", True),
        (["10.1.2.3", "93.184.216.34"], "crm:80", False),
        ([], "crm:80", True),
        ([], "crm.example.org:80", False),
    ],
)
def test_what_stays_in_a_private_network_is_told(resolved: list[str], address: str, private: bool) -> None:
    assert Reached(address, resolved).private is private
