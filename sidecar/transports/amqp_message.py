"""A request becomes a message as AMQP carries it, or a reason why none can be made of it."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pika
import pika.exceptions

from sidecar.errors import said
from sidecar.settings.broker import Broker
from sidecar.transports.base import Request
from sidecar.transports.link import Message

_LONGEST_NAME = 255
_PERSISTENT = 2
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def message_of(request: Request, broker: Broker, standing: Mapping[str, str], now: datetime) -> Message:
    """Return the message as it goes out, with the service's `standing` headers.

    Raises ValueError when none can be like that.
    """
    properties = pika.BasicProperties(
        content_type=request.content_type if request.body is not None else None,
        headers=_headers(standing, request.headers),
        delivery_mode=_PERSISTENT,
        message_id=request.delivery_id,
        type=request.event,
        timestamp=int(now.timestamp()),
        app_id="moodle-integration-hub",
    )
    _require_sendable(properties)
    return Message(broker.exchange, _routing_key(request, broker), request.body or b"", properties)


def _routing_key(request: Request, broker: Broker) -> str:
    routing_key = request.endpoint or broker.fallback_key
    if _CONTROL.search(routing_key):
        raise ValueError(said("the routing key holds a control character"))
    if len(routing_key.encode()) > _LONGEST_NAME:
        raise ValueError(said("the routing key is longer than %(n)s bytes", n=_LONGEST_NAME))
    return routing_key


def _headers(standing: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Put the rule's headers over the service's, whatever their case; the content type is a property."""
    merged = {name.lower(): (name, value) for name, value in (*standing.items(), *more.items())}
    merged.pop("content-type", None)
    return dict(merged.values())


def _require_sendable(properties: Any) -> None:
    try:
        properties.encode()
    except pika.exceptions.AMQPError as error:
        raise ValueError(said("a name is longer than %(n)s bytes", n=_LONGEST_NAME)) from error
