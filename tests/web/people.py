"""People at the dashboard: a browser without a screen that signs in and sends forms."""

import re
from collections.abc import Mapping
from typing import Any

import httpx
from argon2 import PasswordHasher

from sidecar.store import users
from sidecar.store.engine import Database as Store

PASSWORD = "correct horse battery"
# Quickly made and quickly compared: good ones are slow on purpose.
HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def plain_client(url: str, headers: Mapping[str, str]) -> httpx.Client:
    """Return a client for a server without TLS: reading the machine's certificates takes it 20 ms."""
    return httpx.Client(base_url=url, timeout=20, headers=headers, verify=False)


class Browser:
    """Cookies and a form's token, as a browser keeps them."""

    def __init__(self, url: str, **headers: str) -> None:
        self.client = plain_client(url, {"Accept": "text/html", **headers})

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Open a page."""
        return self.client.get(path, headers=headers)

    def sign_in(self, name: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        """Send the form of the sign-in."""
        return self.client.post("/login", data={"name": name, "password": password, **fields})

    def post(self, path: str, data: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        """Send a form as the page at /about would: with the token of this session."""
        return self.client.post(path, data={"csrf": self.token(), **(data or {})}, headers=headers)

    def token(self) -> str:
        """Return the token that the forms of this session have."""
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', self.get("/about").text)
        assert found, "nobody is signed in"
        return found[1]

    @property
    def is_in(self) -> bool:
        """Whether somebody is signed in."""
        return self.get("/about").status_code == 200

    def close(self) -> None:
        """End."""
        self.client.close()


def add(store: Store, clock: Any, name: str, role: Any) -> None:
    """Put a user into the table."""
    with store.write() as conn:
        assert users.add(conn, name, role=role, password_hash=HASH, now=clock.now())
