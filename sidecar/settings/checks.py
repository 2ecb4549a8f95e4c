"""Values of the right type that still make no sense: unknown services, impossible URLs and events."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.errors import said
from sidecar.model import EVENT_COLUMNS
from sidecar.settings.addresses import base_url_problem, database_url_problem
from sidecar.settings.batching import batch_problems
from sidecar.settings.outside import outside_problems
from sidecar.settings.relaying import relay_problems
from sidecar.settings.rule import NUMERIC_COLUMNS, is_whole
from sidecar.settings.service import TRANSPORTS, known_types
from sidecar.settings.signin import sign_in_problems
from sidecar.settings.source import Problem, Source, child
from sidecar.settings.values import parse_duration
from sidecar.settings.wording import did_you_mean, kind, listing

# A sender needs this long beyond its service's timeout to settle; a shorter lease is taken over meanwhile.
LEASE_MARGIN_S = 1

_Found = Iterator[Problem]


def checks(source: Source) -> _Found:
    """Yield every problem. Works on the values as written, so that one wrong type hides nothing else."""
    values = source.values
    yield from _databases(values)
    yield from (Problem(place, text) for place, text in sign_in_problems(values))
    services = _mapping(values.get("services"))
    for name, service in services.items():
        yield from _service(child("services", name), _mapping(service), source)
    rules = values.get("rules")
    yield from _lease(values, services, rules if isinstance(rules, list) else [])
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        yield from _rule(child("rules", number), _mapping(rule), list(services), source)
        yield from _batch(child("rules", number), _mapping(rule), services)
    yield from _twins(source, rules if isinstance(rules, list) else [])
    yield from relay_problems(values)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _databases(values: Mapping[str, Any]) -> _Found:
    moodle, store = (_mapping(values.get(name)).get("url") for name in ("moodle", "store"))
    if isinstance(moodle, str):
        yield from _problem("moodle.url", database_url_problem(moodle))
    if isinstance(store, str) and store:
        yield from _problem("store.url", database_url_problem(store))


def _problem(place: str, text: str | None) -> _Found:
    if text:
        yield Problem(place, text)


def _service(place: str, service: Mapping[str, Any], source: Source) -> _Found:
    kind_of = service.get("type", "rest")
    if isinstance(kind_of, str) and kind_of not in TRANSPORTS and kind_of not in known_types():
        shown = source.quote(f"{place}.type", kind_of)
        yield Problem(
            f"{place}.type",
            said("unknown type %(shown)s; there is %(names)s", shown=shown, names=listing(known_types())),
        )
    url = service.get("base_url")
    if isinstance(url, str) and url:
        yield from _problem(f"{place}.base_url", base_url_problem(str(kind_of), url))
    auth = _mapping(service.get("auth")).get("type")
    if auth == "wsse" and kind_of != "soap":
        yield Problem(f"{place}.auth", said("wsse is for services of type soap: use {type: basic, ...} here"))
    if service.get("soap") and kind_of != "soap":
        yield Problem(f"{place}.soap", said("this is for services of type soap only"))
    address = _mapping(service.get("soap")).get("address")
    if isinstance(address, str) and address:
        yield from _problem(f"{place}.soap.address", base_url_problem("soap", address))
    for option, text in outside_problems(service):
        yield Problem(f"{place}.{option}", text)
    if kind_of == "soap" and auth == "oauth2":
        yield Problem(f"{place}.auth", said("oauth2 is for services of type rest only"))
    if kind_of == "amqp" and auth in ("bearer", "apikey", "oauth2"):
        text = said("a broker wants a user and a password: use {type: basic, username: ..., password: ...}")
        yield Problem(f"{place}.auth", text)


def _lease(values: Mapping[str, Any], services: Mapping[str, Any], rules: list[Any]) -> _Found:
    lease = _seconds(_mapping(values.get("dispatch")).get("lease"), 60)
    timeouts = {
        said("service %(name)s", name=name): _seconds(_mapping(one).get("timeout"), 5)
        for name, one in services.items()
    }
    own = {
        said("rule %(name)s", name=_mapping(one).get("name")): _mapping(one).get("timeout") for one in rules
    }
    timeouts |= {name: _seconds(timeout, 0) for name, timeout in own.items()}
    longest = max(timeouts, key=lambda name: timeouts[name], default=None)
    if longest is not None and lease <= timeouts[longest] + LEASE_MARGIN_S:
        timeout = timeouts[longest]
        yield Problem(
            "dispatch.lease",
            said(
                "%(lease)s seconds are too short, it must be more than %(least)s:"
                " the timeout of %(longest)s (%(timeout)s) and %(margin)s to settle, or"
                " another process takes over what is still being sent",
                lease=f"{lease:g}",
                least=f"{timeout + LEASE_MARGIN_S:g}",
                longest=longest,
                timeout=f"{timeout:g}",
                margin=LEASE_MARGIN_S,
            ),
        )


def _seconds(value: object, default: float) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError:
        return default
    return seconds if isinstance(seconds, int | float) and not isinstance(seconds, bool) else default


def _rule(place: str, rule: Mapping[str, Any], services: list[str], source: Source) -> _Found:
    service = rule.get("service")
    if isinstance(service, str) and service not in services:
        shown = source.quote(f"{place}.service", service)
        yield Problem(
            f"{place}.service",
            said("unknown service %(shown)s%(hint)s", shown=shown, hint=did_you_mean(service, services)),
        )
    yield from _events(f"{place}.event", rule.get("event"), source)
    for column, wanted in _mapping(rule.get("where")).items():
        yield from _column(f"{place}.where.{column}", column, wanted)
    endpoint = rule.get("endpoint")
    if isinstance(endpoint, str) and re.match(r"\s*[a-z][a-z0-9+.-]*://", endpoint, re.IGNORECASE):
        text = said("it is appended to the service's base_url: write the path only, such as /users")
        yield Problem(f"{place}.endpoint", text)
    yield from _payload(f"{place}.payload", rule.get("payload"))
    for name in _mapping(rule.get("headers")):
        if f"{place}.headers.{name}" in source.origins:
            text = said(
                "a rule's headers are kept with its deliveries: put secrets into %(at)s",
                at=f"services.{service}.headers",
            )
            yield Problem(f"{place}.headers.{name}", text)


def _batch(place: str, rule: Mapping[str, Any], services: Mapping[str, Any]) -> _Found:
    service = services.get(str(rule.get("service")))
    if isinstance(rule.get("batch"), dict) and isinstance(service, dict):
        yield from (Problem(f"{place}.batch", text) for text in batch_problems(rule, service))


def _payload(place: str, payload: object) -> _Found:
    if isinstance(payload, bool | int | float):
        yield Problem(
            place,
            said(
                "expected a template, the name of a file, a mapping or a list, got %(kind)s",
                kind=kind(payload),
            ),
        )
    elif isinstance(payload, str) and not payload.strip():
        yield Problem(place, said("this is empty; to send the whole event leave the key away"))


def _events(place: str, event: object, source: Source) -> _Found:
    if isinstance(event, str):
        yield from _problem(place, event_problem(event, repeat=place not in source.origins))
    for number, one in enumerate(event if isinstance(event, list) else []):
        yield from _events(child(place, number), one if isinstance(one, str) else None, source)


_EVENT = re.compile(r"\\[A-Za-z][A-Za-z0-9_]*\\event\\[A-Za-z][A-Za-z0-9_]*")
_PATTERN = re.compile(r"[\\*][A-Za-z0-9_\\*]*")


def event_problem(event: str, *, repeat: bool = True) -> str | None:
    r"""Say why nothing in Moodle can be called so; None for `\core\event\user_created` or a pattern with *.

    Without `repeat` the sentence does not say what was meant: the value may be a secret in the wrong place.
    """
    if _EVENT.fullmatch(event) or ("*" in event and _PATTERN.fullmatch(event) and "\\\\" not in event):
        return None
    if re.search(r"[\x00-\x1f\x7f]", event):
        return said("YAML read a backslash as an escape: write it without quotes, or in single quotes")
    mended = _mended(event) if repeat else None
    if mended is None:
        return said(
            r"an event looks like \core\event\user_created, a pattern like \mod_quiz\event\*, and * is all"
        )
    if "/" in event:
        return said('Moodle writes events with backslashes, did you mean "%(name)s"?', name=mended)
    if "\\\\" in event:
        return said('only inside double quotes a backslash is doubled, did you mean "%(name)s"?', name=mended)
    return said('did you mean "%(name)s"?', name=mended)


def _mended(event: str) -> str | None:
    path = [part for part in re.split(r"[\\/]+", event.strip()) if part]
    if len(path) == 2 and path[0] != "event" and "*" not in event:
        path.insert(1, "event")
    mended = "\\" + "\\".join(path)
    pattern = "*" in mended and "\\event\\" in mended and _PATTERN.fullmatch(mended)
    return mended if _EVENT.fullmatch(mended) or pattern else None


def _column(place: str, column: str, wanted: object) -> _Found:
    columns = [name for name in EVENT_COLUMNS if name != "other"]
    if column not in columns:
        if column == "other":
            text = said("other cannot be looked into here: use when, such as other.auth != 'nologin'")
        else:
            text = said("unknown column%(hint)s", hint=did_you_mean(column, columns))
        yield Problem(place, text)
        return
    if wanted == []:
        yield Problem(place, said("an empty list matches nothing"))
    for number, one in enumerate(wanted if isinstance(wanted, list) else []):
        yield from _problem(child(place, number), _misfit(column, one))
    if not isinstance(wanted, list):
        yield from _problem(place, _misfit(column, wanted))


def _misfit(column: str, wanted: object) -> str | None:
    if wanted is None:
        return None
    if column not in NUMERIC_COLUMNS:
        if isinstance(wanted, str):
            return None
        if isinstance(wanted, bool | int | float):
            return said(
                "%(column)s holds text, got %(kind)s: put it in quotes", column=column, kind=kind(wanted)
            )
        return said("%(column)s holds text, got %(kind)s", column=column, kind=kind(wanted))
    whole = (isinstance(wanted, int) and not isinstance(wanted, bool)) or (
        isinstance(wanted, str) and is_whole(wanted)
    )
    if whole:
        return None
    return said("%(column)s holds whole numbers, got %(kind)s", column=column, kind=kind(wanted))


def _twins(source: Source, rules: list[Any]) -> _Found:
    first: dict[str, int] = {}
    for number, rule in enumerate(rules):
        name, place = _mapping(rule).get("name"), f"{child('rules', number)}.name"
        if isinstance(name, str) and name in first:
            text = said(
                "there is already a rule %(name)s on line %(line)s; names are unique",
                name=source.quote(place, name),
                line=first[name],
            )
            yield Problem(place, text)
        elif isinstance(name, str):
            first[name] = source.line(place)
