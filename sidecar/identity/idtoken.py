"""An ID token becomes claims, once signature, issuer, audience, times and nonce are right."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import ClaimError, ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from sidecar.identity.person import NotLetIn, Trouble
from sidecar.identity.provider import Provider

# Asymmetric ones only: never none, and no HS256, for which a public key could be taken as the secret.
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
SKEW_S = 60
_LONGEST = 65_536


def claims_of(token: str, provider: Provider, client_id: str, nonce: str, now: datetime) -> Mapping[str, Any]:
    """Return what the token says (OpenID Connect Core 1.0, 3.1.3.7). Raises NotLetIn."""
    if len(token) > _LONGEST:
        raise NotLetIn(Trouble.NOT_PROVEN, "the ID token is too long")
    claims = _signed(token, provider)
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=SKEW_S,
        iss={"essential": True, "value": provider.issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        registry.validate(claims)
    except ExpiredTokenError as error:
        raise NotLetIn(Trouble.CLOCKS, f"the ID token is over: {error.description}") from None
    except ClaimError as error:
        trouble = Trouble.CLOCKS if error.claim in ("exp", "iat", "nbf") else Trouble.NOT_PROVEN
        raise NotLetIn(trouble, f"the ID token is not for us: {error.description}") from None
    _for_us_alone(claims, client_id)
    return claims


def _signed(token: str, provider: Provider) -> dict[str, Any]:
    try:
        try:
            return _decoded(token, provider.keys())
        except InvalidKeyIdError:
            return _decoded(token, provider.keys(without=_key_id(token)))
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        why = str(error) if isinstance(error, JoseError) else type(error).__name__
        raise NotLetIn(Trouble.NOT_PROVEN, f"the ID token is not signed as it should be: {why}") from None


def _decoded(token: str, keys: KeySet) -> dict[str, Any]:
    return jwt.decode(token, keys, algorithms=ALGORITHMS).claims


def _key_id(token: str) -> str:
    return str(extract_compact(token.encode()).headers().get("kid"))


def _for_us_alone(claims: Mapping[str, Any], client_id: str) -> None:
    """With several audiences, or where it is named at all, the party that asked has to be us."""
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise NotLetIn(Trouble.NOT_PROVEN, "the ID token was made for another client (azp)")
