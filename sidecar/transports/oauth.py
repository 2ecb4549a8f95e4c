"""Tokens of OAuth 2 by client credentials (RFC 6749, 4.4), one for all senders of a process."""

import base64
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpcore
import httpx

from sidecar.clock import Clock
from sidecar.errors import said, text_of
from sidecar.settings import OAuth2Auth
from sidecar.transports.connection import OneConnection, Way
from sidecar.transports.deadline import Deadline
from sidecar.transports.network import AddressRefused
from sidecar.transports.proxy import Unsent

_SHARE_OF_LIFE = 0.9
# RFC 6749, 5.1 leaves it to the server to say how long a token lives.
_LIFE_UNTOLD_S = 300.0
_LONGEST_ANSWER = 65_536
_LONGEST_TEXT = 200
_SENDABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str
    fresh_until: float
    ends: float


class TokenDesk:
    """Where the senders of a process get the token of one client. Safe from any thread."""

    def __init__(self, auth: OAuth2Auth, clock: Clock) -> None:
        self._auth = auth
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._failure: tuple[float, httpcore.ConnectError] | None = None

    def token(self, deadline: Deadline, way: Way, *, instead_of: str | None = None) -> str:
        """Return a token, another than one that was refused. Raises Unsent, or AddressRefused.

        One thread fetches, the others wait for it; while the old token still lives they go on with that.
        """
        came = self._clock.monotonic()
        kept = self._usable(came, instead_of)
        if kept and came < kept.fresh_until:
            return kept.token
        if not self._lock.acquire(timeout=0 if kept else self._patience_s(deadline)):
            if kept:
                return kept.token
            raise self._late()
        try:
            return self._fetched(came, deadline, way, instead_of)
        finally:
            self._lock.release()

    def _usable(self, now: float, instead_of: str | None) -> _Kept | None:
        kept = self._kept
        return kept if kept and now < kept.ends and kept.token != instead_of else None

    def _fetched(self, came: float, deadline: Deadline, way: Way, instead_of: str | None) -> str:
        """Fetch, unless another thread has done so, or has failed, since this one came for it."""
        now = self._clock.monotonic()
        kept = self._usable(now, instead_of)
        if kept and now < kept.fresh_until:
            return kept.token
        if not kept and self._failure and self._failure[0] > came:
            # A new one: the threads must not share its traceback.
            raise type(self._failure[1])(str(self._failure[1]))
        try:
            self._kept = self._fetch(now, deadline, way)
        except (Unsent, AddressRefused) as error:
            self._failure = (self._clock.monotonic(), error)
            if kept:
                return kept.token
            raise
        return self._kept.token

    def _fetch(self, now: float, deadline: Deadline, way: Way) -> _Kept:
        connection = OneConnection(deadline, way)
        try:
            answer = connection.handle_request(self._request())
            body = _body(answer)
        except (Unsent, AddressRefused):
            raise
        except httpcore.TimeoutException as error:
            raise self._late() from error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise self._none(text_of(error) or type(error).__name__) from error
        finally:
            connection.close()
        return self._understood(answer.status_code, body, now)

    def _request(self) -> httpx.Request:
        auth = self._auth
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        secret = auth.client_secret.get_secret_value()
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        if auth.client_auth == "body":
            form |= {"client_id": auth.client_id, "client_secret": secret}
        else:
            # RFC 6749, 2.3.1: both are form-encoded before they become HTTP Basic.
            pair = f"{quote_plus(auth.client_id)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return httpx.Request("POST", auth.token_url, headers=headers, content=urlencode(form).encode())

    def _understood(self, status: int, body: bytes, now: float) -> _Kept:
        told = _json(body)
        if status != httpx.codes.OK:
            why = " ".join(_text(told.get(name)) for name in ("error", "error_description")).strip()
            raise self._none(said("answered %(status)s", status=f"{status} {why}".rstrip()))
        token = told.get("access_token")
        if not isinstance(token, str) or not _SENDABLE.fullmatch(token):
            raise self._none(said("its answer holds no access_token to send"))
        life = _life_s(told.get("expires_in"))
        return _Kept(token, now + life * _SHARE_OF_LIFE, now + life)

    def _patience_s(self, deadline: Deadline) -> float:
        try:
            return deadline.left()
        except httpcore.TimeoutException as error:
            raise self._late() from error

    def _late(self) -> Unsent:
        return Unsent(said("no token from %(where)s in time", where=self._address()))

    def _none(self, why: str) -> Unsent:
        return Unsent(said("no token from %(where)s: %(why)s", where=self._address(), why=why))

    def _address(self) -> str:
        url = httpx.URL(self._auth.token_url)
        return f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"


_desks: dict[tuple[OAuth2Auth, Way, Clock], TokenDesk] = {}
_opening = threading.Lock()


def desk_of(auth: OAuth2Auth, way: Way, clock: Clock) -> TokenDesk:
    """Return the desk that all senders of this process share for these credentials."""
    with _opening:
        return _desks.setdefault((auth, way, clock), TokenDesk(auth, clock))


def _body(answer: httpx.Response) -> bytes:
    body = b""
    try:
        for piece in answer.iter_raw():
            body += piece
            if len(body) > _LONGEST_ANSWER:
                break
    finally:
        answer.close()
    return body


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(value: object) -> str:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _life_s(value: object) -> float:
    """Return the seconds that a token lives; some servers write the figure as text."""
    try:
        return max(float(value), 0.0) if isinstance(value, int | float | str) else _LIFE_UNTOLD_S
    except ValueError:
        return _LIFE_UNTOLD_S
