"""A delivery as a message carries it: all of it, the same bytes from the first try to the last."""

import json
from dataclasses import fields
from datetime import datetime
from typing import Any

import pika

from sidecar.model import Delivery
from sidecar.transports.link import Message

_FORMAT = "mih.delivery.1"
_PERSISTENT = 2
_MOMENTS = ("created_at", "event_at", "expires_at")


class Unreadable(Exception):
    """A message that is none of ours, or of another version of the program."""


def packed(delivery: Delivery, exchange: str) -> Message:
    """Return the message of a delivery."""
    values = {field.name: getattr(delivery, field.name) for field in fields(Delivery)}
    values |= {name: values[name].isoformat() for name in _MOMENTS if values[name] is not None}
    values["headers"] = dict(delivery.headers)
    properties = pika.BasicProperties(
        content_type="application/json",
        type=_FORMAT,
        delivery_mode=_PERSISTENT,
        message_id=delivery.delivery_id,
        app_id="moodle-integration-hub",
    )
    body = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return Message(exchange, delivery.service, body, properties)


def unpacked(properties: Any, body: bytes) -> Delivery:
    """Return the delivery of a message. Raises Unreadable."""
    if properties.type != _FORMAT:
        raise Unreadable(f"its type is {properties.type!r}, not {_FORMAT!r}")
    try:
        values = json.loads(body.decode("utf-8", "surrogatepass"))
        moments = {name: datetime.fromisoformat(values[name]) for name in _MOMENTS if values[name]}
        return Delivery(**{**values, **moments})
    except (ValueError, TypeError, KeyError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None
