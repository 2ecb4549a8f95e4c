"""A delivery as it would leave the house, made by what really sends it; stars stand where secrets would."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from sidecar.clock import Clock
from sidecar.model import Delivery
from sidecar.settings import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    NoAuth,
    OAuth2Auth,
    Service,
)
from sidecar.settings.broker import read_broker
from sidecar.transports.http import join_url
from sidecar.transports.outgoing import Outgoing

STARS = "********"


class Remark(StrEnum):
    """What somebody should know of a request or of its rule; whoever shows it says it in words."""

    COMPRESSED = "compressed"  # the body leaves the house compressed; its size is that before
    ENVELOPE = "envelope"  # SOAP: these are the arguments, the WSDL makes an envelope of them
    LARGE = "large"  # and every try sends all of it
    MASKED = "masked"  # the row is anonymous: the persons in it are taken out
    RULE_OFF = "rule_off"
    SERVICE_OFF = "service_off"
    SHADOW = "shadow"  # rendered and counted, never sent
    TOO_OLD = "too_old"  # the tail would hold back a row of this age
    UNSENDABLE = "unsendable"  # no message can be like that: an address or header holds what it cannot


@dataclass(frozen=True, slots=True)
class Shown:
    """One request. `size` is that of the body in bytes, `limit` the service's max_payload."""

    method: str
    address: str
    headers: Mapping[str, str]
    body: str | None
    content_type: str | None
    size: int
    limit: int
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class _Message:
    method: str
    address: str
    headers: Mapping[str, str]
    remarks: tuple[Remark, ...] = ()


def shown(delivery: Delivery, service: Service, clock: Clock) -> Shown:
    """Return what `service` would get. Nobody is asked: no token server, no WSDL."""
    message = _published(delivery, service) if service.type == "amqp" else _posted(delivery, service, clock)
    return Shown(
        message.method,
        message.address,
        message.headers,
        delivery.body,
        delivery.content_type,
        len(delivery.body.encode()) if delivery.body is not None else 0,
        service.max_payload,
        message.remarks,
    )


def _posted(delivery: Delivery, service: Service, clock: Clock) -> _Message:
    soap = service.type == "soap"
    method = "POST" if soap else delivery.method
    address = (
        (service.soap.address or service.base_url) if soap else join_url(service.base_url, delivery.endpoint)
    )
    kind = {"Content-Type": delivery.content_type} if delivery.content_type and not soap else {}
    body = delivery.body.encode() if delivery.body is not None else None
    try:
        made = Outgoing(_without_secrets(service), clock).message(
            method,
            address,
            body,
            kind if body is not None else {},
            delivery.headers,
            delivery_id=delivery.delivery_id,
        )
    except ValueError:
        return _Message(method, address, dict(delivery.headers), (Remark.UNSENDABLE,))
    headers = {name.decode(): value.decode() for name, value in made.headers.raw}
    remarks = [Remark.ENVELOPE] if soap else []
    if "content-encoding" in made.headers:
        remarks.append(Remark.COMPRESSED)
    if soap:
        headers.pop("Content-Length", None)
    return _Message(
        method, str(made.url) + _key(service, str(made.url)), _signed(headers, service, clock), tuple(remarks)
    )


def _without_secrets(service: Service) -> Service:
    headers = {name: SecretStr(STARS) for name in service.headers}
    return service.model_copy(update={"auth": NoAuth(), "signing": None, "headers": headers})


def _key(service: Service, url: str) -> str:
    """Return what a key in the query adds to an address."""
    auth = service.auth
    if not isinstance(auth, ApiKeyAuth) or not auth.query:
        return ""
    return f"{'&' if '?' in url else '?'}{auth.query}={STARS}"


def _signed(headers: dict[str, str], service: Service, clock: Clock) -> dict[str, str]:
    """Add the names of what proves who we are, where the rule has not put something of its own there."""
    proofs = {}
    if isinstance(service.auth, BearerAuth | BasicAuth | OAuth2Auth):
        proofs["Authorization"] = STARS
    if isinstance(service.auth, ApiKeyAuth) and not service.auth.query:
        proofs[service.auth.header] = STARS
    there = {name.lower() for name in headers}
    added = {name: value for name, value in proofs.items() if name.lower() not in there}
    if service.signing:
        added |= {"webhook-timestamp": str(int(clock.now().timestamp())), "webhook-signature": STARS}
    return {**headers, **added}


def _published(delivery: Delivery, service: Service) -> _Message:
    """Return where a message is published, its properties, and below them its headers."""
    broker = read_broker(service.base_url)
    properties = {
        "exchange": broker.exchange,
        "routing_key": delivery.endpoint or broker.fallback_key,
        "message_id": delivery.delivery_id,
    }
    if delivery.content_type and delivery.body is not None:
        properties["content_type"] = delivery.content_type
    if delivery.event:
        properties["type"] = delivery.event
    own = {name.lower(): (name, STARS) for name in service.headers}
    own |= {name.lower(): (name, value) for name, value in delivery.headers.items()}
    own.pop("content-type", None)
    return _Message(
        "publish",
        service.base_url,
        {**properties, **{f"headers.{name}": value for name, value in own.values()}},
    )
