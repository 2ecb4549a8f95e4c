"""How somebody gets in and out: password, link or another's word; the throttle before, the session after."""

import hmac
import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sidecar.identity.oidc import Back, Flow
from sidecar.identity.person import NotLetIn, Person, Trouble
from sidecar.settings import WebSettings
from sidecar.store import audit, outsiders, sessions, users
from sidecar.store.outsiders import Voucher
from sidecar.store.passwords import LONGEST, make_hash, matches
from sidecar.store.sessions import Opened
from sidecar.store.users import User
from sidecar.web.desk import Desk
from sidecar.web.pages.outside import Busy, Outside
from sidecar.web.pages.throttle import Throttle

_log = logging.getLogger("mih.web")

VIA = "dashboard"
# Argon2 takes 64 MiB each time: strangers may not have as many at once as they like.
_HASHES_AT_ONCE = 2
_WAIT_FOR_HASH_S = 5.0
_SETUP_LASTS = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Link:
    """A secret that opens the first user's setup, until then."""

    code: str = field(repr=False)
    until: datetime

    def opens(self, code: str, now: datetime) -> bool:
        """Whether this is the code, and in time."""
        return _is_same(self.code, code) and now < self.until


@dataclass(frozen=True, slots=True)
class Invited:
    """A user of the configuration whom a link lets in without a password, as often as wanted: the demo's."""

    name: str
    code: str = field(repr=False)


class Refused(Exception):
    """Nobody was let in; `wait_s` says when to try again, 0: at once; `trouble` why, if not the password."""

    def __init__(self, wait_s: float = 0.0, trouble: Trouble = Trouble.WRONG_PASSWORD) -> None:
        super().__init__(wait_s, trouble)
        self.wait_s, self.trouble = wait_s, trouble


class Gate:
    """One for the process."""

    def __init__(self, desk: Desk, guest: Invited | None = None) -> None:
        self._desk = desk
        self._throttle = Throttle()
        self._hashing = threading.BoundedSemaphore(_HASHES_AT_ONCE)
        self._setting_up = threading.Lock()
        self._setup: Link | None = None
        self._guest = guest
        self.outside = Outside(desk)

    @property
    def web(self) -> WebSettings:
        """The settings in force."""
        return self._desk.settings.web

    def invitation(self) -> str | None:
        """Return the path of a link for whoever started the process; None where people have passwords."""
        if self._guest:
            return f"/welcome?code={self._guest.code}"
        if self.has_users():
            return None
        self._setup = Link(secrets.token_urlsafe(16), self._desk.now + _SETUP_LASTS)
        return f"/setup?code={self._setup.code}"

    def has_users(self) -> bool:
        """Whether anybody can sign in."""
        if self.web.users or self.web.moodle_login or self.web.oidc:
            return True
        with self._desk.store.read() as conn:
            return users.any_in_table(conn)

    def sets_up(self, code: str) -> bool:
        """Whether this is the code of the setup link, and there is no user yet."""
        return bool(self._setup and self._setup.opens(code, self._desk.now)) and not self.has_users()

    def sign_in(self, name: str, password: str, address: str) -> Opened:
        """Return a new session. Raises Refused."""
        if not self.web.local_login:
            raise Refused(trouble=Trouble.NOT_LISTED)
        now = self._desk.now
        if wait_s := self._throttle.admit(name, address, now):
            raise Refused(wait_s)
        with self._desk.store.read() as conn:
            user = users.find(conn, self.web, name) if len(name) <= 100 else None
        if not self._is_right(user, password):
            self._note_failure(user, address, now)
            raise Refused(self._throttle.wait_s(name, address, now))
        assert user is not None
        self._throttle.succeeded(name, address)
        return self._begin(user, "password", address)

    def sign_in_by_moodle(self, name: str, password: str, address: str) -> Opened:
        """Return a new session of whoever Moodle says that is. Raises Refused."""
        moodle = self.outside.moodle
        if moodle is None or not name or not password or max(len(name), len(password)) > LONGEST:
            raise Refused
        key = f"moodle {name.lower()}"
        return self._vouched("moodle", key, address, lambda: moodle.recognise(name, password))

    def sign_in_by_oidc(self, flow: Flow, back: Back, redirect_uri: str, address: str) -> Opened:
        """Return a new session of whoever came back from the provider. Raises Refused."""
        oidc = self.outside.oidc
        if oidc is None:
            raise Refused(trouble=Trouble.OVER)
        key = f"oidc {address}"
        return self._vouched("oidc", key, address, lambda: oidc.recognise(flow, back, redirect_uri))

    def _vouched(self, via: Voucher, key: str, address: str, ask: Callable[[], Person]) -> Opened:
        now = self._desk.now
        if wait_s := self._throttle.admit(key, address, now):
            raise Refused(wait_s)
        settings = self._desk.settings
        try:
            person = self.outside.asked(ask)
        except Busy:
            raise Refused(1.0) from None
        except NotLetIn as why:
            self._note_refusal(via, why, address, now)
            raise Refused(self._throttle.wait_s(key, address, now), why.trouble) from None
        user = outsiders.user(settings, via, person.name, person.role)
        assert user is not None
        self._throttle.succeeded(key, address)
        return self._begin(user, via, address)

    def set_up(self, code: str, name: str, password: str, address: str) -> Opened | None:
        """Make the first user and return a session; None if the link is used or over."""
        made = make_hash(password)
        with self._setting_up:
            if not self.sets_up(code):
                return None
            now = self._desk.now
            with self._desk.store.write() as conn:
                users.add(conn, name, role="manage", password_hash=made, now=now)
                detail = "manage, by the setup link"
                audit.write(conn, who=name, via=VIA, action="user.add", object=name, detail=detail, now=now)
            self._setup = None
        return self._begin(User(name, "manage", made, "here"), "setup", address)

    def welcome(self, code: str, address: str) -> Opened | None:
        """Let the guest in by the link."""
        if self._guest is None or not _is_same(self._guest.code, code):
            return None
        user = users.of_file(self.web, self._guest.name)
        return self._begin(user, "link", address) if user else None

    def sign_out(self, token: str, name: str) -> None:
        """End one session."""
        with self._desk.store.write() as conn:
            sessions.end(conn, token)
            audit.write(
                conn,
                who=name,
                via=VIA,
                action="session.end",
                object=name,
                detail=None,
                now=self._desk.now,
            )
        _log.info("web.signed_out user=%s", name)

    def _is_right(self, user: User | None, password: str) -> bool:
        if not self._hashing.acquire(timeout=_WAIT_FOR_HASH_S):
            raise Refused(1.0)
        try:
            return matches(password[: LONGEST + 1], user.password_hash if user else None)
        finally:
            self._hashing.release()

    def _begin(self, user: User, via: str, address: str) -> Opened:
        now = self._desk.now
        with self._desk.store.write() as conn:
            opened = sessions.begin(
                conn,
                user.name,
                role=user.role,
                via=via,
                seal=user.password_hash,
                lasts=timedelta(seconds=self.web.session_lasts),
                now=now,
            )
            audit.write(
                conn,
                who=user.name,
                via=VIA,
                action="session.begin",
                object=user.name,
                detail=f"{via}, from {address}",
                now=now,
            )
        _log.info("web.signed_in user=%s via=%s address=%s", user.name, via, address)
        return opened

    def _note_failure(self, user: User | None, address: str, now: datetime) -> None:
        # A name that nobody has is not written down: it may be a password in the wrong field.
        self._note(user.name if user else "-", f"from {address}", address, now)

    def tell(self, via: Voucher, why: NotLetIn) -> None:
        """Write into the log why somebody else's word let nobody in."""
        _log.warning("web.sign_in_failed way=%s trouble=%s: %s", via, why.trouble, why.detail or "-")

    def _note_refusal(self, via: Voucher, why: NotLetIn, address: str, now: datetime) -> None:
        self.tell(via, why)
        self._note(why.name or "-", f"{via} {why.trouble}, from {address}", address, now)

    def _note(self, name: str, detail: str, address: str, now: datetime) -> None:
        with self._desk.store.write() as conn:
            audit.write(
                conn,
                who=name,
                via=VIA,
                action="session.refused",
                object=name,
                detail=detail,
                now=now,
            )
        _log.warning("web.sign_in_refused user=%s address=%s", name, address)


def _is_same(code: str, given: str) -> bool:
    """Compare in time that tells nothing about the code."""
    return hmac.compare_digest(code.encode(), given.encode("utf-8", "replace"))
