"""Who may do what: a request's token becomes a visitor with a role."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sidecar.settings import TokenSettings, WebRole
from sidecar.store.audit import Author
from sidecar.web.fault import Fault

_RANKS: dict[str, int] = {role: rank for rank, role in enumerate(get_args(WebRole))}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="mih"'}
_MAKE_ONE = (
    'Add to the configuration: web: {tokens: [{name: reporting, token: "${MIH_TOKEN}", role: view}]};'
    " `openssl rand -hex 32` makes a token."
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks: the name of the token, and what it may do."""

    name: str
    role: WebRole

    def may(self, role: WebRole) -> bool:
        """Whether that role's deeds are allowed; each role includes those before it."""
        return _RANKS[self.role] >= _RANKS[role]


def author(visitor: Visitor) -> Author:
    """Return who the audit names for what this visitor changes."""
    return Author(visitor.name, "api")


def visitor_of(authorization: str | None, tokens: Iterable[TokenSettings]) -> Visitor:
    """Return whose token the Authorization header holds. Raises Fault (401).

    All tokens are compared, each in the same time whatever it shares with the right one.
    """
    known = list(tokens)
    if not known:
        raise _stranger("No token is configured, so nobody may use the API.", _MAKE_ONE)
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _stranger("This request carries no token.", "Send the header `Authorization: Bearer TOKEN`.")
    given = _digest(token.strip())
    found = [one for one in known if hmac.compare_digest(_digest(one.token.get_secret_value()), given)]
    if not found:
        raise _stranger("This token is not known.", "Use one of web.tokens in the configuration.")
    return Visitor(found[0].name, found[0].role)


def at_least(role: WebRole) -> Any:
    """Return the dependency that lets visitors of this role in, and those above it."""

    async def check(
        request: Request, _given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> Visitor:
        visitor: Visitor | None = request.scope.get("visitor")
        if visitor is None:
            raise _stranger(
                "This request carries no token.", "Send the header `Authorization: Bearer TOKEN`."
            )
        if not visitor.may(role):
            raise Fault(
                403,
                "forbidden",
                f"The token {visitor.name} has the role {visitor.role}; this needs {role}.",
                f"Use a token whose role is {role}, or change the role in web.tokens.",
            )
        return visitor

    checked: Callable[..., Awaitable[Visitor]] = check
    return Depends(checked)


_BEARER = HTTPBearer(auto_error=False, scheme_name="token", description="A token of `web.tokens`")

Viewer = Annotated[Visitor, at_least("view")]
Caller = Annotated[Visitor, at_least("call")]
Manager = Annotated[Visitor, at_least("manage")]


def _stranger(message: str, remedy: str) -> Fault:
    return Fault(401, "unauthorized", message, remedy, _CHALLENGE)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
