"""How the sidecar identifies itself to a service, and the service to it."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    SecretStr,
)

from sidecar.settings.section import Section
from sidecar.settings.values import (
    Credential,
    HeaderName,
    QueryName,
    SigningSecret,
)


class NoAuth(Section):
    """No credentials."""

    type: Literal["none"] = Field(default="none", description="No credentials are sent")


class BearerAuth(Section):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"] = Field(description="Authorization: Bearer <token>")
    token: Credential = Field(min_length=1, description="The token, a secret")


class ApiKeyAuth(Section):
    """A key in a header or a query parameter of your choice."""

    type: Literal["apikey"] = Field(description="A key in a header or a query parameter of your choice")
    key: Credential = Field(min_length=1, description="The key, a secret")
    header: HeaderName = Field(default="X-API-Key", description="Name of the header that carries the key")
    query: QueryName | None = Field(
        default=None, description="Name of the query parameter that carries the key instead of the header"
    )


class BasicAuth(Section):
    """HTTP Basic."""

    type: Literal["basic"] = Field(description="HTTP Basic: a user name and a password")
    username: str = Field(pattern=r"^[^:\x00-\x1f]*$", description="User name; it cannot hold a colon")
    password: SecretStr = Field(description="Password, a secret")


class OAuth2Auth(Section):
    """A token from a token server, by the client credentials grant of OAuth 2 (RFC 6749, 4.4)."""

    type: Literal["oauth2"] = Field(description="A token of OAuth 2, by client credentials")
    token_url: str = Field(min_length=1, description="Where tokens are asked for")
    client_id: str = Field(min_length=1, description="Our name at the token server")
    client_secret: SecretStr = Field(min_length=1, description="Our secret at the token server")
    scope: str = Field(default="", description="What to ask for, words with blanks between; empty: nothing")
    client_auth: Literal["basic", "body"] = Field(
        default="basic", description="How id and secret are shown: by HTTP Basic, or in the body"
    )


class WsseAuth(Section):
    """A UsernameToken of WS-Security in the header of each SOAP envelope."""

    type: Literal["wsse"] = Field(description="SOAP only: a UsernameToken of WS-Security in each envelope")
    username: str = Field(min_length=1, pattern=r"^[^\x00-\x1f]*$", description="User name")
    password: SecretStr = Field(min_length=1, description="Password, a secret")
    digest: bool = Field(
        default=False, description="true: a digest of the password is sent, false: the password itself"
    )


Auth = Annotated[
    NoAuth | BearerAuth | ApiKeyAuth | BasicAuth | OAuth2Auth | WsseAuth, Field(discriminator="type")
]


class TlsSettings(Section):
    """Whom to trust and who we are. Certificates are always verified."""

    ca: str | None = Field(
        default=None, description="File (PEM) of the authority to trust instead of the public ones"
    )
    cert: str | None = Field(
        default=None, description="File (PEM) of our own certificate, with which we prove who we are"
    )
    key: str | None = Field(default=None, description="File (PEM) of its key; null: it is in cert")
    key_password: SecretStr = Field(default=SecretStr(""), description="Password of the key, a secret")


class SigningSettings(Section):
    """Signatures by which a receiver knows that a request is ours and unchanged: Standard Webhooks."""

    secret: SigningSecret = Field(description="whsec_ and base64 of 24 to 64 random bytes")
    previous: tuple[SigningSecret, ...] = Field(
        default=(), description="Secrets that are signed with, too, until all receivers have the new one"
    )
