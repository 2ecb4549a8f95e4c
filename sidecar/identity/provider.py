"""What a provider of OpenID Connect says of itself: its addresses and its keys, kept for a while."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from sidecar.clock import Clock
from sidecar.identity.asking import Asker
from sidecar.identity.person import NotLetIn, Trouble
from sidecar.settings.signin import is_confidential
from sidecar.transports.asking import Said

_KEPT_S = 3_600.0
# Tokens with made-up key ids must not make us ask for keys each time.
_KEYS_AT_MOST_EVERY_S = 10.0
_MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class Doors:
    """Addresses of the provider (OpenID Connect Discovery 1.0, 3)."""

    authorization: str
    token: str
    jwks: str
    userinfo: str | None
    end_session: str | None
    basic: bool  # whether it takes our secret by HTTP Basic
    names_itself: bool  # whether its answers carry `iss` (RFC 9207)


@dataclass(frozen=True, slots=True)
class _Kept:
    keys: KeySet
    at: float


class Provider:
    """One issuer, asked at most once an hour. Safe from any thread; a failure is not kept."""

    def __init__(self, issuer: str, asker: Asker, clock: Clock) -> None:
        self.issuer = issuer
        self._asker, self._clock = asker, clock
        self._lock = threading.Lock()
        self._doors: tuple[Doors, float] | None = None
        self._keys: _Kept | None = None

    def doors(self) -> Doors:
        """Return where to go. Raises NotLetIn."""
        with self._lock:
            now = self._clock.monotonic()
            if self._doors is None or now >= self._doors[1] + _KEPT_S:
                answer = self._asker.get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
                self._doors = (_doors(_object(answer, "its discovery document"), self.issuer), now)
            return self._doors[0]

    def keys(self, *, without: str | None = None) -> KeySet:
        """Return its keys; `without`: an id that those at hand lack, so that new ones are asked for."""
        url = self.doors().jwks
        with self._lock:
            now, kept = self._clock.monotonic(), self._keys
            if kept is not None and now < kept.at + _KEPT_S:
                lacking = without is not None and without not in {key.kid for key in kept.keys}
                if not lacking or now < kept.at + _KEYS_AT_MOST_EVERY_S:
                    return kept.keys
            self._keys = _Kept(_key_set(_object(self._asker.get(url), "its keys")), now)
            return self._keys.keys


def _object(answer: Said, what: str) -> Mapping[str, Any]:
    if answer.status == 200 and isinstance(answer.json, dict):
        return answer.json
    moved = f", leading to {answer.moved}" if answer.moved else ""
    raise NotLetIn(
        Trouble.ODD_ANSWER, f"{what} cannot be read: it answered {answer.status}{moved}, and no object"
    )


def _doors(said: Mapping[str, Any], issuer: str) -> Doors:
    if said.get("issuer") != issuer:
        text = f"it names itself {said.get('issuer')!r}; web.oidc.issuer has to be the same, not {issuer!r}"
        raise NotLetIn(Trouble.ODD_ANSWER, text)
    types = said.get("response_types_supported")
    if isinstance(types, list) and "code" not in types:
        raise NotLetIn(Trouble.ODD_ANSWER, "it does not support the authorization code flow")
    methods = said.get("token_endpoint_auth_methods_supported")
    return Doors(
        _needed(said, "authorization_endpoint"),
        _needed(said, "token_endpoint"),
        _needed(said, "jwks_uri"),
        _address(said, "userinfo_endpoint"),
        _address(said, "end_session_endpoint"),
        not isinstance(methods, list) or "client_secret_basic" in methods,
        said.get("authorization_response_iss_parameter_supported") is True,
    )


def _needed(said: Mapping[str, Any], name: str) -> str:
    url = _address(said, name)
    if url is None:
        raise NotLetIn(Trouble.ODD_ANSWER, f"its discovery document has no {name} that begins with https://")
    return url


def _address(said: Mapping[str, Any], name: str) -> str | None:
    url = said.get(name)
    return url if isinstance(url, str) and is_confidential(url) else None


def _key_set(said: Mapping[str, Any]) -> KeySet:
    """Return the keys that can be used; one that makes no sense does not spoil the others."""
    found: list[Key] = []
    listed = said.get("keys")
    for one in (listed if isinstance(listed, list) else [])[:_MOST_KEYS]:
        try:
            if isinstance(one, dict) and one.get("kty") != "oct" and one.get("use", "sig") == "sig":
                found.append(JWKRegistry.import_key(one))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    if not found:
        raise NotLetIn(Trouble.ODD_ANSWER, "its key set holds no key to check signatures with")
    return KeySet(found)
