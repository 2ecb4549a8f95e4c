"""Those who vouch for people: one Moodle, one provider, as configured now; few questions at once."""

import threading
from collections.abc import Callable
from typing import TypeVar

from sidecar.identity.asking import Asker
from sidecar.identity.moodle import MoodleLogin
from sidecar.identity.oidc import Oidc
from sidecar.settings import Settings
from sidecar.web.desk import Desk

_Known = TypeVar("_Known")

# Each waits for others with a thread that answers pages: strangers may not have as many as they like.
_AT_ONCE = 8
_WAIT_S = 5.0


class Busy(Exception):
    """So many are being asked about that nobody else can be just now."""


class Outside:
    """One for the process. What providers said is forgotten when the settings change."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._asking = threading.BoundedSemaphore(_AT_ONCE)
        self._made_for: Settings | None = None
        self._moodle: MoodleLogin | None = None
        self._oidc: Oidc | None = None

    @property
    def moodle(self) -> MoodleLogin | None:
        """Moodle, where people may sign in by it."""
        self._keep_up()
        return self._moodle

    @property
    def oidc(self) -> Oidc | None:
        """The provider, where people may sign in by one."""
        self._keep_up()
        return self._oidc

    def asked(self, ask: Callable[[], _Known]) -> _Known:
        """Ask. Raises Busy, and what `ask` raises."""
        if not self._asking.acquire(timeout=_WAIT_S):
            raise Busy
        try:
            return ask()
        finally:
            self._asking.release()

    def _keep_up(self) -> None:
        with self._lock:
            settings = self._desk.settings
            if settings is self._made_for:
                return
            before, self._made_for = self._made_for, settings
            if before and _facts(before) == _facts(settings):
                return  # what a provider said still holds
            web, clock = settings.web, self._desk.clock
            asker = Asker(settings.network.rules(private=True), clock)
            moodle, oidc = web.moodle_login, web.oidc
            self._moodle = MoodleLogin(settings.site_url, moodle, asker) if moodle else None
            self._oidc = Oidc(oidc, asker, clock) if oidc else None


def _facts(settings: Settings) -> object:
    return settings.site_url, settings.network, settings.web.moodle_login, settings.web.oidc
