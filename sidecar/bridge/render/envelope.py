"""A rendered payload leaves here as its format sends it: form fields, a CloudEvent, an xAPI statement."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from sidecar.bridge.render.budget import PayloadTooLarge
from sidecar.bridge.render.filters import isodate
from sidecar.bridge.render.jsonsafe import json_value, mend
from sidecar.errors import TemplateError
from sidecar.gateway.body import form_fields

XAPI_VERSION = "1.0.3"
_STATEMENT_PARTS = ("actor", "verb", "object")
# What a header can hold as it is; the CloudEvents HTTP binding has blank, quote and percent sign encoded.
_HEADER_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent: the body, its content type, and the headers that its format brings along."""

    body: str | None
    content_type: str | None
    headers: Mapping[str, str] = field(default_factory=dict)


def form(body: str, max_size: int) -> str:
    """Return a JSON object as form fields, nested as PHP and so Moodle's web services read them.

    A long name comes again with each entry of its list, so the size is counted on the way: raises
    PayloadTooLarge over `max_size` characters.
    """
    values = json.loads(body, parse_int=str, parse_float=str)
    pieces: list[str] = []
    room = max_size
    for pair in form_fields(values):
        pieces.append(urlencode([pair]))
        room -= len(pieces[-1]) + 1
        if room < 0:
            raise PayloadTooLarge(f"payload: as a form it has more than {max_size:,} characters")
    return "&".join(pieces)


def structured(body: str, scope: Mapping[str, Any], source: str) -> Parcel:
    """Return a CloudEvent 1.0 in structured mode: everything is in the body, the payload is its `data`."""
    head = json_value({**attributes(scope, source), "datacontenttype": "application/json"})
    return Parcel(mend(f'{head[:-1]},"data":{body}}}'), "application/cloudevents+json")


def binary(body: str | None, scope: Mapping[str, Any], source: str) -> Parcel:
    """Return a CloudEvent 1.0 in binary mode: the body is the payload, the rest is in `ce-` headers."""
    found = attributes(scope, source)
    headers = {f"ce-{name}": quote(mend(value), safe=_HEADER_SAFE) for name, value in found.items()}
    return Parcel(body, None if body is None else "application/json", headers)


def attributes(scope: Mapping[str, Any], source: str) -> dict[str, str]:
    r"""Return the context attributes; `\core\event\user_created` is of type `org.moodle.core.user_created`.

    Source and id together are unique: the id is the delivery's, the same over retries and replays.
    """
    found = {
        "specversion": "1.0",
        "id": scope["delivery"]["id"],
        "source": source or f"/{scope['site']}",
        "type": _type(scope["eventname"]),
        "time": _time(scope["timecreated"]),
        "subject": _subject(scope),
    }
    return {name: value for name, value in found.items() if value}


def _type(eventname: str) -> str:
    component, _, name = eventname.strip("\\").partition("\\event\\")
    return ".".join(["org.moodle", *component.split("\\"), *name.split("\\")]).rstrip(".")


def _time(timecreated: object) -> str | None:
    try:
        return isodate(timecreated)
    except (TypeError, ValueError):
        return None


def _subject(scope: Mapping[str, Any]) -> str | None:
    if scope["objecttable"] and scope["objectid"]:
        return f"{scope['objecttable']}/{scope['objectid']}"
    return f"course/{scope['courseid']}" if scope["courseid"] else None


def statement(body: str, scope: Mapping[str, Any]) -> Parcel:
    """Return an xAPI statement; without an id of its own it gets the delivery's, so no LRS keeps it twice."""
    value = json.loads(body)
    if not isinstance(value, dict):
        raise TemplateError("payload: an xAPI statement is an object with actor, verb and object")
    missing = [part for part in _STATEMENT_PARTS if not isinstance(value.get(part), dict)]
    if missing:
        raise TemplateError(f"payload: an xAPI statement needs {' and '.join(missing)}, each an object")
    if "id" not in value:
        body = json_value({"id": scope["delivery"]["id"], **value})
    elif not _is_uuid(value["id"]):
        raise TemplateError("payload: the id of an xAPI statement is a UUID: leave it away to have one made")
    return Parcel(mend(body), "application/json", {"X-Experience-API-Version": XAPI_VERSION})


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value.lower()
    except ValueError:
        return False
