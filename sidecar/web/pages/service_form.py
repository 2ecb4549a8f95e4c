"""The form of a service: what somebody typed becomes a section of the file, and the other way round."""

import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from starlette.datastructures import FormData

from sidecar.errors import said, text_of
from sidecar.settings import STARS, Problem, typed_yaml
from sidecar.settings.broker import read_broker
from sidecar.settings.export import yaml_text
from sidecar.settings.secretive import secrets_of
from sidecar.settings.source import child

# Which parts each way to identify oneself has.
AUTHS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "bearer": ("token",),
    "apikey": ("key", "header", "query"),
    "basic": ("username", "password"),
    "oauth2": ("token_url", "client_id", "client_secret", "scope", "client_auth"),
    "wsse": ("username", "password", "digest"),
}
_PARTS = sorted({part for parts in AUTHS.values() for part in parts})
# Where what each field says stands in the section.
PLACES: Mapping[str, str] = {
    "base_url": "base_url",
    **{f"auth_{part}": f"auth.{part}" for part in _PARTS},
    "soap_service": "soap.service",
    "soap_port": "soap.port",
    "soap_address": "soap.address",
    "timeout": "timeout",
    "connect_timeout": "connect_timeout",
    "max_retries": "retry.max_retries",
    "backoff": "retry.backoff",
    "max_backoff": "retry.max_backoff",
    "schedule": "retry.schedule",
    "failure_threshold": "circuit_breaker.failure_threshold",
    "cooldown": "circuit_breaker.cooldown",
    "rate_limit": "rate_limit",
    "drain_rate": "drain_rate",
    "max_concurrency": "max_concurrency",
    "format": "format",
    "proxy": "proxy",
    "signing_secret": "signing.secret",
    "ca": "tls.ca",
    "cert": "tls.cert",
    "key_file": "tls.key",
    "key_password": "tls.key_password",
}
SECRETS = frozenset(
    (
        "auth_token",
        "auth_key",
        "auth_password",
        "auth_client_secret",
        "proxy",
        "signing_secret",
        "key_password",
    )
)
# Secrets that a service can do without: a box takes them out.
OPTIONAL = frozenset(("proxy", "signing_secret", "key_password"))
BROKER = ("host", "port", "vhost", "exchange", "routing_key", "queue", "dlq")
_PLAIN = ("name", "type", "auth", "tls", "more", "enabled", "revision", *BROKER)
_LISTS = frozenset({"schedule"})
# What has no field of its own place: where it can be mended.
_MENDED_AT = {
    "auth": "auth",
    "type": "type",
    "name": "name",
    "retry": "schedule",
    "circuit_breaker": "failure_threshold",
    "tls": "ca",
    "signing": "signing_secret",
    "soap": "soap_service",
    "headers": "headers",
}
_QUERY = {"exchange": "exchange", "routing_key": "routing_key", "queue_declare": "queue", "dlq": "dlq"}
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Header:
    """One header; what was typed as its value is a secret."""

    name: str
    value: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ServiceForm:
    """The fields as texts, also of what makes no sense yet. `typed` are secrets, never shown again."""

    texts: Mapping[str, str]
    headers: tuple[Header, ...] = ()
    typed: Mapping[str, str] = field(default_factory=dict, repr=False)
    dropped: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> str:
        return self.texts.get(name, "")

    @property
    def broker_url(self) -> str:
        """The URL that the fields of a broker make, without credentials; empty without a host."""
        if not self["host"]:
            return ""
        host = f"[{self['host']}]" if ":" in self["host"] and "[" not in self["host"] else self["host"]
        port = f":{self['port']}" if self["port"] else ""
        vhost = "/" + quote(self["vhost"], safe="") if self["vhost"] not in ("", "/") else ""
        query = urlencode({key: self[name] for key, name in _QUERY.items() if self[name]})
        return f"amqp{'s' if self['tls'] else ''}://{host}{port}{vhost}{'?' + query if query else ''}"


@dataclass(slots=True)
class Reading:
    """A form being read: the section so far, and what is wrong with it."""

    section: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, place: str, value: object) -> None:
        """Put a value at its place, beside what `more` has."""
        *outer, last = place.split(".")
        inner = self.section
        for name in outer:
            inner = inner.setdefault(name, {}) if isinstance(inner, dict) else {}
        if not isinstance(inner, dict) or last in inner:
            self.problems.append(Problem("more", said("%(name)s: it has a field of its own", name=place)))
        else:
            inner[last] = value


def typed(form: FormData) -> ServiceForm:
    """Return what came."""

    def text(name: str) -> str:
        value = form.get(name, "")
        return value.replace("\r\n", "\n")[:_LONGEST] if isinstance(value, str) else ""

    texts = {name: text(name).strip() for name in (*_PLAIN, *PLACES) if name not in SECRETS}
    names, values = ([str(one) for one in form.getlist(key)] for key in ("header_name", "header_value"))
    rows = zip(names, [*values, *[""] * len(names)], strict=False)
    headers = tuple(Header(name.strip(), value) for name, value in rows if name.strip() or value)
    secret = {name: text(name) for name in SECRETS}
    return ServiceForm(texts, headers, secret, frozenset(name for name in OPTIONAL if text(f"drop_{name}")))


def empty() -> ServiceForm:
    """Return the form of a service that nobody has described yet."""
    return ServiceForm({"type": "rest", "auth": "none", "enabled": "yes"})


def section_of(form: ServiceForm, kept: Mapping[str, Any]) -> Reading:
    """Return the section that the form means. A secret that is left empty stays as it is in `kept`."""
    there = secrets_of(kept)
    read = _more(form)
    if form["type"] != "rest":
        read.put("type", form["type"])
    if form["type"] == "amqp" and form.broker_url:
        read.put("base_url", form.broker_url)
    if form["auth"] not in ("", "none"):
        read.put("auth.type", form["auth"])
    for name, place in PLACES.items():
        if is_asked(form, name):
            _take(read, name, place, form, there)
    for header in form.headers:
        _take_header(read, header, there)
    if not form["enabled"]:
        read.put("enabled", False)
    return read


def is_asked(form: ServiceForm, name: str) -> bool:
    """Whether a field belongs to the chosen type and authentication."""
    if name.startswith("auth_"):
        return name.removeprefix("auth_") in AUTHS.get(form["auth"], ())
    if name.startswith("soap_"):
        return form["type"] == "soap"
    return name != "base_url" or form["type"] != "amqp"


def form_of(section: Mapping[str, Any], name: str, revision: int | None) -> ServiceForm:
    """Return the form that means this section; options without a field of their own stand under `more`."""
    left = copy.deepcopy(dict(section))
    auth = left.get("auth")
    texts = {
        "name": name,
        "revision": str(revision or ""),
        "type": str(left.pop("type", "rest")),
        "auth": str(auth.pop("type", "none")) if isinstance(auth, dict) else "none",
        "enabled": "yes" if left.pop("enabled", True) is not False else "",
    }
    headers = left.pop("headers", None) or {}
    for one, place in PLACES.items():
        value = _taken(left, place)
        if one not in SECRETS:
            texts[one] = _text(value)
    if texts["type"] == "amqp":
        texts |= _broker(texts["base_url"])
    rest = {key: value for key, value in left.items() if value not in ({}, None)}
    texts["more"] = yaml_text(rest) if rest else ""
    return ServiceForm(texts, tuple(Header(str(one)) for one in headers))


def by_field(problems: Iterable[Problem], form: ServiceForm, told: Callable[[str], str]) -> dict[str, str]:
    """Return what is wrong by the name of the field where it can be mended; several make lines.

    `told` says it in the reader's language.
    """
    found: dict[str, list[str]] = {}
    for one in problems:
        name = _field_of(one.place, form)
        text = told(one.text)
        placed = f"{one.place}: {text}" if name == "more" and one.place not in ("more", "") else text
        found.setdefault(name, []).append(placed)
    return {name: "\n".join(texts) for name, texts in found.items()}


def _field_of(place: str, form: ServiceForm) -> str:
    bare = re.sub(r"\[\d+\].*$", "", place)
    if bare == "base_url" and form["type"] == "amqp":
        return "host"
    name = next((one for one, its in PLACES.items() if its == bare), None)
    if name is not None:
        return name if is_asked(form, name) else "auth"
    first = re.split(r"[.\[]", place)[0]
    if bare in _MENDED_AT or first == "headers":
        return _MENDED_AT[first]
    return "more"


def _more(form: ServiceForm) -> Reading:
    try:
        read = Reading(typed_yaml.mapping(form["more"]))
    except ValueError as error:
        return Reading(problems=[Problem("more", text_of(error))])
    for place, value in secrets_of(read.section).items():
        if value != STARS:
            text = said(
                "%(name)s: this is a secret, and this field is shown again: write it in the file", name=place
            )
            read.problems.append(Problem("more", text))
    return read


def _take(read: Reading, name: str, place: str, form: ServiceForm, there: Mapping[str, Any]) -> None:
    if name in SECRETS:
        kept = STARS if place in there and name not in form.dropped else ""
        value: object = form.typed.get(name, "") or kept
    elif name in _LISTS:
        value = [_figure(one) for one in re.split(r"[,\s]+", form[name]) if one]
    else:
        value = form[name] == "yes" if name == "auth_digest" else _figure(form[name])
    if value not in ("", [], False):
        read.put(place, value)


def _take_header(read: Reading, header: Header, there: Mapping[str, Any]) -> None:
    headers = read.section.setdefault("headers", {})
    if not isinstance(headers, dict):
        read.problems.append(Problem("more", said("headers: they have fields of their own")))
        return
    value = header.value or (STARS if child("headers", header.name) in there else "")
    if not header.name:
        read.problems.append(Problem("headers", said("a value stands there without the name of its header")))
    elif header.name in headers:
        read.problems.append(Problem("headers", said("%(name)s stands there twice", name=header.name)))
    elif not value:
        read.problems.append(Problem("headers", said("%(name)s: write its value", name=header.name)))
    else:
        headers[header.name] = value


def _figure(text: str) -> str | int | float:
    if re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d{1,18}\.\d{1,18}", text, re.ASCII) else text


def _taken(section: dict[str, Any], place: str) -> Any:
    """Take a value out of its place."""
    inner: Any = section
    *outer, last = place.split(".")
    for name in outer:
        inner = inner.get(name) if isinstance(inner, dict) else None
    return inner.pop(last, None) if isinstance(inner, dict) else None


def _broker(url: str) -> dict[str, str]:
    try:
        found = read_broker(url)
    except ValueError:
        return {}
    usual = 5671 if found.tls else 5672
    return {
        "tls": "yes" if found.tls else "",
        "host": found.host,
        "port": "" if found.port == usual else str(found.port),
        "vhost": found.vhost,
        "exchange": found.exchange,
        "routing_key": found.routing_key,
        "queue": found.queue,
        "dlq": found.dead_letter_queue,
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(one) for one in value)
    return "" if value is None else str(value)
