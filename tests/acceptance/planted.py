"""Secrets of every kind, services that use them, and receivers that repeat whatever they are sent."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.receiver import Exchange, Receiver, answer
from tests.transports.soapserver import SoapServer

_NEW, _OLD = (base64.b64encode(f"planted-{age}-signing-secret".encode()).decode() for age in ("new", "old"))

# By the name of their environment variables.
PLANTED = {
    "BEARER": "planted-bearer-7f3a91",
    "APIKEY": "planted-apikey-55d0c2",
    "QUERYKEY": "planted-query/key+1d",
    "BASIC": "planted-basic-e81b44",
    "HEADER": "planted-header-0a9c6e",
    "CLIENT": "planted-client-c3b0aa",
    "SIGNING": f"whsec_{_NEW}",
    "SIGNING_OLD": f"whsec_{_OLD}",
    "WSSE": "planted-wsse-<4&2>",
    "BROKER": "planted-broker-91ff03",
    "PROXY": "planted-proxy-77aa20",
    "KEY_PASSWORD": "planted-keypass-d00d",
    "WEB_TOKEN": "planted-web-token-12ab34",
}
GOT = "planted-access-token-b9e2"  # what the token server gives


def spellings(key_file: Path) -> dict[str, str]:
    """Return every text that gives a secret away."""
    found = {**PLANTED, "GOT": GOT, "KEY": key_file.read_text().splitlines()[1]}
    for name, user in (("BASIC", "moodle"), ("PROXY", "moodle"), ("CLIENT", "hub")):
        found[f"{name} as a header"] = base64.b64encode(f"{user}:{PLANTED[name]}".encode()).decode()
    for name in ("SIGNING", "SIGNING_OLD"):
        found[f"{name} without its prefix"] = PLANTED[name].removeprefix("whsec_")
    found["QUERYKEY in a query"] = quote(PLANTED["QUERYKEY"], safe="")
    found["WSSE in XML"] = PLANTED["WSSE"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return found


def gossip(status: int) -> Any:
    """Answer with the whole request, its headers and its body, and send the caller there, too."""

    def behave(exchange: Exchange) -> bool:
        request = exchange.request
        lines = [
            f"{request.method} {request.target}",
            *(f"{name}: {value}" for name, value in request.headers),
        ]
        said = "\n".join([*lines, request.body.decode("utf-8", "replace")])
        location = (request.header("Authorization") or "nowhere").replace(" ", "%20")
        told = json.dumps({"you said": said}) if status == 200 else said
        return answer(status, told.encode(), location=f"/{location}")(exchange)

    return behave


def token(exchange: Exchange) -> bool:
    """Give a token for good credentials."""
    body = json.dumps({"access_token": GOT, "token_type": "Bearer", "expires_in": 3600}).encode()
    return answer(200, body, content_type="application/json")(exchange)


def teach(receiver: Receiver) -> None:
    """Let a receiver repeat what it hears: as a refusal, unless the path says otherwise."""
    receiver.otherwise(gossip(400))
    for path, status in (("/401", 401), ("/302", 302), ("/500", 500), ("/200", 200), ("/token-401", 401)):
        receiver.on(path, gossip(status))
    receiver.on("/token", token)
    SoapServer(receiver)  # its WSDL is true; who calls it is answered with his own envelope
    receiver.on("/sis", gossip(500))


def services(url: str, secure_url: str, files: Mapping[str, Path], refused: int) -> dict[str, Any]:
    """Return services of every kind, most of them with a receiver that is no friend."""
    bearer = {"type": "bearer", "token": "${BEARER}"}
    oauth = {"type": "oauth2", "client_id": "hub", "client_secret": "${CLIENT}"}
    in_body = {**oauth, "client_auth": "body"}
    named: dict[str, Any] = {
        "bearer": {"base_url": url, "auth": bearer},
        "unauthorized": {"base_url": f"{url}/401", "auth": bearer},
        "redirected": {"base_url": f"{url}/302", "auth": bearer},
        "ill": {"base_url": f"{url}/500", "auth": bearer},
        "captured": {
            "base_url": f"{url}/200",
            "auth": bearer,
            "capture": {"request": True, "response": True},
        },
        "refused": {"base_url": f"http://127.0.0.1:{refused}", "auth": bearer},
        "apikey": {"base_url": url, "auth": {"type": "apikey", "key": "${APIKEY}"}},
        "querykey": {"base_url": url, "auth": {"type": "apikey", "key": "${QUERYKEY}", "query": "key"}},
        "basic": {"base_url": url, "auth": {"type": "basic", "username": "moodle", "password": "${BASIC}"}},
        "header": {"base_url": url, "headers": {"X-Tenant-Key": "${HEADER}"}},
        "oauth": {"base_url": url, "auth": {**oauth, "token_url": f"{url}/token"}},
        "oauth-body": {"base_url": url, "auth": {**in_body, "token_url": f"{url}/token"}},
        "oauth-refused": {"base_url": url, "auth": {**oauth, "token_url": f"{url}/token-401"}},
        "oauth-refused-body": {"base_url": url, "auth": {**in_body, "token_url": f"{url}/token-401"}},
        "signed": {"base_url": url, "signing": {"secret": "${SIGNING}", "previous": ["${SIGNING_OLD}"]}},
        "proxied": {"base_url": url, "proxy": f"http://moodle:${{PROXY}}@{url[7:]}"},
        "wsse": {
            "type": "soap",
            "base_url": f"{url}/sis.wsdl",
            "auth": {"type": "wsse", "username": "moodle", "password": "${WSSE}"},
        },
        "broker-refused": {"type": "amqp", "base_url": f"amqp://moodle:${{BROKER}}@127.0.0.1:{refused}/"},
        "broker-strange": {"type": "amqp", "base_url": f"amqp://moodle:${{BROKER}}@{url[7:]}/"},
        "certified": {
            "base_url": secure_url,
            "tls": {**{name: str(path) for name, path in files.items()}, "key_password": "${KEY_PASSWORD}"},
        },
    }
    quick = {
        "retry": {"max_retries": 0},
        "circuit_breaker": {"failure_threshold": 1_000},
        "timeout": 2,
    }
    return {name: {**quick, **service} for name, service in named.items()}
