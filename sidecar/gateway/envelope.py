"""What a format puts around a payload: a CloudEvent's attributes, an xAPI statement's id and version."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn
from urllib.parse import quote, unquote

from sidecar.errors import Misfit, said
from sidecar.gateway.body import Parcel
from sidecar.settings import Service
from sidecar.settings.wording import listing

# The type of the CloudEvent that a direct call sends, unless its caller names one.
DIRECT_TYPE = "org.moodle.hub.call"
_XAPI_VERSION = {"X-Experience-API-Version": "1.0.3"}
_STATEMENT_PARTS = ("actor", "verb", "object")
_PREFIX = "ce-"
_MADE_HERE = ("specversion", "id", "datacontenttype")
_ATTRIBUTE = re.compile("[a-z0-9]+")
# What a header can hold as it is; the CloudEvents HTTP binding has blank, quote and percent sign encoded.
_HEADER_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def enclosed(
    parcel: Parcel, service: Service, *, asks: bool, headers: Mapping[str, str], delivery_id: str, site: str
) -> Parcel:
    """Return what a direct call with these headers sends to a service of its format. Raises Misfit.

    `asks`: it brings nothing, as GET does, and so is neither an event nor a statement. A caller's headers
    stand over those of the format; `ce-` headers are attributes of the CloudEvent in either mode.
    """
    if service.format == "xapi":
        made = replace(parcel, headers=_XAPI_VERSION) if asks else statement(parcel.body, delivery_id)
    elif service.format == "cloudevents" and not asks:
        source = service.cloudevents_source or f"/{site}"
        found = {"specversion": "1.0", "id": delivery_id, "source": source, "type": DIRECT_TYPE}
        made = _event(parcel, found | _given(headers), binary_mode=service.cloudevents == "binary")
        headers = {name: value for name, value in headers.items() if not _is_attribute(name)}
    else:
        made = parcel
    named = {name.lower() for name in headers}
    brought = {name: value for name, value in made.headers.items() if name.lower() not in named}
    return replace(made, headers={**brought, **headers})


def structured(body: str | None, attributes: Mapping[str, str]) -> Parcel:
    """Return a CloudEvent in structured mode: everything is in the body, the payload is its `data`."""
    head = dict(attributes) if body is None else {**attributes, "datacontenttype": "application/json"}
    written = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
    data = "" if body is None else f',"data":{body}'
    return Parcel(f"{written[:-1]}{data}}}", "application/cloudevents+json")


def binary(body: str | None, attributes: Mapping[str, str]) -> Parcel:
    """Return a CloudEvent in binary mode: the body is the payload, the rest is in `ce-` headers."""
    headers = {f"{_PREFIX}{name}": quote(value, safe=_HEADER_SAFE) for name, value in attributes.items()}
    return Parcel(body, None if body is None else "application/json", headers)


def statement(body: str | None, delivery_id: str) -> Parcel:
    """Return an xAPI statement; without an id of its own it gets the delivery's, so no LRS keeps it twice.

    Raises Misfit for what is none.
    """
    text = body or "null"
    value = _read(text)
    if not isinstance(value, dict):
        raise Misfit(said("payload: an xAPI statement is an object with actor, verb and object"))
    missing = [part for part in _STATEMENT_PARTS if not isinstance(value.get(part), dict)]
    if missing:
        names = listing(missing)
        raise Misfit(said("payload: an xAPI statement needs %(names)s, each an object", names=names))
    if "id" not in value:
        text = json.dumps({"id": delivery_id, **value}, ensure_ascii=False, separators=(",", ":"))
    elif not _is_uuid(value["id"]):
        raise Misfit(said("payload: the id of an xAPI statement is a UUID: leave it away to have one made"))
    return Parcel(text, "application/json", _XAPI_VERSION)


def _event(parcel: Parcel, attributes: Mapping[str, str], *, binary_mode: bool) -> Parcel:
    if binary_mode:
        return binary(parcel.body, attributes)
    if parcel.body is not None:
        _read(parcel.body)  # text is sent as it stands, and there it has to be a value
    return structured(parcel.body, attributes)


def _is_attribute(header: str) -> bool:
    return header.lower().startswith(_PREFIX)


def _given(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes that a caller gives, as the HTTP binding writes them in headers."""
    written = {name.lower(): value for name, value in headers.items() if _is_attribute(name)}
    given = {name.removeprefix(_PREFIX): unquote(value) for name, value in written.items() if value}
    for name in given:
        if name in _MADE_HERE:
            raise Misfit(f"headers: {_PREFIX}{name} is made here; an idempotency key gives the same id again")
        if not _ATTRIBUTE.fullmatch(name):
            raise Misfit(f"headers: {_PREFIX}{name} is no attribute of a CloudEvent: a to z and digits only")
    return given


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_decoder = json.JSONDecoder(parse_constant=_refuse)


def _read(body: str) -> Any:
    try:
        return _decoder.decode(body)
    except (ValueError, RecursionError):
        raise Misfit(said("payload: this text is no JSON, as the service's format wants it")) from None


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False
