"""Call a service through the gateway: now, or queued durably."""

import asyncio
import json
import math
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from sidecar.gateway.response import Response as Answer
from sidecar.model import Delivery, DeliveryState, Outcome
from sidecar.settings import Service
from sidecar.settings.rule import Method
from sidecar.settings.values import HeaderNames
from sidecar.store import circuits, deliveries, log, queue
from sidecar.store.find import known
from sidecar.web.access import Caller
from sidecar.web.ask import ServiceName
from sidecar.web.desk import Desk, Stopping, desk_of
from sidecar.web.fault import Fault, Refusal, refusals

router = APIRouter(tags=["Calls"])

_REMEMBERED = timedelta(hours=24)
_CALLS_AT_ONCE = 16
_PAUSED_S = 60
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
        default=None, description="Sent as JSON, text as it stands; with GET and HEAD it becomes the query"
    )
    method: Method = "POST"
    headers: Annotated[Mapping[str, HeaderValue], HeaderNames] = Field(
        default={}, max_length=50, description="Of this request; kept with a queued delivery, so no secrets"
    )
    mode: Literal["sync", "async"] = Field(
        default="sync", description="sync: wait for the answer; async: queue it, it is sent for certain"
    )
    idempotency_key: CallKey | None = Field(
        default=None, description="In place of the header Idempotency-Key"
    )


class Called(BaseModel):
    """What came of a call. `ok` tells whether the service accepted it."""

    ok: bool
    status: int | None = Field(description="The service's status; null: no answer came")
    body: str | None = Field(description="The service's answer")
    error: str | None
    latency_ms: float = Field(description="Of the last try")
    attempts: int = Field(description="0: it was not sent")
    delivery_id: str = Field(description="What the service got as webhook-id and Idempotency-Key")
    repeated: bool = Field(description="It had been delivered before with this key, and was not sent again")


class Queued(BaseModel):
    """A delivery that is queued; its fate is at the Location."""

    delivery_id: str
    state: DeliveryState
    repeated: bool = Field(description="It was there already, with this key")


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it was understood: `delivery` is what is or would be sent."""

    call: Call
    service: Service
    delivery: Delivery
    key: str
    repeatable: bool  # the caller gave the key, and may send it again


@router.post(
    "/services/{name}/request",
    summary="Call a service",
    responses={
        200: {"model": Called, "description": "The call was made; `ok` says whether it was accepted"},
        202: {"model": Queued, "description": "Queued (mode async)"},
        **refusals(403, 404, 409, 413, 415, 422),
        503: {
            "model": Called | Refusal,
            "description": "Not sent: circuit open, paused, no room, or no database",
        },
    },
    response_model=None,
)
async def call_service(
    request: Request,
    name: ServiceName,
    call: Call,
    _visitor: Caller,
    desk: Annotated[Desk, Depends(desk_of)],
    idempotency_key: Annotated[CallKey | None, Header(description="One key, one delivery")] = None,
) -> Response:
    """Send a request with the service's credentials, retries, circuit and log.

    Needs the role `call`. With mode sync the answer is the service's, after all retries. With mode async it
    is queued and sent as every delivery is; what finally fails is a dead letter. The same key for the same
    service is the same delivery: queued once; or, where it was delivered within 24 hours, not sent again.
    """
    del request
    if idempotency_key and call.idempotency_key not in {None, idempotency_key}:
        raise _bad("The header Idempotency-Key and the field idempotency_key differ: send one of them.")
    key = idempotency_key or call.idempotency_key
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(desk.calls, _made, desk, name, call, key)


def _made(desk: Desk, name: str, call: Call, key: str | None) -> Response:
    asked = _understood(desk, name, call, key)
    return _queue(desk, asked) if call.mode == "async" else _send(desk, asked)


def _understood(desk: Desk, name: str, call: Call, key: str | None) -> Asked:
    """Return what the gateway makes of the call. Raises NotFound, and Fault for what cannot be sent."""
    service = desk.settings.services[known(name, desk.settings.services, "service")]
    sent_as = key or uuid.uuid4().hex
    try:
        json.dumps(call.payload, ensure_ascii=False, allow_nan=False).encode()
        delivery = desk.door.plan(
            name, call.endpoint, call.payload, method=call.method, headers=call.headers, key=sent_as
        )
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


def _queue(desk: Desk, asked: Asked) -> Response:
    made = asked.delivery
    with desk.store.write() as conn:
        before = deliveries.get(conn, made.delivery_id) if asked.repeatable else None
        if before is None:
            queue.enqueue(conn, [made], now=desk.now)
            before_state, repeated = DeliveryState.PENDING, False
        else:
            _require_same(before, made, body=True)
            before_state, repeated = DeliveryState(before.state), True
    if not repeated:
        desk.wake()
    queued = Queued(delivery_id=made.delivery_id, state=before_state, repeated=repeated)
    return _json(202, queued, {"Location": f"/api/v1/deliveries/{made.delivery_id}"})


def _send(desk: Desk, asked: Asked) -> Response:
    made = asked.delivery
    with _one_at_a_time(made), _room_for(made.service, asked.service):
        earlier = _earlier(desk, made) if asked.repeatable else None
        if earlier is not None:
            return _json(200, earlier)
        try:
            answer = desk.door.request(
                made.service,
                asked.call.endpoint,
                asked.call.payload,
                method=asked.call.method,
                headers=asked.call.headers,
                idempotency_key=asked.key,
            )
        except Stopping:
            raise _busy("The sidecar is stopping.", 5) from None
    called = Called(
        ok=answer.ok,
        status=answer.status,
        body=answer.body,
        error=answer.error,
        latency_ms=round(answer.latency_ms, 1),
        attempts=answer.attempts,
        delivery_id=made.delivery_id,
        repeated=False,
    )
    if _was_refused(answer):
        return _json(503, called, {"Retry-After": str(_wait_s(desk, made.service))})
    return _json(200, called)


def _was_refused(answer: Answer) -> bool:
    return not answer.ok and answer.attempts == 0


def _earlier(desk: Desk, made: Delivery) -> Called | None:
    """Return the outcome of a delivery that this key had before; None: it has to be sent."""
    with desk.store.read() as conn:
        queued = deliveries.get(conn, made.delivery_id)
        tries = log.find(conn, delivery_id=made.delivery_id)
    if tries:
        _require_same(tries[0], made, body=False)
    done = next((row for row in tries if row.outcome == Outcome.DELIVERED), None)
    if done is not None and desk.now - done.created_at < _REMEMBERED:
        return Called(
            ok=True,
            status=done.status,
            body=done.response,
            error=None,
            latency_ms=done.latency_ms,
            attempts=done.attempt,
            delivery_id=made.delivery_id,
            repeated=True,
        )
    if queued is not None and queued.state in {DeliveryState.PENDING, DeliveryState.SENDING}:
        raise _conflict(f"This key is queued already, as delivery {made.delivery_id}.")
    return None


def _require_same(before: Row[Any], made: Delivery, *, body: bool) -> None:
    same = (before.method, before.endpoint) == (made.method, made.endpoint)
    if not same or (body and before.payload != made.body):
        raise Fault(
            422,
            "key_reused",
            "This idempotency key was used for another request.",
            "Make a new key for each thing that is to happen once.",
        )


_lock = threading.Lock()
_keys: set[str] = set()
_under_way: Counter[str] = Counter()


@contextmanager
def _one_at_a_time(made: Delivery) -> Iterator[None]:
    """Keep two requests with one key from being sent side by side."""
    with _lock:
        if made.delivery_id in _keys:
            raise _conflict("A request with this key is being sent right now.")
        _keys.add(made.delivery_id)
    try:
        yield
    finally:
        with _lock:
            _keys.discard(made.delivery_id)


@contextmanager
def _room_for(name: str, service: Service) -> Iterator[None]:
    """Keep one slow service from taking all threads."""
    with _lock:
        if _under_way[name] >= (service.max_concurrency or _CALLS_AT_ONCE):
            raise _busy(f"As many calls of {name} as may be are under way.", 1)
        _under_way[name] += 1
    try:
        yield
    finally:
        with _lock:
            _under_way[name] -= 1


def _wait_s(desk: Desk, name: str) -> int:
    with desk.store.read() as conn:
        found = circuits.load_all(conn).get(name)
    if found is None or found.probe_at is None:
        return _PAUSED_S
    return max(math.ceil((found.probe_at - desk.now).total_seconds()), 1)


def _json(status: int, body: BaseModel, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), status, headers, media_type="application/json")


def _bad(message: str) -> Fault:
    return Fault(422, "bad_input", message, "GET /api/docs says what this call takes.")


def _conflict(message: str) -> Fault:
    return Fault(409, "in_progress", message, "Wait, and ask for the delivery's fate.")


def _busy(message: str, wait_s: int) -> Fault:
    return Fault(503, "busy", message, "Try again in a moment.", {"Retry-After": str(wait_s)})
