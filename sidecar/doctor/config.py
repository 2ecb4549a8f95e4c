"""The configuration as it is written: secrets in the file, variables that stay text, what is switched off."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.doctor.findings import Findings, note, ok, warning
from sidecar.settings import Settings, Source
from sidecar.settings.addresses import has_password
from sidecar.settings.broker import part
from sidecar.settings.source import child

_SECRET_HEADER = re.compile(r"auth|token|key|secret|password|cookie|signature", re.IGNORECASE)
_CREDENTIALS = ("token", "key", "password")
# A comment of a template is not sent; those of ready templates name variables of a service.
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}")


def configuration(settings: Settings, source: Source) -> Findings:
    """Yield what a configuration that loads still has to be told."""
    rules, services = len(settings.rules), len(settings.services)
    counted = f"{_count(services, 'service')}, {_count(rules, 'rule')}; every template compiles"
    yield ok(str(source.path), counted)
    yield from _literal_secrets(source)
    yield from _unresolved(settings, source)
    yield from _switched_off(settings)
    yield from _web(settings)


def _web(settings: Settings) -> Findings:
    web = settings.web
    if not web.enabled:
        return
    if not web.host.startswith(("127.", "::1", "localhost")):
        yield warning(
            "web.host",
            f"the HTTP API listens on {web.host} without TLS: whoever listens in has its tokens",
            "put a proxy with TLS before it, or set web.host to 127.0.0.1",
        )


def is_secret_header(name: str) -> bool:
    """Tell whether a header of that name usually carries a credential."""
    return _SECRET_HEADER.search(name) is not None


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _literal_secrets(source: Source) -> Findings:
    for place in _secret_places(source.values):
        if place not in source.origins:
            yield warning(
                source.where(place),
                "a secret is written in the file itself: whoever reads the file or its backups has it",
                "write ${A_NAME} there and set that variable, or file:/run/secrets/a_name",
            )


def _secret_places(values: Mapping[str, Any]) -> Iterator[str]:
    if (values.get("store") or {}).get("secret_key"):
        yield child("store", "secret_key")
    for name in ("moodle", "store"):
        url = (values.get(name) or {}).get("url")
        if url and has_password(url):
            yield child(name, "url")
    broker = (values.get("dispatch") or {}).get("broker") or {}
    if part(str(broker.get("url") or "")).password:
        yield child(child("dispatch", "broker"), "url")
    for number, token in enumerate((values.get("web") or {}).get("tokens") or []):
        if token.get("token"):
            yield child(child(child("web", "tokens"), number), "token")
    if ((values.get("web") or {}).get("oidc") or {}).get("client_secret"):
        yield child(child("web", "oidc"), "client_secret")
    for name, service in (values.get("services") or {}).items():
        place = child("services", name)
        auth = (service or {}).get("auth") or {}
        yield from (child(child(place, "auth"), key) for key in _CREDENTIALS if auth.get(key))
        headers = (service or {}).get("headers") or {}
        yield from (child(child(place, "headers"), key) for key in headers if is_secret_header(key))


def _unresolved(settings: Settings, source: Source) -> Findings:
    for number, rule in enumerate(settings.rules):
        for key in ("when", "payload"):
            place = child(child("rules", number), key)
            for text in _texts(getattr(rule, key)):
                found = _VARIABLE.search(_COMMENT.sub("", text))
                if found:
                    made = rule.name in settings.made.rules
                    yield warning(
                        f"rule {rule.name}" if made else f"{source.where(place)} ({rule.name})",
                        f"{found[0]} is sent as it stands: templates know no variables of the environment",
                        "put the value into a header or the endpoint, which do, or write it out",
                    )
                    break


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _switched_off(settings: Settings) -> Findings:
    if not any(rule.enabled for rule in settings.rules):
        yield note("rules", "no rule is enabled: nothing will be delivered", "enable a rule, or write one")
    for rule in settings.rules:
        service = settings.services[rule.service]
        if not rule.enabled:
            yield note(f"rule {rule.name}", "is disabled: it matches nothing")
        elif not service.enabled and not service.broken:
            yield warning(
                f"rule {rule.name}",
                f"its service {rule.service} is disabled: its deliveries are queued and wait",
                f"set services.{rule.service}.enabled to true, or disable the rule",
            )
