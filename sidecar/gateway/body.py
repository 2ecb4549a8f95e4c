"""What a caller's payload becomes on the wire: JSON, form fields, or text as it stands."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from sidecar.settings.service import FormatName

# The other formats put something around JSON: see envelope.
CONTENT_TYPES: Mapping[FormatName, str] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "xml": "application/xml; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent: the body, what it says it is, and the headers that its format brings along."""

    body: str | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def parcel_of(payload: object, form: FormatName) -> Parcel:
    """Return a payload as a service of this format wants it; text is sent as it stands.

    Raises TypeError or ValueError for what JSON does not know.
    """
    if payload is None:
        return Parcel()
    if isinstance(payload, str):
        return Parcel(payload, CONTENT_TYPES.get(form, CONTENT_TYPES["json"]))
    written = json.dumps(payload, ensure_ascii=False)
    if form == "form" and isinstance(payload, Mapping):
        return Parcel(urlencode(list(form_fields(json.loads(written)))), CONTENT_TYPES["form"])
    return Parcel(written, CONTENT_TYPES["json"])


def query_of(payload: Mapping[Any, Any], form: FormatName) -> str:
    """Return a payload as the query of an address."""
    return urlencode(list(form_fields(payload)) if form == "form" else payload, doseq=True)


def form_fields(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield form fields, nested as PHP and so Moodle's web services read them: `users[0][username]`.

    As in PHP's http_build_query true is 1, false is 0, null and empty lists are left away.
    """
    for name, value in values.items():
        yield from _fields(name, value)


def _fields(name: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case bool():
            yield name, str(int(value))
        case Mapping():
            for key, entry in value.items():
                yield from _fields(f"{name}[{key}]", entry)
        case list() | tuple():
            for index, entry in enumerate(value):
                yield from _fields(f"{name}[{index}]", entry)
        case _:
            yield name, str(value)
