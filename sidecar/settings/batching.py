"""Rules whose deliveries go out many at a time: how many, and which rules cannot be like that."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from sidecar.errors import said
from sidecar.settings.section import Section
from sidecar.settings.values import WITHOUT_BODY, Wait


class BatchSettings(Section):
    """How many deliveries of a rule go out in one request, as a JSON array."""

    max_items: int = Field(default=100, ge=1, le=1_000, description="Deliveries in one request at most")
    max_bytes: int = Field(
        default=262_144,
        ge=1_024,
        description="Bytes of one request at most; the service's max_payload holds, too",
    )
    linger: Wait = Field(
        default=5,
        le=3_600,
        description="Seconds that the first delivery waits for others at most; a full batch goes at once",
    )


_ONE_BY_ONE = {
    "amqp": said("to RabbitMQ a backlog is sent together anyway, each delivery as a message of its own"),
    "soap": said("an operation takes one delivery"),
}
_NO_ARRAY = ("form", "xml", "text")

_JSON = re.compile(r"[/+]json\s*(;|$)", re.IGNORECASE)


def batch_problems(rule: Mapping[str, Any], service: Mapping[str, Any]) -> Iterator[str]:
    """Say why the deliveries of a rule cannot share requests. Both are as written in the file."""
    if service.get("type") in _ONE_BY_ONE:
        why = _ONE_BY_ONE[service["type"]]
        yield said("this is for services of type rest: %(why)s; leave batch away", why=why)
        return
    written = rule.get("format") or service.get("format")
    if written in _NO_ARRAY:
        yield said(
            "a batch is a JSON array: format has to be json, cloudevents or xapi, it is %(format)s",
            format=written,
        )
    if written == "cloudevents" and service.get("cloudevents") == "binary":
        yield said(
            "only structured CloudEvents can share a request: write cloudevents: structured for the service"
        )
    if rule.get("method") in WITHOUT_BODY:
        yield said("%(method)s has no body to put a batch in: use POST, PUT or PATCH", method=rule["method"])
    headers = rule.get("headers")
    named = headers.items() if isinstance(headers, dict) else ()
    if any(str(name).lower() == "content-type" and not is_json(str(value)) for name, value in named):
        yield said("a batch is a JSON array: take the header Content-Type out, or name a type of JSON there")


def is_json(content_type: str | None) -> bool:
    """Tell whether a content type is one of JSON's."""
    return content_type is not None and _JSON.search(content_type) is not None
