"""Moodle's token service and a provider of OpenID Connect over real HTTP; tests decide what they answer."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from sidecar.clock import FakeClock
from tests.receiver import Exchange, Receiver, answer

DOTTED = "/.well-known/openid-configuration"


def form_of(exchange: Exchange) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(exchange.request.body.decode()).items()}


def say(exchange: Exchange, said: object, status: int = 200) -> bool:
    return answer(status, json.dumps(said).encode(), content_type="application/json")(exchange)


class Moodle:
    """login/token.php and webservice/rest/server.php with the answers of Moodle 4.5."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.people = {"ana": "Secret-1", "boss": "Secret-2", "Eva": "Secret-3"}
        self.admins = {"boss"}
        self.errorcode = ""
        self.names_admins = True
        receiver.on("/login/token.php", self._token)
        receiver.on("/webservice/rest/server.php", self._site_info)

    @property
    def url(self) -> str:
        """Its site_url."""
        return self.receiver.url

    def _token(self, exchange: Exchange) -> bool:
        form = form_of(exchange)
        if self.errorcode:
            return say(exchange, _moodle_error(self.errorcode))
        if form.get("appsitecheck"):
            return say(exchange, {"appsitecheck": "ok"})
        if self.people.get(form.get("username", "")) != form.get("password"):
            return say(exchange, _moodle_error("invalidlogin"))
        return say(exchange, {"token": f"token-of-{form['username']}", "privatetoken": None})

    def _site_info(self, exchange: Exchange) -> bool:
        name = form_of(exchange)["wstoken"].removeprefix("token-of-")
        said: dict[str, Any] = {
            "sitename": "Campus",
            "username": name.lower(),
            "userid": 7,
            "siteurl": self.url,
        }
        if self.names_admins:
            said["userissiteadmin"] = name in self.admins
        return say(exchange, said)


def _moodle_error(code: str) -> dict[str, object]:
    return {"error": "Words in Moodle's language", "errorcode": code, "stacktrace": None, "debuginfo": None}


class Issuer:
    """A provider that checks codes, verifiers and secrets, and signs real tokens."""

    def __init__(self, receiver: Receiver, clock: FakeClock) -> None:
        self.receiver, self.clock = receiver, clock
        self.key: RSAKey | ECKey = RSAKey.generate_key(2048, {"kid": "rsa-1"})
        self.algorithm = "RS256"
        self.claims: dict[str, Any] = {
            "sub": "248289761001",
            "preferred_username": "ana",
            "groups": ["staff"],
        }
        self.userinfo: dict[str, Any] = {"sub": "248289761001"}
        self.about: dict[str, Any] = {}
        self.secret = "client-secret"
        self.methods = ["client_secret_basic", "client_secret_post"]
        self._codes: dict[str, dict[str, str]] = {}
        receiver.on(DOTTED, lambda exchange: say(exchange, self.document()))
        receiver.on("/keys", lambda exchange: say(exchange, KeySet([self.key]).as_dict(private=False)))
        receiver.on("/token", self._token)
        receiver.on("/userinfo", lambda exchange: say(exchange, self.userinfo))

    @property
    def url(self) -> str:
        """The issuer."""
        return self.receiver.url

    def document(self) -> Mapping[str, Any]:
        """Return what it says of itself."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "end_session_endpoint": f"{self.url}/out",
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": self.methods,
            **self.about,
        }

    def use_ec(self, kid: str = "ec-1") -> None:
        """Sign with an elliptic curve from now on."""
        self.key, self.algorithm = ECKey.generate_key("P-256", {"kid": kid}), "ES256"

    def consent(self, way_there: str) -> dict[str, str]:
        """Do as the person at its page does; return the query with which the browser comes back."""
        parts = urlsplit(way_there)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.url}

    def sign(self, nonce: str, header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """Return an ID token; None takes a claim away."""
        now = int(self.clock.now().timestamp())
        claims = {"iss": self.url, "aud": "hub", "iat": now, "exp": now + 300, "nonce": nonce}
        claims |= self.claims | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        head = {"alg": self.algorithm, "kid": self.key.kid, **(header or {})}
        return jwt.encode(head, kept, self.key, algorithms=[head["alg"]])

    def _token(self, exchange: Exchange) -> bool:
        form, header = form_of(exchange), exchange.request.header("Authorization")
        basic = f"Basic {base64.b64encode(f'hub:{self.secret}'.encode()).decode()}"
        if header != basic and (form.get("client_id"), form.get("client_secret")) != ("hub", self.secret):
            return say(exchange, {"error": "invalid_client"}, 401)
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not asked or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return say(exchange, {"error": "invalid_grant"}, 400)
        said = {"token_type": "Bearer", "access_token": "access", "id_token": self.sign(asked["nonce"])}
        return say(exchange, said)
