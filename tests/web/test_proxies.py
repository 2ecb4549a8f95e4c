"""Whom a proxy's headers are believed, and what of them."""

from typing import Any

import pytest

from sidecar.web.proxies import look_behind


def seen(trusted: tuple[str, ...], peer: str, **headers: str) -> tuple[str, str, str]:
    """Return address, scheme and host that a request has after it was looked at."""
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1),
        "headers": [(b"host", b"127.0.0.1:8080"), *lines],
    }
    look_behind(scope, trusted)
    return scope["client"][0], scope["scheme"], dict(scope["headers"])[b"host"].decode()


AS_IT_CAME = ("10.0.0.2", "http", "127.0.0.1:8080")


@pytest.mark.parametrize("trusted", [(), ("192.0.2.0/24",), ("::1/128",)])
def test_strangers_are_not_believed(trusted: tuple[str, ...]) -> None:
    asked = seen(
        trusted, "10.0.0.2", x_forwarded_for="1.2.3.4", x_forwarded_proto="https", x_forwarded_host="x"
    )

    assert asked == AS_IT_CAME


@pytest.mark.parametrize(
    ("chain", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("1.2.3.4, 203.0.113.9, 10.0.0.3", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("10.0.0.3", "10.0.0.2"),
        ("", "10.0.0.2"),
        ("nonsense", "10.0.0.2"),
        ("1.2.3.4, nonsense", "10.0.0.2"),
    ],
)
def test_the_address_is_the_last_one_that_no_trusted_proxy_has(chain: str, address: str) -> None:
    assert seen(("10.0.0.0/8",), "10.0.0.2", x_forwarded_for=chain)[0] == address


def test_scheme_and_host_are_those_that_the_nearest_proxy_names() -> None:
    asked = seen(
        ("10.0.0.0/8",),
        "10.0.0.2",
        x_forwarded_proto="http, https",
        x_forwarded_host="evil.example, hub.example.org",
    )

    assert asked == ("10.0.0.2", "https", "hub.example.org")


def test_an_odd_scheme_is_plain_http() -> None:
    assert seen(("10.0.0.0/8",), "10.0.0.2", x_forwarded_proto="javascript")[1] == "http"
