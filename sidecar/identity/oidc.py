"""The authorization code flow with PKCE: out to the provider, back with a code, and who that is."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

from sidecar.clock import Clock
from sidecar.identity.asking import Asker
from sidecar.identity.idtoken import claims_of
from sidecar.identity.person import NotLetIn, Person, Trouble, printable, role_of, safe_name
from sidecar.identity.provider import Doors, Provider
from sidecar.settings import OidcSettings

_CLIENT_ERRORS = ("invalid_client", "unauthorized_client", "invalid_request", "invalid_scope")


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in under way, as its browser keeps it: what has to come back with the person."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Back:
    """With what the browser came back from the provider."""

    state: str = field(repr=False)
    code: str = field(repr=False)
    issuer: str = ""
    error: str = ""


def new_flow() -> Flow:
    """Return a flow that nobody can guess."""
    return Flow(*(secrets.token_urlsafe(32) for _ in range(3)))


class Oidc:
    """One client at one provider. Safe from any thread."""

    def __init__(self, settings: OidcSettings, asker: Asker, clock: Clock) -> None:
        self._settings, self._asker, self._clock = settings, asker, clock
        self.provider = Provider(settings.issuer, asker, clock)

    def way_there(self, flow: Flow, redirect_uri: str) -> str:
        """Return the address to send the browser to. Raises NotLetIn."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=")
        return _with_query(
            self.provider.doors().authorization,
            response_type="code",
            client_id=self._settings.client_id,
            redirect_uri=redirect_uri,
            scope=self._settings.scopes,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=challenge.decode(),
            code_challenge_method="S256",
        )

    def recognise(self, flow: Flow, back: Back, redirect_uri: str) -> Person:
        """Return who came back. Raises NotLetIn."""
        if not hmac.compare_digest(back.state.encode(), flow.state.encode()):
            raise NotLetIn(Trouble.OVER, "state is not that of this browser")
        doors = self.provider.doors()
        if (back.issuer or doors.names_itself) and back.issuer != self.provider.issuer:
            raise NotLetIn(Trouble.NOT_PROVEN, f"the answer came from another issuer, {back.issuer!r}")
        if back.error or not back.code:
            raise NotLetIn(Trouble.REFUSED_THERE, f"the provider says {back.error or 'nothing'}")
        said = self._exchange(doors, flow, back.code, redirect_uri)
        token = said.get("id_token")
        if not isinstance(token, str):
            raise NotLetIn(Trouble.ODD_ANSWER, "the provider gave no ID token: is openid among the scopes?")
        claims = claims_of(token, self.provider, self._settings.client_id, flow.nonce, self._clock.now())
        return self._person(self._complete(claims, doors, said.get("access_token")))

    def way_out(self, redirect_uri: str) -> str | None:
        """Return where to sign out of the provider, too, if it can be said. Raises NotLetIn."""
        end = self.provider.doors().end_session
        client = self._settings.client_id
        return end and _with_query(end, client_id=client, post_logout_redirect_uri=redirect_uri)

    def _exchange(self, doors: Doors, flow: Flow, code: str, redirect_uri: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": flow.verifier,
        }
        client, secret = self._settings.client_id, self._settings.client_secret.get_secret_value()
        headers = {}
        if secret and doors.basic:
            # RFC 6749, 2.3.1: both are form-encoded before they become HTTP Basic.
            pair = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form |= {"client_id": client} | ({"client_secret": secret} if secret else {})
        answer = self._asker.post(doors.token, form, headers)
        said = answer.json if isinstance(answer.json, dict) else {}
        if answer.status == 200 and "error" not in said:
            return said
        error = said.get("error")
        known = {"invalid_grant": Trouble.OVER} | dict.fromkeys(_CLIENT_ERRORS, Trouble.CLIENT)
        trouble = known.get(error, Trouble.ODD_ANSWER) if isinstance(error, str) else Trouble.ODD_ANSWER
        raise NotLetIn(trouble, f"for the code the provider answered {answer.status} {error or ''}".strip())

    def _complete(self, claims: Mapping[str, Any], doors: Doors, access_token: object) -> Mapping[str, Any]:
        """Add what the provider says at userinfo, where the ID token lacks the claim of the roles."""
        if (
            any(_values(claims, self._settings.claim))
            or not doors.userinfo
            or not isinstance(access_token, str)
        ):
            return claims
        answer = self._asker.get(doors.userinfo, {"Authorization": f"Bearer {_sendable(access_token)}"})
        said = answer.json
        if answer.status != 200 or not isinstance(said, dict):
            return claims
        if said.get("sub") != claims["sub"]:
            raise NotLetIn(Trouble.NOT_PROVEN, "userinfo is about somebody else")
        return {**said, **claims}

    def _person(self, claims: Mapping[str, Any]) -> Person:
        settings = self._settings
        name = f"oidc:{safe_name(claims.get(settings.username), claims['sub'])}"
        role = role_of(_values(claims, settings.claim), settings.manage, settings.view)
        if role is None:
            there = "has other values" if any(_values(claims, settings.claim)) else "is missing"
            raise NotLetIn(Trouble.NOT_LISTED, f"the claim {settings.claim} {there}", name)
        return Person(name, role)


def _values(claims: Mapping[str, Any], claim: str) -> Iterator[str]:
    """Yield the values of a claim. An address of mail that the provider has not proven counts for nothing."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if claim == "email" and claims.get("email_verified") is not True:
        return
    yield from (one for one in (found if isinstance(found, list) else [found]) if isinstance(one, str))


def _sendable(token: str) -> str:
    if printable(token)[:1] and all("\x21" <= one <= "\x7e" for one in token):
        return token
    raise NotLetIn(Trouble.ODD_ANSWER, "the access token holds characters that cannot be sent")


def _with_query(url: str, **values: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(values)}"
