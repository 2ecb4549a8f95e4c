"""The shape of the configuration file: every option, its type, default and unit."""

from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from types import NoneType
from typing import Annotated, Any, Literal, Self, get_args, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from sidecar.model import Event
from sidecar.settings.broker import part
from sidecar.settings.networks import NetworkRules, Range
from sidecar.settings.values import (
    HOST_PATTERN,
    PREFIX_PATTERN,
    SITE_URL_PATTERN,
    TABLE_PATTERN,
    URI_PATTERN,
    Age,
    Credential,
    Days,
    Events,
    HeaderName,
    HeaderNames,
    Limit,
    Name,
    QueryName,
    Rate,
    Seconds,
    Share,
    SigningSecret,
    Start,
    Statuses,
    Token,
    Wait,
)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
FormatName = Literal["json", "form", "xml", "text", "cloudevents", "xapi"]
Scalar = str | int | None

# The types of service that can be sent to.
TRANSPORTS: frozenset[str] = frozenset({"amqp", "rest", "soap"})

# The columns of an event that hold numbers: `where: {courseid: "2"}` means the number 2.
NUMERIC_COLUMNS: frozenset[str] = frozenset(
    name for name, hint in get_type_hints(Event).items() if hint is int or int in get_args(hint)
)


class Section(BaseModel):
    """A frozen part of the file that knows all its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, data: object) -> object:
        """Take `retry:` with nothing behind it (all its lines commented out) as not written."""
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if value is not None or not cls._defaulted(key)}

    @classmethod
    def _defaulted(cls, key: str) -> bool:
        field = cls.model_fields.get(key)
        return field is not None and NoneType not in get_args(field.annotation)


class MoodleSettings(Section):
    """Where Moodle's log is. It is only ever read."""

    url: SecretStr = Field(description="SQLAlchemy URL of Moodle's database")
    prefix: str = Field(
        default="mdl_",
        pattern=PREFIX_PATTERN,
        max_length=20,
        description="Prefix of Moodle's tables, $CFG->prefix",
    )
    log_table: str = Field(
        default="logstore_standard_log",
        pattern=TABLE_PATTERN,
        max_length=60,
        description="Name of the log table, without the prefix",
    )


class StoreSettings(Section):
    """Where the sidecar keeps its own tables."""

    url: SecretStr = Field(
        default=SecretStr(""), description="SQLAlchemy URL; empty: the same database as Moodle"
    )
    migrate: Literal["apply", "check"] = Field(
        default="apply", description="At start: apply pending migrations, or check and refuse to start"
    )


class TailSettings(Section):
    """How the log is read."""

    start: Start = Field(
        default="latest",
        description="latest, beginning, a log id or an ISO 8601 time; used once, while there is no cursor",
    )
    poll: Seconds = Field(default=0.5, description="Seconds between looks at the log", le=3600)
    window: int = Field(default=50_000, ge=100, le=1_000_000, description="Ids looked at in one query")
    batch: int = Field(default=1_000, ge=1, le=10_000, description="Matching rows held in memory at most")
    lease: Seconds = Field(
        default=10, ge=2, le=600, description="Seconds after which another replica takes over the tail"
    )
    gap_patience: Seconds = Field(
        default=3600,
        description="Seconds until a missing id is given up where the database cannot prove its absence",
    )


class DispatchSettings(Section):
    """How deliveries are sent."""

    concurrency: int = Field(
        default=64, ge=1, le=1024, description="Requests in flight at most, over all services"
    )
    lease: Seconds = Field(
        default=60,
        ge=2,
        le=3600,
        description="Seconds after which a dead process's deliveries are taken over",
    )
    poll: Seconds = Field(
        default=2, le=3600, description="Seconds between looks for deliveries that other processes queued"
    )
    shutdown_grace: Seconds = Field(
        default=10, description="Seconds that a stopping process waits for what is in flight"
    )


class RetentionSettings(Section):
    """How long finished things are kept. Dead letters stay until somebody decides."""

    delivered_days: Days = Field(
        default=7, description="Days that delivered and cancelled deliveries are kept"
    )
    log_days: Days = Field(default=30, description="Days that the request log is kept")
    log_rows: Annotated[int | None, Limit] = Field(
        default=None,
        ge=0,
        description="Rows of the request log that are kept at most (the plugin kept 500); null: no limit",
    )
    counts_days: Days = Field(default=400, description="Days that the hourly counts are kept")


class NetworkSettings(Section):
    """Which addresses services may be at. What a name stands for is judged at each connection."""

    allow: tuple[Range, ...] = Field(
        default=(),
        description="Ranges of addresses, such as 198.18.0.0/15, that may be connected to although they are"
        " refused otherwise; cloud metadata, link-local and multicast never are",
    )
    deny: tuple[Range, ...] = Field(
        default=(), description="Ranges of addresses that are never connected to; it wins over allow"
    )

    def rules(self, *, private: bool) -> NetworkRules:
        """Return what is to be kept to; `private`: private and loopback addresses need not be listed."""
        allow, deny = (tuple(map(ip_network, ranges)) for ranges in (self.allow, self.deny))
        return NetworkRules(allow, deny, private)


WebRole = Literal["view", "call", "manage"]


class TokenSettings(Section):
    """A token of the HTTP API: who has it, and what it may do."""

    name: Name = Field(description="Name of whoever uses it; the log shows it in place of the token")
    token: Token = Field(description="The token itself, a secret of 16 characters or more")
    role: WebRole = Field(
        default="view",
        description="view: read all but payloads; call: also call services; manage: everything",
    )


class WebSettings(Section):
    """The HTTP API, and the addresses that a monitoring system asks."""

    enabled: bool = Field(default=True, description="Whether mih run listens at all")
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        pattern=HOST_PATTERN,
        max_length=253,
        description="Address to listen on; another than this machine's own needs a proxy with TLS before it",
    )
    port: int = Field(default=8080, ge=1, le=65535, description="Port to listen on")
    tokens: tuple[TokenSettings, ...] = Field(
        default=(), description="Who may use the API; without tokens nobody may"
    )

    @property
    def place(self) -> tuple[bool, str, int]:
        """Where it listens, if it does: what only a restart can change."""
        return self.enabled, self.host, self.port

    @model_validator(mode="after")
    def _tell_apart(self) -> Self:
        """Refuse two tokens of one name, and one token under two names: the log could not tell who it was."""
        names = [one.name for one in self.tokens]
        if len(set(names)) < len(names):
            raise ValueError("two tokens have the same name: names are unique")
        if len({one.token.get_secret_value() for one in self.tokens}) < len(names):
            raise ValueError("two names have the same token: make one for each")
        return self


class NoAuth(Section):
    """No credentials."""

    type: Literal["none"] = Field(default="none", description="No credentials are sent")


class BearerAuth(Section):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"] = Field(description="Authorization: Bearer <token>")
    token: Credential = Field(min_length=1, description="The token, a secret")


class ApiKeyAuth(Section):
    """A key in a header or a query parameter of your choice."""

    type: Literal["apikey"] = Field(description="A key in a header or a query parameter of your choice")
    key: Credential = Field(min_length=1, description="The key, a secret")
    header: HeaderName = Field(default="X-API-Key", description="Name of the header that carries the key")
    query: QueryName | None = Field(
        default=None, description="Name of the query parameter that carries the key instead of the header"
    )


class BasicAuth(Section):
    """HTTP Basic."""

    type: Literal["basic"] = Field(description="HTTP Basic: a user name and a password")
    username: str = Field(pattern=r"^[^:\x00-\x1f]*$", description="User name; it cannot hold a colon")
    password: SecretStr = Field(description="Password, a secret")


class OAuth2Auth(Section):
    """A token from a token server, by the client credentials grant of OAuth 2 (RFC 6749, 4.4)."""

    type: Literal["oauth2"] = Field(description="A token of OAuth 2, by client credentials")
    token_url: str = Field(min_length=1, description="Where tokens are asked for")
    client_id: str = Field(min_length=1, description="Our name at the token server")
    client_secret: SecretStr = Field(min_length=1, description="Our secret at the token server")
    scope: str = Field(default="", description="What to ask for, words with blanks between; empty: nothing")
    client_auth: Literal["basic", "body"] = Field(
        default="basic", description="How id and secret are shown: by HTTP Basic, or in the body"
    )


class WsseAuth(Section):
    """A UsernameToken of WS-Security in the header of each SOAP envelope."""

    type: Literal["wsse"] = Field(description="SOAP only: a UsernameToken of WS-Security in each envelope")
    username: str = Field(min_length=1, pattern=r"^[^\x00-\x1f]*$", description="User name")
    password: SecretStr = Field(min_length=1, description="Password, a secret")
    digest: bool = Field(
        default=False, description="true: a digest of the password is sent, false: the password itself"
    )


Auth = Annotated[
    NoAuth | BearerAuth | ApiKeyAuth | BasicAuth | OAuth2Auth | WsseAuth, Field(discriminator="type")
]


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


def _not_empty(schedule: tuple[float, ...]) -> tuple[float, ...]:
    if not schedule:
        raise ValueError("an empty list is no schedule: name the waits, such as [5s, 30s, 5m]")
    return schedule


Schedule = Annotated[
    tuple[Annotated[Seconds, Field(le=30 * 86400)], ...], Field(max_length=100), AfterValidator(_not_empty)
]
# What a schedule stands in place of.
_REPLACED = ("max_retries", "backoff", "max_backoff")


def _refuse_beside_schedule(named: Iterable[str]) -> None:
    beside = sorted(set(named) & set(_REPLACED))
    if beside:
        raise ValueError(f"schedule has one wait for each retry: leave {' and '.join(beside)} away")


class RetrySettings(Section):
    """Waits `backoff` x 1, x 2, x 4 ... seconds, capped at `max_backoff`; or as `schedule` says."""

    max_retries: int = Field(default=3, ge=0, le=100, description="Tries after the first")
    schedule: Schedule | None = Field(
        default=None, description="The waits one by one, such as [5s, 30s, 5m, 2h], instead of a backoff"
    )
    jitter: Share = Field(
        default=0.2,
        description="Each wait is longer by up to this share, by chance, so that not all come back at once",
    )
    backoff: Wait = Field(
        default=1, le=3600, description="Seconds before the first retry; it doubles with each"
    )
    max_backoff: Seconds = Field(default=60, le=86400, description="Seconds that a wait is capped at")
    max_retry_after: Seconds = Field(
        default=3600, le=86400, description="Seconds that a Retry-After answer is capped at"
    )

    @model_validator(mode="after")
    def _one_plan(self) -> Self:
        """Refuse a schedule beside the options that it replaces."""
        if self.schedule is not None:
            _refuse_beside_schedule(self.model_fields_set)
        return self

    @property
    def most_retries(self) -> int:
        """Tries after the first."""
        return self.max_retries if self.schedule is None else len(self.schedule)


class RuleRetry(Section):
    """What a rule changes of its service's `retry`; what is not named here stays the service's."""

    max_retries: Annotated[int | None, Limit] = Field(
        default=None, ge=0, le=100, description="Tries after the first"
    )
    schedule: Schedule | None = Field(default=None, description="The waits one by one, instead of a backoff")
    jitter: Annotated[Share | None, Limit] = Field(
        default=None, description="Each wait is longer by up to this share, by chance"
    )
    backoff: Annotated[Wait | None, Limit] = Field(
        default=None, le=3600, description="Seconds before the first retry; it doubles with each"
    )
    max_backoff: Annotated[Seconds | None, Limit] = Field(
        default=None, le=86400, description="Seconds that a wait is capped at"
    )
    max_retry_after: Annotated[Seconds | None, Limit] = Field(
        default=None, le=86400, description="Seconds that a Retry-After answer is capped at"
    )

    @model_validator(mode="after")
    def _one_plan(self) -> Self:
        """Refuse a schedule beside the options that it replaces."""
        if self.schedule is not None:
            _refuse_beside_schedule(name for name in _REPLACED if getattr(self, name) is not None)
        return self

    def over(self, retry: RetrySettings) -> RetrySettings:
        """Return the service's policy with this rule's changes."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        changes = {name: value for name, value in named.items() if value is not None}
        if set(changes) & set(_REPLACED):
            changes["schedule"] = None
        return retry.model_copy(update=changes)


class CircuitBreakerSettings(Section):
    """Stops sending to a service that is ill."""

    failure_threshold: int = Field(default=5, ge=1, description="Failures in a row that open the circuit")
    failure_share: Annotated[Share | None, Limit] = Field(
        default=None,
        gt=0,
        description="Share of failures within the window that opens the circuit, too; null: only a row does",
    )
    window: Seconds = Field(
        default=60, le=86400, description="Seconds that requests are counted for failure_share"
    )
    min_requests: int = Field(
        default=20, ge=1, description="Requests in a window below which failure_share opens nothing"
    )
    cooldown: Seconds = Field(default=30, description="Seconds until one probe is sent")
    cooldown_factor: float = Field(
        default=1, ge=1, le=100, description="The cooldown is multiplied by this with each failed probe"
    )
    max_cooldown: Seconds = Field(default=900, description="Seconds that the cooldown grows to at most")


class CaptureSettings(Section):
    """What the request log keeps of the bodies, with the service's secrets masked."""

    request: bool = Field(default=False, description="Whether the payload of each try is kept")
    response: bool = Field(
        default=False, description="Whether answers of successes are kept, too; those of failures always are"
    )
    max_bytes: int = Field(default=16_384, ge=0, le=16_384, description="Bytes of each that are kept at most")


class TlsSettings(Section):
    """Whom to trust and who we are. Certificates are always verified."""

    ca: str | None = Field(
        default=None, description="File (PEM) of the authority to trust instead of the public ones"
    )
    cert: str | None = Field(
        default=None, description="File (PEM) of our own certificate, with which we prove who we are"
    )
    key: str | None = Field(default=None, description="File (PEM) of its key; null: it is in cert")
    key_password: SecretStr = Field(default=SecretStr(""), description="Password of the key, a secret")


class SigningSettings(Section):
    """Signatures by which a receiver knows that a request is ours and unchanged: Standard Webhooks."""

    secret: SigningSecret = Field(description="whsec_ and base64 of 24 to 64 random bytes")
    previous: tuple[SigningSecret, ...] = Field(
        default=(), description="Secrets that are signed with, too, until all receivers have the new one"
    )


class Service(Section):
    """An external system: where it is and how to send to it."""

    type: str = Field(
        default="rest",
        description="Transport: rest, or amqp (RabbitMQ: base_url is amqp(s)://host:port/vhost?exchange=...,"
        " and a rule's endpoint the routing key), or soap (base_url is the WSDL, the endpoint an operation)",
        json_schema_extra={"enum": [*sorted(TRANSPORTS)]},
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
            raise ValueError("user and password stand in base_url and in auth: keep them in auth only")
        auth = {"type": "basic", "username": parted.user, "password": parted.password}
        return {**data, "base_url": parted.url, "auth": auth}


class Rule(Section):
    """Which events go where, with which payload."""

    name: Name = Field(description="Unique name; part of every delivery id, so renaming it makes a new rule")
    event: Events = Field(description="Event class, a pattern with *, or a list of them")
    service: str = Field(description="Name of the service that gets it")
    endpoint: str = Field(
        default="", description="Path appended to the service's base_url; may hold placeholders"
    )
    method: Method = Field(default="POST", description="HTTP method")
    headers: Annotated[Mapping[str, str], HeaderNames] = Field(
        default={}, description="Headers of this rule's requests; their values may hold placeholders"
    )
    where: Mapping[str, Scalar | tuple[Scalar, ...]] = Field(
        default={}, description="Column: value or list of values; all must hold"
    )
    when: str | None = Field(default=None, description="Sandboxed Jinja2 expression; checked after where")
    payload: Any = Field(
        default=None,
        description="Template text, `file:name` under config/payloads, or a mapping; none: the whole event",
    )
    format: FormatName | None = Field(
        default=None, description="What this rule's payload is written in; null: the service's format"
    )
    max_event_age: Age = Field(
        default=86400.0,
        description="Seconds, or 24h, 7d ...: older events are held back and counted; none: no limit",
    )
    anonymous: Literal["mask", "reveal"] = Field(
        default="mask", description="Whether the person behind an anonymous event leaves"
    )
    retry: RuleRetry = RuleRetry()
    timeout: Annotated[Seconds | None, Limit] = Field(
        default=None, le=600, description="Seconds until a request is given up; null: the service's"
    )
    enabled: bool = Field(default=True, description="false: the rule matches nothing")

    @field_validator("where", mode="before")
    @classmethod
    def _numbers(cls, where: object) -> object:
        """Make numbers of numeric texts, as a variable of the environment can only hold text."""
        if not isinstance(where, Mapping):
            return where
        return {column: _fitted(column, wanted) for column, wanted in where.items()}

    @property
    def events(self) -> tuple[str, ...]:
        """The event patterns as a tuple."""
        return (self.event,) if isinstance(self.event, str) else self.event


def _fitted(column: str, wanted: Any) -> Any:
    if isinstance(wanted, list | tuple):
        return tuple(_fitted(column, one) for one in wanted)
    if column in NUMERIC_COLUMNS and isinstance(wanted, str) and is_whole(wanted):
        return int(wanted)
    return wanted


def is_whole(text: str) -> bool:
    """Tell whether a text is a number that fits a column of Moodle's log."""
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 20


class Settings(Section):
    """The whole file."""

    site: Name = Field(description="Name of this Moodle; part of every delivery id, so never change it")
    site_url: str = Field(
        default="",
        pattern=SITE_URL_PATTERN,
        max_length=500,
        description="Moodle's address, $CFG->wwwroot; what templates name site_url",
    )
    moodle: MoodleSettings
    store: StoreSettings = StoreSettings()
    tail: TailSettings = TailSettings()
    dispatch: DispatchSettings = DispatchSettings()
    retention: RetentionSettings = RetentionSettings()
    network: NetworkSettings = NetworkSettings()
    web: WebSettings = WebSettings()
    services: Mapping[Name, Service] = Field(default={}, description="The external systems, by name")
    rules: tuple[Rule, ...] = Field(
        default=(), description="Which events go where; each matching rule makes a delivery"
    )

    @model_validator(mode="after")
    def _hand_out_network(self) -> Self:
        """Put every service of the file under the file's network rules."""
        rules = self.network.rules(private=True)
        for service in self.services.values():
            service._network = rules
        return self

    @property
    def store_url(self) -> SecretStr:
        """The URL of the store: its own, or Moodle's."""
        return self.store.url if self.store.url.get_secret_value() else self.moodle.url
