"""The shape of the configuration file: its sections, each option with its type, default and unit."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    PositiveInt,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from sidecar.errors import said
from sidecar.model import delivery_id
from sidecar.settings.definitions import Made
from sidecar.settings.networks import NetworkRules, Range
from sidecar.settings.rule import Rule
from sidecar.settings.section import Section
from sidecar.settings.service import Service
from sidecar.settings.signin import MoodleLoginSettings, OidcSettings
from sidecar.settings.values import (
    HOST_PATTERN,
    PREFIX_PATTERN,
    SITE_URL_PATTERN,
    TABLE_PATTERN,
    Days,
    Limit,
    Name,
    PasswordHash,
    Seconds,
    Start,
    Token,
    UserName,
)


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
    ids_again_from: tuple[PositiveInt, ...] = Field(
        default=(),
        max_length=100,
        description="Ids from which on the log bears other rows than before, one for each time that it was"
        " emptied or set back; part of the delivery ids of these rows",
    )


class StoreSettings(Section):
    """Where the sidecar keeps its own tables."""

    url: SecretStr = Field(
        default=SecretStr(""), description="SQLAlchemy URL; empty: the same database as Moodle"
    )
    migrate: Literal["apply", "check"] = Field(
        default="apply", description="At start: apply pending migrations, or check and refuse to start"
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key of the secrets that the store keeps, 32 bytes as base64; several with commas:"
        " the first seals, all open; empty: the variable MIH_SECRET_KEY",
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


class BrokerSettings(Section):
    """The RabbitMQ that carries deliveries to processes on several machines."""

    url: SecretStr = Field(
        description="amqp://user:password@host:port/vhost, amqps:// with TLS; the password by reference"
    )
    nodes: tuple[str, ...] = Field(
        default=(),
        description="Other nodes of its cluster, host or host:port: who cannot work with one tries the next",
    )
    prefetch: int = Field(
        default=200,
        ge=1,
        le=10_000,
        description="Deliveries of a service that one process holds at most, being sent or about to be",
    )
    ca: str | None = Field(
        default=None, description="File (PEM) of the authority to trust instead of the public ones"
    )


class DispatchSettings(Section):
    """How deliveries are sent."""

    engine: Literal["database", "rabbitmq"] = Field(
        default="database",
        description="What carries deliveries to the processes that send: the store, or RabbitMQ",
    )
    broker: BrokerSettings | None = Field(
        default=None, description="The RabbitMQ of engine: rabbitmq; null: none"
    )
    concurrency: int = Field(
        default=64,
        ge=1,
        le=1024,
        description="Requests in flight, shared by all services; each may have four",
    )
    lease: Seconds = Field(
        default=60,
        ge=2,
        le=3600,
        description="Seconds after which a dead process's deliveries are taken over",
    )
    poll: Seconds = Field(
        default=1, le=3600, description="Seconds between looks for deliveries that other processes queued"
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
    stats_days: Days = Field(
        default=400, description="Days that statistics of hours and days are kept; those of minutes: 2 days"
    )
    audit_days: Days = Field(default=400, description="Days that the audit of changes is kept")


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


UserRole = Literal["view", "manage"]


class UserSettings(Section):
    """Somebody who may sign in to the dashboard."""

    name: UserName = Field(description="Name to sign in with")
    password_hash: PasswordHash = Field(
        description="Hash of the password, of argon2id; `mih users hash` makes it"
    )
    role: UserRole = Field(
        default="view", description="view: read all but payloads and people's data; manage: everything"
    )


class WebSettings(Section):
    """The dashboard, the HTTP API, and the addresses that a monitoring system asks."""

    enabled: bool = Field(default=True, description="Whether mih run listens at all")
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        pattern=HOST_PATTERN,
        max_length=253,
        description="Address to listen on; another than this machine's own needs a proxy with TLS before it",
    )
    port: int = Field(default=8080, ge=1, le=65535, description="Port to listen on")
    health_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port on which /healthz and /readyz alone are answered, also without dashboard and API;"
        " null: none",
    )
    tokens: tuple[TokenSettings, ...] = Field(
        default=(), description="Who may use the API; without tokens nobody may"
    )
    users: tuple[UserSettings, ...] = Field(
        default=(), description="Who may sign in to the dashboard, beside those of `mih users`"
    )
    local_login: bool = Field(
        default=True,
        description="Whether users of the sidecar itself may sign in; false needs moodle_login or oidc",
    )
    moodle_login: MoodleLoginSettings | None = Field(
        default=None, description="Sign-in with Moodle's own names and passwords; null: none"
    )
    oidc: OidcSettings | None = Field(default=None, description="Sign-in by OpenID Connect; null: none")
    session_idle: Seconds = Field(
        default=43_200, ge=60, description="Seconds without use after which one has to sign in again"
    )
    session_lasts: Seconds = Field(
        default=604_800, ge=60, description="Seconds after which one has to sign in again in any case"
    )
    trusted_proxies: tuple[Range, ...] = Field(
        default=(),
        description="Addresses of proxies whose X-Forwarded-For, -Proto and -Host are believed,"
        " such as 127.0.0.1/32",
    )

    @property
    def place(self) -> tuple[bool, str, int, int | None]:
        """Where it listens, if it does: what only a restart can change."""
        return self.enabled, self.host, self.port, self.health_port

    @model_validator(mode="after")
    def _tell_apart(self) -> Self:
        """Refuse two tokens of one name, and one token under two names: the log could not tell who it was."""
        names = [one.name for one in self.tokens]
        if len(set(names)) < len(names):
            raise ValueError(said("two tokens have the same name: names are unique"))
        if len({one.token.get_secret_value() for one in self.tokens}) < len(names):
            raise ValueError(said("two names have the same token: make one for each"))
        if len({one.name for one in self.users}) < len(self.users):
            raise ValueError(said("two users have the same name: names are unique"))
        return self


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

    _made: Made = PrivateAttr(default=Made())

    @property
    def made(self) -> Made:
        """What of it was made in the dashboard or by the API, and what is wrong with services and rules."""
        return self._made

    def with_made(self, services: Mapping[str, Service], rules: tuple[Rule, ...], made: Made) -> Self:
        """Return the settings with what was made here among its services and rules."""
        settings = self.model_copy(update={"services": services, "rules": rules})
        settings._made = made
        return settings

    @model_validator(mode="after")
    def _hand_out_network(self) -> Self:
        """Put every service of the file under the file's network rules."""
        rules = self.network.rules(private=True)
        for service in self.services.values():
            service._network = rules
        return self

    def delivery_id(self, rule: str, log_id: int) -> str:
        """Return the id of the delivery of a log row by a rule; another one each time the id came again."""
        again = self.moodle.ids_again_from
        times = sum(first <= log_id for first in again) if again else 0
        return delivery_id(f"{self.site}#{times}" if times else self.site, rule, log_id)

    @property
    def store_url(self) -> SecretStr:
        """The URL of the store: its own, or Moodle's."""
        return self.store.url if self.store.url.get_secret_value() else self.moodle.url
