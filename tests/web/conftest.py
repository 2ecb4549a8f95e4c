"""A sidecar that listens: its hub is open, its loops stand still, and three people have tokens."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from sidecar.clock import FakeClock
from sidecar.hub import Hub, load
from sidecar.store.engine import Database as Store
from sidecar.web.server import Server
from tests.cli.seeds import Seeds
from tests.databases import Database
from tests.receiver import Receiver
from tests.web.people import Browser, add, plain_client

TOKENS = {role: f"{role}-token-of-some-length" for role in ("view", "call", "manage")}


class Site:
    """One listening sidecar and its callers. `ailment` is what its loops say of themselves."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.ailment: str | None = None
        self.server = Server(hub, pulse=lambda: self.ailment, port=0)
        self.server.start()
        self._clients = {role: self._client({"Authorization": f"Bearer {TOKENS[role]}"}) for role in TOKENS}
        self.anyone = self._client({})
        self.view, self.call, self.manage = (self._clients[role] for role in ("view", "call", "manage"))

    def as_role(self, role: str) -> httpx.Client:
        """Return the client whose token has that role; "" for one without a token."""
        return self._clients.get(role, self.anyone)

    @property
    def store(self) -> Store:
        """The sidecar's store."""
        return self.hub.store

    def close(self) -> None:
        """Stop as `mih run` does."""
        for client in (self.anyone, *self._clients.values()):
            client.close()
        self.server.stop()
        self.hub.close()

    def _client(self, headers: dict[str, str]) -> httpx.Client:
        return plain_client(self.server.url, headers)


MakeSite = Callable[..., Site]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def make_site(database: Database, receiver: Receiver, tmp_path: Path, clock: FakeClock) -> Iterator[MakeSite]:
    """Sites on `database` whose service crm is `receiver`; keywords change the service, or whole sections."""
    made: list[Site] = []

    def make(crm: dict[str, Any] | None = None, **sections: Any) -> Site:
        tokens = [{"name": f"{role}er", "token": TOKENS[role], "role": role} for role in TOKENS]
        config = {
            "site": "campus",
            "moodle": {"url": database.url},
            "services": {"crm": {"base_url": receiver.url, "retry": {"max_retries": 0}, **(crm or {})}},
            "rules": [{"name": "new-user", "event": r"\core\event\user_created", "service": "crm"}],
            "web": {"tokens": tokens},
        }
        path = tmp_path / "sidecar.yaml"
        path.write_text(yaml.safe_dump(config | sections), encoding="utf-8")
        loaded = load(path, {})
        hub = Hub(loaded.settings, loaded.book, role="dispatch", clock=clock, source=loaded.source)
        hub.open()
        made.append(Site(hub))
        return made[-1]

    yield make
    for site in made:
        site.close()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site()


Enter = Callable[..., Browser]


@pytest.fixture
def enter(clock: FakeClock) -> Iterator[Enter]:
    """Browsers at a site; with a role somebody of that role is signed in."""
    browsers: list[Browser] = []

    def made(site: Site, role: str = "", **headers: str) -> Browser:
        browsers.append(Browser(site.server.url, **headers))
        if role:
            name = f"{role}-{len(browsers)}"
            add(site.store, clock, name, role)
            assert browsers[-1].sign_in(name).status_code == 303
        return browsers[-1]

    yield made
    for browser in browsers:
        browser.close()


@pytest.fixture
def seeds(site: Site, clock: FakeClock) -> Seeds:
    """Puts things into the store of `site`."""
    return Seeds(site.store, clock)


@pytest.fixture
def seeds_of(clock: FakeClock) -> Callable[[Site], Seeds]:
    """Puts things into the store of a site that the test made itself."""
    return lambda site: Seeds(site.store, clock)
