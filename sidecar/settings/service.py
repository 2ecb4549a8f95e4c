"""A service: an external system, where it is and how to send to it."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from sidecar.errors import said
from sidecar.settings.broker import part
from sidecar.settings.credentials import Auth, NoAuth, SigningSettings, TlsSettings
from sidecar.settings.networks import NetworkRules
from sidecar.settings.policies import CaptureSettings, CircuitBreakerSettings, RetrySettings
from sidecar.settings.section import Section
from sidecar.settings.values import (
    URI_PATTERN,
    Credential,
    HeaderNames,
    Limit,
    Rate,
    Seconds,
    Statuses,
    Wait,
)

FormatName = Literal["json", "form", "xml", "text", "cloudevents", "xapi"]

# The types of service that can be sent to without anything being installed.
TRANSPORTS: frozenset[str] = frozenset({"amqp", "rest", "soap"})
_GROUP = "mih.transports"


def known_types() -> list[str]:
    """Return all types of service: those of the product and those that installed packages bring."""
    return sorted(TRANSPORTS | entry_points(group=_GROUP).names)


class SoapSettings(Section):
    """Of a SOAP service: which part of its WSDL is meant, and where that is."""

    service: str | None = Field(
        default=None, description="Name of the WSDL's service; null: the first with the operation"
    )
    port: str | None = Field(
        default=None,
        description="Name of its port; null: the first with the operation, of SOAP 1.1 or 1.2",
    )
    address: str | None = Field(
        default=None,
        description="URL that is called; null: the WSDL's, which has to be on the WSDL's own host",
    )
    wsdl_max_age: Seconds = Field(
        default=86400, description="Seconds after which the kept copy of the WSDL is read anew"
    )


class Service(Section):
    """An external system: where it is and how to send to it."""

    type: str = Field(
        default="rest",
        description="Transport: rest, or amqp (RabbitMQ: base_url is amqp(s)://host:port/vhost?exchange=...,"
        " and a rule's endpoint the routing key), or soap (base_url is the WSDL, the endpoint an operation),"
        " or what an installed package brings",
        json_schema_extra={"examples": [*sorted(TRANSPORTS)]},
    )
    base_url: str = Field(min_length=1, description="Where the service is; a rule's endpoint is appended")
    auth: Auth = Field(
        default=NoAuth(), description="Credentials: type none, bearer, apikey, basic, oauth2 or wsse"
    )
    headers: Annotated[Mapping[str, Credential], HeaderNames] = Field(
        default={}, description="Headers of every request; their values are secrets"
    )
    timeout: Seconds = Field(default=5, le=600, description="Seconds until a request is given up")
    connect_timeout: Annotated[Seconds | None, Limit] = Field(
        default=None,
        le=600,
        description="Seconds of the timeout for name, connection and TLS; null: 5, or the whole timeout",
    )
    tls: TlsSettings = TlsSettings()
    signing: SigningSettings | None = Field(
        default=None, description="Sign every request as Standard Webhooks does; null: not at all"
    )
    success_status: Statuses = Field(
        default="200-299", min_length=1, description="Statuses that say that it was taken"
    )
    retry_status: Statuses = Field(
        default="408, 425, 429, 500-599",
        description="Statuses that are tried again; of these 500 and above say that the service is ill",
    )
    gzip: bool = Field(default=False, description="true: bodies above 1,024 bytes are sent compressed")
    http2: bool = Field(default=False, description="true: HTTP/2 where the service offers it; needs https")
    proxy: SecretStr | None = Field(
        default=None, description="http://user:password@host:port of a proxy to go through; null: none"
    )
    retry: RetrySettings = RetrySettings()
    circuit_breaker: CircuitBreakerSettings = CircuitBreakerSettings()
    soap: SoapSettings = SoapSettings()
    max_concurrency: Annotated[int | None, Limit] = Field(
        default=None,
        ge=1,
        le=1024,
        description="Requests in flight at most; null: an equal share of dispatch.concurrency",
    )
    cache_ttl: Wait = Field(
        default=0, description="Seconds that good answers to GET are kept for direct calls; 0: not at all"
    )
    rate_limit: Rate = Field(
        default=None,
        description="Requests per second, or 10/s, 600/min, 1000/h, over all processes; null: no limit",
    )
    drain_rate: Rate = Field(
        default=None,
        description="Deliveries per second, or 50/s, that leave of what piled up while it was paused or down,"
        " beside new ones; null: as fast as it goes",
    )
    capture: CaptureSettings = CaptureSettings()
    max_payload: int = Field(
        default=1_048_576, ge=1, description="Bytes; a larger payload becomes a dead letter"
    )
    format: FormatName = Field(
        default="json",
        description="What payloads are written in: json, form, xml, text, cloudevents or xapi",
    )
    cloudevents: Literal["structured", "binary"] = Field(
        default="structured",
        description="With format cloudevents: everything in the body, or the attributes in ce- headers",
    )
    cloudevents_source: str = Field(
        default="",
        pattern=URI_PATTERN,
        max_length=500,
        description="With format cloudevents: the source attribute; empty: / and the site",
    )
    enabled: bool = Field(default=True, description="false: its deliveries are queued and wait")
    _network: NetworkRules = PrivateAttr(default=NetworkRules())
    _broken: str | None = PrivateAttr(default=None)
    _source: str = PrivateAttr(default="file")

    @property
    def network(self) -> NetworkRules:
        """The addresses that it may be at: not its own choice, but that of whoever made it."""
        return self._network

    def within(self, rules: NetworkRules) -> Self:
        """Return the service under these rules."""
        service = self.model_copy()
        service._network = rules
        return service

    @property
    def broken(self) -> str | None:
        """Why it cannot be called: its secret cannot be read, or its definition is wrong; None: nothing."""
        return self._broken

    @property
    def source(self) -> str:
        """Where it is written: file, or here for what was made in the dashboard or by the API."""
        return self._source

    def made_here(self) -> Self:
        """Return the service as one that was made in the dashboard or by the API."""
        service = self.model_copy()
        service._source = "here"
        return service

    def unfit(self, reason: str | None) -> Self:
        """Return the service switched off for that reason; itself if there is none."""
        if reason is None:
            return self
        service = self.model_copy(update={"enabled": False})
        service._broken = reason
        return service

    @property
    def connect_timeout_s(self) -> float:
        """Seconds for the connection, never more than the whole request has."""
        return min(self.timeout, 5 if self.connect_timeout is None else self.connect_timeout)

    @model_validator(mode="before")
    @classmethod
    def _without_password(cls, data: object) -> object:
        """Make `auth` of the user and password in a broker's URL: what shows the URL then shows no secret."""
        if not isinstance(data, Mapping) or data.get("type") != "amqp":
            return data
        url = data.get("base_url")
        parted = part(url) if isinstance(url, str) else None
        if parted is None or parted.user is None:
            return data
        if data.get("auth") not in (None, {"type": "none"}):
            raise ValueError(said("user and password stand in base_url and in auth: keep them in auth only"))
        auth = {"type": "basic", "username": parted.user, "password": parted.password}
        return {**data, "base_url": parted.url, "auth": auth}
