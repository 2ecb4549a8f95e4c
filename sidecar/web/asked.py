"""What a caller asks of a service, and the delivery that the gateway makes of it."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sidecar.errors import Misfit
from sidecar.model import Delivery
from sidecar.settings import Service
from sidecar.settings.rule import Method
from sidecar.settings.values import HeaderNames
from sidecar.store.find import known
from sidecar.web.desk import Desk
from sidecar.web.fault import Fault

_KEY_PATTERN = r"^[\x21-\x7e]{1,200}$"
_TEXT_PATTERN = r"^[^\x00-\x1f\x7f]*$"
_VALUE_PATTERN = r"^[\t\x20-\x7e]*$"


def _storable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a surrogate pair, which is no character") from None
    return value


def _path(value: str) -> str:
    if "://" in value.partition("?")[0]:
        raise ValueError("it is appended to the service's base_url: write the path only, such as /users")
    return _storable(value)


HeaderValue = Annotated[str, Field(pattern=_VALUE_PATTERN, max_length=4_000)]
CallKey = Annotated[str, Field(pattern=_KEY_PATTERN)]


class Call(BaseModel):
    """One request to a service."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"endpoint": "/users", "payload": {"id": 7, "name": "Ada"}}]},
    )

    endpoint: Annotated[str, AfterValidator(_path)] = Field(
        default="",
        max_length=2_000,
        pattern=_TEXT_PATTERN,
        description="Appended to base_url; the routing key (RabbitMQ), the operation (SOAP)",
    )
    payload: Any = Field(
        default=None,
        description="Sent as JSON or as the service's format wants it, text as it stands; with GET and HEAD"
        " it becomes the query",
    )
    method: Method = "POST"
    headers: Annotated[Mapping[str, HeaderValue], HeaderNames] = Field(
        default={},
        max_length=50,
        description="Of this request; kept with a queued delivery, so no secrets."
        " To a service of format cloudevents ce-type and the like are the event's attributes",
    )
    mode: Literal["sync", "async"] = Field(
        default="sync", description="sync: wait for the answer; async: queue it, it is sent for certain"
    )
    idempotency_key: CallKey | None = Field(
        default=None, description="In place of the header Idempotency-Key"
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it was understood: `delivery` is what is or would be sent."""

    call: Call
    service: Service
    delivery: Delivery
    key: str
    repeatable: bool  # the caller gave the key, and may send it again


def the_key(call: Call, header: str | None) -> str | None:
    """Return the one key of a call, given in its header or its body. Raises Fault if they differ."""
    if header and call.idempotency_key not in {None, header}:
        raise _bad("The header Idempotency-Key and the field idempotency_key differ: send one of them.")
    return header or call.idempotency_key


def understood(desk: Desk, name: str, call: Call, key: str | None) -> Asked:
    """Return what the gateway makes of the call. Raises NotFound, and Fault for what cannot be sent."""
    service = desk.settings.services[known(name, desk.settings.services, "service")]
    sent_as = key or uuid.uuid4().hex
    try:
        json.dumps(call.payload, ensure_ascii=False, allow_nan=False).encode()
        delivery = desk.door.plan(
            name, call.endpoint, call.payload, method=call.method, headers=call.headers, key=sent_as
        )
    except Misfit as misfit:
        raise _bad(f"{misfit}.") from None
    except (ValueError, RecursionError):
        raise _bad(
            "payload: this cannot be written as JSON (NaN, half a surrogate pair, or too deep)."
        ) from None
    if "\0" in (delivery.body or "") or len(delivery.endpoint) > 8_000:
        raise _bad("payload: as text it must not hold a NUL, as a query not more than 8,000 characters.")
    size = len((delivery.body or "").encode())
    if size > service.max_payload:
        raise _bad(f"payload: {size:,} bytes are over the service's max_payload of {service.max_payload:,}.")
    return Asked(call, service, delivery, sent_as, repeatable=key is not None)


def _bad(message: str) -> Fault:
    return Fault(422, "bad_input", message, "GET /api/docs says what this call takes.")
