"""Call a service through the gateway: now, or queued durably."""

import asyncio
import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row

from sidecar.gateway.response import Response as Answer
from sidecar.model import DeliveryState
from sidecar.store import deliveries, queue
from sidecar.web.access import Caller
from sidecar.web.ask import ServiceName
from sidecar.web.asked import Asked, Call, CallKey, the_key, understood
from sidecar.web.desk import Desk, Stopping, desk_of
from sidecar.web.fault import Refusal, refusals
from sidecar.web.once import busy, earlier, one_at_a_time, require_same

router = APIRouter(tags=["Calls"])

_PAUSED_S = 60


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

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Return what the gateway answered."""
        return cls(
            ok=answer.ok,
            status=answer.status,
            body=answer.body,
            error=answer.error,
            latency_ms=round(answer.latency_ms, 1),
            attempts=answer.attempts,
            delivery_id=answer.delivery_id,
            repeated=False,
        )

    @classmethod
    def before(cls, done: Row[Any]) -> Self:
        """Return what the request log says of a delivery that was sent earlier."""
        return cls(
            ok=True,
            status=done.status,
            body=done.response,
            error=None,
            latency_ms=done.latency_ms,
            attempts=done.attempt,
            delivery_id=done.delivery_id,
            repeated=True,
        )


class Queued(BaseModel):
    """A delivery that is queued; its fate is at the Location."""

    delivery_id: str
    state: DeliveryState
    repeated: bool = Field(description="It was there already, with this key")


@router.post(
    "/services/{name}/request",
    summary="Call a service",
    responses={
        200: {"model": Called, "description": "The call was made; `ok` says whether it was accepted"},
        202: {"model": Queued, "description": "Queued (mode async)"},
        **refusals(403, 404, 409, 413, 415, 422),
        503: {
            "model": Called | Refusal,
            "description": "Not sent: circuit open, paused, rate limit, too many at a time, or no database",
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
    key = the_key(call, idempotency_key)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(desk.calls, _made, desk, name, call, key)


def _made(desk: Desk, name: str, call: Call, key: str | None) -> Response:
    asked = understood(desk, name, call, key)
    return _queue(desk, asked) if call.mode == "async" else _send(desk, asked)


def _queue(desk: Desk, asked: Asked) -> Response:
    made = asked.delivery
    with desk.store.write() as conn:
        before = deliveries.get(conn, made.delivery_id) if asked.repeatable else None
        if before is None:
            queue.enqueue(conn, [made], now=desk.now)
            before_state, repeated = DeliveryState.PENDING, False
        else:
            require_same(before, made, body=True)
            before_state, repeated = DeliveryState(before.state), True
    if not repeated:
        desk.wake()
    queued = Queued(delivery_id=made.delivery_id, state=before_state, repeated=repeated)
    return _json(202, queued, {"Location": f"/api/v1/deliveries/{made.delivery_id}"})


def _send(desk: Desk, asked: Asked) -> Response:
    made = asked.delivery
    with one_at_a_time(made):
        done = earlier(desk, made) if asked.repeatable else None
        if done is not None:
            return _json(200, Called.before(done))
        answer = _answer(desk, asked)
    if answer.ok or answer.attempts:
        return _json(200, Called.of(answer))
    wait_s = _PAUSED_S if answer.retry_after_s is None else max(math.ceil(answer.retry_after_s), 1)
    return _json(503, Called.of(answer), {"Retry-After": str(wait_s)})


def _answer(desk: Desk, asked: Asked) -> Answer:
    try:
        return desk.door.request(
            asked.delivery.service,
            asked.call.endpoint,
            asked.call.payload,
            method=asked.call.method,
            headers=asked.call.headers,
            idempotency_key=asked.key,
        )
    except Stopping:
        raise busy("The sidecar is stopping.", 5) from None


def _json(status: int, body: BaseModel, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body.model_dump_json(), status, headers, media_type="application/json")
