"""The demo's dashboard: its port and its link are there before its pages are."""

import socket

import pytest

from sidecar.demo import dashboard
from sidecar.demo.dashboard import Dashboard


def test_the_link_can_be_connected_to_before_anything_is_started() -> None:
    made = Dashboard()
    try:
        with socket.create_connection(("127.0.0.1", made.port), timeout=5):
            assert made.link.startswith(f"http://127.0.0.1:{made.port}/welcome?code=")
    finally:
        made.stop()


def test_a_port_that_is_taken_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(dashboard, "_WANTED", port)

        made = Dashboard()
        found = made.port
        made.stop()

    assert found not in (0, port)
