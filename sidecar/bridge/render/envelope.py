"""A rendered payload leaves here as its format sends it: form fields, a CloudEvent, an xAPI statement."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from sidecar.bridge.render.budget import PayloadTooLarge
from sidecar.bridge.render.filters import isodate
from sidecar.bridge.render.jsonsafe import mend
from sidecar.errors import Misfit, TemplateError, said
from sidecar.gateway import envelope
from sidecar.gateway.body import Parcel, form_fields

# What envelopes are made of, whatever the template names.
NAMES = frozenset(("delivery", "site", "eventname", "timecreated", "objecttable", "objectid", "courseid"))


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
            raise PayloadTooLarge(
                said("payload: as a form it has more than %(n)s characters", n=f"{max_size:,}")
            )
    return "&".join(pieces)


def structured(body: str, scope: Mapping[str, Any], source: str) -> Parcel:
    """Return a CloudEvent 1.0 in structured mode: everything is in the body, the payload is its `data`."""
    made = envelope.structured(body, attributes(scope, source))
    return replace(made, body=mend(made.body or ""))


def binary(body: str | None, scope: Mapping[str, Any], source: str) -> Parcel:
    """Return a CloudEvent 1.0 in binary mode: the body is the payload, the rest is in `ce-` headers."""
    return envelope.binary(body, attributes(scope, source))


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
    return {name: mend(value) for name, value in found.items() if value}


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
    """Return an xAPI statement, which gets the delivery's id if it has none. Raises TemplateError."""
    try:
        made = envelope.statement(body, scope["delivery"]["id"])
    except Misfit as error:
        raise TemplateError(error.text) from error
    return replace(made, body=mend(made.body or ""))
