"""The shape of the configuration file: every option, its type, default and unit."""

from collections.abc import Mapping
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from sidecar.model import Event
from sidecar.settings.broker import part
from sidecar.settings.values import (
    PREFIX_PATTERN,
    TABLE_PATTERN,
    Age,
    Credential,
    Days,
    Events,
    HeaderName,
    HeaderNames,
    Limit,
    Name,
    Seconds,
    Start,
    Wait,
)

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]
Scalar = str | int | None

# The types of service that can be sent to.
TRANSPORTS: frozenset[str] = frozenset({"amqp", "rest"})

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


class NoAuth(Section):
    """No credentials."""

    type: Literal["none"] = Field(default="none", description="No credentials are sent")


class BearerAuth(Section):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"] = Field(description="Authorization: Bearer <token>")
    token: Credential = Field(min_length=1, description="The token, a secret")


class ApiKeyAuth(Section):
    """A key in a header of your choice."""

    type: Literal["apikey"] = Field(description="A key in a header of your choice")
    key: Credential = Field(min_length=1, description="The key, a secret")
    header: HeaderName = Field(default="X-API-Key", description="Name of the header that carries the key")


class BasicAuth(Section):
    """HTTP Basic."""

    type: Literal["basic"] = Field(description="HTTP Basic: a user name and a password")
    username: str = Field(pattern=r"^[^:\x00-\x1f]*$", description="User name; it cannot hold a colon")
    password: SecretStr = Field(description="Password, a secret")


Auth = Annotated[NoAuth | BearerAuth | ApiKeyAuth | BasicAuth, Field(discriminator="type")]


class RetrySettings(Section):
    """Waits `backoff` x 1, x 2, x 4 ... seconds, capped at `max_backoff`."""

    max_retries: int = Field(default=3, ge=0, le=100, description="Tries after the first")
    backoff: Wait = Field(
        default=1, le=3600, description="Seconds before the first retry; it doubles with each"
    )
    max_backoff: Seconds = Field(default=60, le=86400, description="Seconds that a wait is capped at")
    max_retry_after: Seconds = Field(
        default=3600, le=86400, description="Seconds that a Retry-After answer is capped at"
    )


class CircuitBreakerSettings(Section):
    """Stops sending to a service that is ill."""

    failure_threshold: int = Field(default=5, ge=1, description="Failures in a row that open the circuit")
    cooldown: Seconds = Field(default=30, description="Seconds until one probe is sent")


class Service(Section):
    """An external system: where it is and how to send to it."""

    type: str = Field(
        default="rest",
        description="Transport: rest, or amqp for RabbitMQ",
        json_schema_extra={"enum": [*sorted(TRANSPORTS)]},
    )
    base_url: str = Field(
        min_length=1,
        description="Where the service is; a rule's endpoint is appended. Of amqp:"
        " amqp(s)://host:port/vhost?exchange=&routing_key=&queue_declare=&dlq=;"
        " a rule's endpoint is the routing key",
    )
    auth: Auth = Field(default=NoAuth(), description="Credentials: type none, bearer, apikey or basic")
    headers: Annotated[Mapping[str, Credential], HeaderNames] = Field(
        default={}, description="Headers of every request; their values are secrets"
    )
    timeout: Seconds = Field(default=5, le=600, description="Seconds until a request is given up")
    retry: RetrySettings = RetrySettings()
    circuit_breaker: CircuitBreakerSettings = CircuitBreakerSettings()
    max_concurrency: Annotated[int | None, Limit] = Field(
        default=None,
        ge=1,
        le=1024,
        description="Requests in flight at most; null: an equal share of dispatch.concurrency",
    )
    max_payload: int = Field(
        default=1_048_576, ge=1, description="Bytes; a larger payload becomes a dead letter"
    )
    enabled: bool = Field(default=True, description="false: its deliveries are queued and wait")

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
    max_event_age: Age = Field(
        default=86400.0,
        description="Seconds, or 24h, 7d ...: older events are held back and counted; none: no limit",
    )
    anonymous: Literal["mask", "reveal"] = Field(
        default="mask", description="Whether the person behind an anonymous event leaves"
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
    moodle: MoodleSettings
    store: StoreSettings = StoreSettings()
    tail: TailSettings = TailSettings()
    dispatch: DispatchSettings = DispatchSettings()
    retention: RetentionSettings = RetentionSettings()
    services: Mapping[Name, Service] = Field(default={}, description="The external systems, by name")
    rules: tuple[Rule, ...] = Field(
        default=(), description="Which events go where; each matching rule makes a delivery"
    )

    @property
    def store_url(self) -> SecretStr:
        """The URL of the store: its own, or Moodle's."""
        return self.store.url if self.store.url.get_secret_value() else self.moodle.url
