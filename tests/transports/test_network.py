"""Which addresses may be connected to, and that what was judged is what is connected to."""

import socket
from ipaddress import ip_network
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.clock import SystemClock
from sidecar.model import Outcome
from sidecar.settings import NetworkRules, Service
from sidecar.transports.http import HttpTransport
from sidecar.transports.network import AddressRefused, checked_addresses, verdict
from tests.receiver import Receiver
from tests.transports.conftest import request

FILE = NetworkRules()
ELSEWHERE = NetworkRules(private=False)


def rules(*, allow: str = "", deny: str = "", private: bool = True) -> NetworkRules:
    allowed, denied = (tuple(ip_network(text) for text in texts.split()) for texts in (allow, deny))
    return NetworkRules(allowed, denied, private)


class Names:
    """A resolver that answers each question for a name with the next of its answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[list[str]]) -> None:
        self._answers = {name.replace("_", "."): list(lists) for name, lists in answers.items()}
        self._real = socket.getaddrinfo
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._ask)

    def _ask(self, host: str, port: int, *rest: Any, **named: Any) -> Any:
        if host not in self._answers:
            return self._real(host, port, *rest, **named)
        self.asked.append(host)
        addresses = self._answers[host].pop(0)
        return [found for one in addresses for found in self._real(one, port, 0, type=socket.SOCK_STREAM)]


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "2a00:1450:4001:81b::200e", "172.32.0.1", "100.128.0.1"],
)
def test_public_addresses_are_allowed_everywhere(address: str) -> None:
    assert verdict(address, FILE) is None
    assert verdict(address, ELSEWHERE) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("100.64.0.1", "private"),
        ("fd12:3456::1", "private"),
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
    ],
)
def test_neighbours_are_for_services_of_the_file_or_those_that_are_listed(address: str, kind: str) -> None:
    length = 128 if ":" in address else 32

    assert verdict(address, FILE) is None
    assert verdict(address, ELSEWHERE) == (
        f"{address}, which is {kind}: add {address}/{length} to network.allow to allow it"
    )
    assert verdict(address, rules(allow=f"{address}/{length}", private=False)) is None


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "169.254.0.1",
        "fe80::1",
        "fe80::1%eth0",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "255.255.255.255",
    ],
)
def test_what_is_never_allowed_cannot_be_listed(address: str) -> None:
    everything = rules(allow="0.0.0.0/0 ::/0")

    assert str(verdict(address, FILE)).endswith(": this is never allowed")
    assert str(verdict(address, everything)).endswith(": this is never allowed")


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.7",
        "198.51.100.7",
        "203.0.113.7",
        "2001:db8::7",
        "3fff::7",
        "198.18.0.7",
        "240.0.0.7",
        "192.88.99.7",
        "100::7",
        "fec0::7",
        "4000::7",
        "2001:20::7",
        "::ffff:93.184.216.34",
        "::93.184.216.34",
        "64:ff9b::5db8:d822",
        "64:ff9b:1::5db8:d822",
        "2002:5db8:d822::1",
        "2001:0:4136:e378:8000:63bf:a247:27dd",
    ],
)
def test_odd_addresses_have_to_be_listed(address: str) -> None:
    assert str(verdict(address, FILE)).endswith(" to network.allow to allow it")
    assert verdict(address, rules(allow=address)) is None


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:5601:5601",
    ],
)
def test_an_address_within_a_listed_one_is_judged_too(address: str) -> None:
    assert verdict(address, rules(allow="::/0")) == (
        "169.254.169.254, where a cloud hands out credentials: this is never allowed"
    )


def test_deny_wins_over_allow() -> None:
    denied = rules(allow="10.1.0.0/16", deny="10.0.0.0/8")

    assert verdict("10.1.2.3", denied) == (
        "10.1.2.3, which is denied: take 10.0.0.0/8 out of network.deny to allow it"
    )


@given(st.ip_addresses())
def test_what_the_strict_rules_allow_the_rules_of_the_file_allow(address: Any) -> None:
    if verdict(str(address), ELSEWHERE) is None:
        assert verdict(str(address), FILE) is None
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize("written", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"])
def test_no_spelling_of_an_address_gets_by(written: str) -> None:
    with pytest.raises(AddressRefused, match=r"which is loopback"):
        checked_addresses(written, 80, ELSEWHERE, within_s=10)


def test_refused_addresses_of_a_name_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, mixed_example=[["10.0.0.1", "93.184.216.34", "169.254.169.254"]])

    assert checked_addresses("mixed.example", 80, ELSEWHERE, within_s=10) == ["93.184.216.34"]


def test_name_with_refused_addresses_only_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, meta_example=[["169.254.169.254"]])

    with pytest.raises(AddressRefused) as caught:
        checked_addresses("meta.example", 80, FILE, within_s=10)

    assert str(caught.value) == (
        "meta.example is at 169.254.169.254, where a cloud hands out credentials: this is never allowed"
    )


def test_unknown_name_is_not_called_refused() -> None:
    with pytest.raises(httpcore.ConnectError) as caught:
        checked_addresses("no-such-host.invalid", 80, FILE, within_s=10)

    assert not isinstance(caught.value, AddressRefused)


def transport(url: str, network: NetworkRules) -> HttpTransport:
    service = Service.model_validate({"base_url": url, "timeout": 10}).within(network)
    return HttpTransport(service, SystemClock())


def test_name_that_points_elsewhere_at_its_next_look_up_gains_nothing(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    names = Names(monkeypatch, rebinding_example=[["127.0.0.1"], ["127.0.0.2"]])
    sender = transport(f"http://rebinding.example:{receiver.port}", rules(allow="127.0.0.1", private=False))

    first = sender.send(request())
    asked = list(names.asked)
    receiver.hang_up()
    second = sender.send(request())
    sender.close()

    assert first.outcome is Outcome.DELIVERED
    assert asked == ["rebinding.example"]
    assert receiver.requests[0].header("host") == f"rebinding.example:{receiver.port}"
    assert second.outcome is Outcome.INVALID
    assert second.error == (
        "the network rules refuse rebinding.example is at 127.0.0.2, which is loopback:"
        " add 127.0.0.2/32 to network.allow to allow it"
    )
    assert len(receiver.requests) == 1


def test_refused_address_gets_no_connection_and_its_text_says_how_to_allow_it(receiver: Receiver) -> None:
    attempt = transport(receiver.url, ELSEWHERE).send(request())

    assert attempt.outcome is Outcome.INVALID
    assert attempt.status is None
    assert attempt.error == (
        "the network rules refuse 127.0.0.1, which is loopback: add 127.0.0.1/32 to network.allow to allow it"
    )
    assert receiver.requests == []
