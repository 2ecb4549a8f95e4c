"""Ways to sign in to the dashboard beside our own users: by Moodle, and by OpenID Connect."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from sidecar.errors import said
from sidecar.settings.section import Section

_TEXT = r"^[^\x00-\x20\x7f]+$"
_SERVICE = r"^[A-Za-z0-9_-]+$"
_SCOPES = r"^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$"


class MoodleLoginSettings(Section):
    """Sign-in with the name and password of Moodle; site administrators may do everything."""

    service: str = Field(
        default="moodle_mobile_app",
        pattern=_SERVICE,
        max_length=255,
        description="Short name of the external service of Moodle that gives the token; site administrators"
        " get one of the mobile service only",
    )
    manage: tuple[str, ...] = Field(
        default=(), description="User names of Moodle that may do everything, beside site administrators"
    )
    view: tuple[str, ...] = Field(default=(), description="User names of Moodle that have the role view")


class OidcSettings(Section):
    """Sign-in by a provider of OpenID Connect: authorization code flow with PKCE."""

    issuer: str = Field(
        pattern=_TEXT, max_length=500, description="Address of the provider, exactly as it names itself"
    )
    client_id: str = Field(min_length=1, max_length=500, description="Our name at the provider")
    client_secret: SecretStr = Field(
        default=SecretStr(""), description="Our secret at the provider; empty for a public client"
    )
    scopes: str = Field(
        default="openid profile email",
        pattern=_SCOPES,
        max_length=500,
        description="What to ask for, words with blanks between; openid has to be among them",
    )
    username: str = Field(
        default="preferred_username",
        min_length=1,
        max_length=100,
        description="Claim that names the person in the audit; where it is missing, sub does",
    )
    claim: str = Field(
        default="groups",
        min_length=1,
        max_length=200,
        description="Claim that decides on the role, text or list; a.b looks into an object",
    )
    manage: tuple[str, ...] = Field(default=(), description="Values of the claim that may do everything")
    view: tuple[str, ...] = Field(default=(), description="Values of the claim that have the role view")


def is_confidential(url: str) -> bool:
    """Whether what is sent there is encrypted, or does not leave this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))


def sign_in_problems(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the option and what is wrong, on the values as written."""
    web = values.get("web")
    if not isinstance(web, dict):
        return
    moodle, oidc = web.get("moodle_login"), web.get("oidc")
    if isinstance(moodle, dict):
        yield from _moodle(values.get("site_url"))
    if isinstance(oidc, dict):
        yield from _oidc(oidc)
    if (
        web.get("local_login") in (False, "false")
        and not isinstance(moodle, dict)
        and not isinstance(oidc, dict)
    ):
        yield (
            "web.local_login",
            said("nobody could sign in: configure web.moodle_login or web.oidc, or take this away"),
        )


def _moodle(site_url: object) -> Iterator[tuple[str, str]]:
    if not isinstance(site_url, str) or not site_url:
        yield (
            "web.moodle_login",
            said("where Moodle is has to be known: set site_url, such as https://moodle.example.org"),
        )
    elif not is_confidential(site_url):
        yield (
            "web.moodle_login",
            said("passwords would travel unencrypted: site_url has to begin with https://"),
        )


def _oidc(oidc: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    issuer, scopes = oidc.get("issuer"), oidc.get("scopes")
    if isinstance(issuer, str) and not is_confidential(issuer):
        yield (
            "web.oidc.issuer",
            said("expected an address that begins with https://, such as https://id.example.org"),
        )
    elif isinstance(issuer, str) and ("?" in issuer or "#" in issuer):
        yield (
            "web.oidc.issuer",
            said("no ? and no # here: this is the address by which the provider names itself"),
        )
    if isinstance(scopes, str) and "openid" not in scopes.split():
        yield "web.oidc.scopes", said("openid has to be among them")
    if not oidc.get("manage") and not oidc.get("view"):
        yield (
            "web.oidc",
            said("nobody could sign in: list under manage or view the values of the claim that may"),
        )


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
