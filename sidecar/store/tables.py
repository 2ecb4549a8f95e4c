"""The tables as the code sees them; the migrations build them, and a test compares the two."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, text

from sidecar.store.types import BigId, DeliveryId, LongText, Name, UtcDateTime, Word

metadata = MetaData()


def _index_of(column: str, name: str, *columns: str) -> Index:
    """Return an index of the rows that have a value, where the database can leave out the others."""
    some = text(f"{column} IS NOT NULL")
    return Index(name, *columns, postgresql_where=some, sqlite_where=some)


cursors = Table(
    "mih_cursors",
    metadata,
    Column("site", Name, primary_key=True),
    Column("position", BigId, nullable=False, autoincrement=False),
    Column("head", BigId, autoincrement=False),
    Column("fence", BigId, nullable=False, autoincrement=False),
    Column("leased_by", Name),
    Column("leased_until", UtcDateTime),
    Column("caught_up_at", UtcDateTime),
    Column("problem", Text),
    Column("updated_at", UtcDateTime, nullable=False),
)

gaps = Table(
    "mih_gaps",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("site", Name, nullable=False),
    Column("first_id", BigId, nullable=False),
    Column("last_id", BigId, nullable=False),
    Column("missing", BigId, nullable=False, server_default="0"),
    Column("bits", LongText),
    Column("state", Word, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("reason", Text),
    Index("mih_gaps_state", "site", "state", "first_id"),
)

services = Table(
    "mih_services",
    metadata,
    Column("name", Name, primary_key=True),
    Column("type", Word, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("auth", Word, nullable=False),
    Column("settings", Text, nullable=False),
    Column("source", Word, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

circuits = Table(
    "mih_circuits",
    metadata,
    Column("service", Name, primary_key=True),
    Column("state", Word, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("opened_at", UtcDateTime),
    Column("probe_at", UtcDateTime),
    Column("last_error", Text),
    Column("last_error_at", UtcDateTime),
    Column("failed_probes", Integer, nullable=False, server_default="0"),
    Column("window_at", UtcDateTime),
    Column("window_requests", Integer, nullable=False, server_default="0"),
    Column("window_failures", Integer, nullable=False, server_default="0"),
    Column("next_slot_at", UtcDateTime),
    Column("drain_before", UtcDateTime),
    Column("next_drain_at", UtcDateTime),
    Column("updated_at", UtcDateTime, nullable=False),
)

rules = Table(
    "mih_rules",
    metadata,
    Column("name", Name, primary_key=True),
    Column("event", Text, nullable=False),
    Column("service", Name, nullable=False),
    Column("method", Word, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("version", Word, nullable=False),
    Column("definition", LongText, nullable=False),
    Column("source", Word, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

queue = Table(
    "mih_queue",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("delivery_id", DeliveryId, nullable=False, unique=True),
    Column("rule", Name),
    Column("rule_version", Word),
    Column("service", Name, nullable=False),
    Column("event", String(255)),
    Column("log_id", BigId),
    Column("method", Word, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("headers", Text),
    Column("payload", LongText),
    Column("content_type", Name),
    Column("state", Word, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("leased_by", Name),
    Column("leased_until", UtcDateTime),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("event_at", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("settled_at", UtcDateTime),
    Column("original", LongText),
    Column("lane", Integer, nullable=False, server_default="0"),
    Column("order_key", Word),
    Column("expires_at", UtcDateTime),
    Index("mih_queue_due", "service", "state", "lane", "due_at", "id"),
    Index("mih_queue_rule", "rule", "log_id"),
    Index("mih_queue_lease", "state", "leased_until"),
    Index("mih_queue_settled", "state", "settled_at"),
    _index_of("order_key", "mih_queue_order", "order_key", "state", "log_id"),
    _index_of("expires_at", "mih_queue_expires", "expires_at"),
)

log = Table(
    "mih_log",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("delivery_id", DeliveryId, nullable=False),
    Column("rule", Name),
    Column("service", Name, nullable=False),
    Column("method", Word, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("outcome", Word, nullable=False),
    Column("status", Integer),
    Column("latency_ms", Float, nullable=False),
    Column("error", Text),
    Column("request", Text),
    Column("response", Text),
    Column("replica", Name, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("mih_log_delivery", "delivery_id"),
    Index("mih_log_service", "service", "created_at"),
    Index("mih_log_created", "created_at"),
)

dlq = Table(
    "mih_dlq",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("delivery_id", DeliveryId, nullable=False, unique=True),
    Column("rule", Name),
    Column("service", Name, nullable=False),
    Column("event", String(255)),
    Column("log_id", BigId),
    Column("method", Word, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("headers", Text),
    Column("payload", LongText),
    Column("content_type", Name),
    Column("event_row", LongText),
    Column("reason", Word, nullable=False),
    Column("error", Text, nullable=False),
    Column("status", Integer),
    Column("response", Text),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("mih_dlq_service", "service", "created_at"),
    Index("mih_dlq_rule", "rule", "created_at"),
    Index("mih_dlq_reason", "reason", "service", "status", "created_at"),
    Index("mih_dlq_created", "created_at", "service"),
)

counts = Table(
    "mih_counts",
    metadata,
    Column("hour", UtcDateTime, primary_key=True),
    Column("rule", Name, primary_key=True),
    Column("what", Word, primary_key=True),
    Column("n", BigId, nullable=False, autoincrement=False),
)

replicas = Table(
    "mih_replicas",
    metadata,
    Column("name", Name, primary_key=True),
    Column("role", Word, nullable=False),
    Column("host", Name, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Word, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("tail_at", UtcDateTime),
    Column("dispatch_at", UtcDateTime),
    Column("problem", Text),
)

definitions = Table(
    "mih_definitions",
    metadata,
    Column("kind", Word, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("definition", LongText, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("updated_by", Name, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

secrets = Table(
    "mih_secrets",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("sealed", LongText, nullable=False),
    Column("key_id", Word, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

audit = Table(
    "mih_audit",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("done_at", UtcDateTime, nullable=False),
    Column("who", Name, nullable=False),
    Column("via", Word, nullable=False),
    Column("action", Name, nullable=False),
    Column("object", String(200), nullable=False),
    Column("detail", Text),
    Index("mih_audit_done", "done_at"),
    Index("mih_audit_object", "object", "action", "id"),
    Index("mih_audit_who", "who", "id"),
    Index("mih_audit_action", "action", "id"),
)

users = Table(
    "mih_users",
    metadata,
    Column("name", Name, primary_key=True),
    Column("password_hash", String(255), nullable=False),
    Column("role", Word, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

sessions = Table(
    "mih_sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("user_name", Name, nullable=False),
    Column("role", Word, nullable=False),
    Column("via", Word, nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("mih_sessions_expires", "expires_at"),
)

stats = Table(
    "mih_stats",
    metadata,
    Column("span", Word, primary_key=True),
    Column("service", Name, primary_key=True),
    Column("begins_at", UtcDateTime, primary_key=True),
    Column("delivered", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("dead", Integer, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("latencies", Text, nullable=False),
    # Covers the counts of a chart: its rows lie apart, by service.
    Index("mih_stats_begins", "span", "begins_at", "service", "delivered", "failed", "dead"),
)

watch = Table(
    "mih_watch",
    metadata,
    Column("site", Name, primary_key=True),
    Column("subject", Word, primary_key=True),
    Column("level", Word, nullable=False),
    Column("code", Word, nullable=False),
    Column("detail", Text, nullable=False),
    Column("since_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
)

rule_versions = Table(
    "mih_rule_versions",
    metadata,
    Column("site", Name, primary_key=True),
    Column("rule", Name, primary_key=True),
    Column("from_id", BigId, primary_key=True, autoincrement=False),
    Column("late_from_id", BigId, nullable=False, autoincrement=False),
    Column("version", Word, nullable=False),
    Column("definition", LongText),
    Column("since", UtcDateTime, nullable=False),
)

replays = Table(
    "mih_replays",
    metadata,
    Column("id", BigId, primary_key=True),
    Column("site", Name, nullable=False),
    Column("rule", Name, nullable=False),
    Column("state", Word, nullable=False),
    Column("ids", LongText, nullable=False),
    Column("event_since", UtcDateTime),
    Column("event_until", UtcDateTime),
    Column("position", BigId, nullable=False, autoincrement=False),
    Column("again", Boolean, nullable=False),
    Column("rate", Float),
    Column("next_at", UtcDateTime),
    Column("expected", BigId, nullable=False, autoincrement=False),
    Column("looked_at", BigId, nullable=False, autoincrement=False),
    Column("queued", BigId, nullable=False, autoincrement=False),
    Column("known", BigId, nullable=False, autoincrement=False),
    Column("filtered", BigId, nullable=False, autoincrement=False),
    Column("dead", BigId, nullable=False, autoincrement=False),
    Column("problem", Text),
    Column("created_by", Name, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("fence", BigId, nullable=False, autoincrement=False),
    Column("leased_by", Name),
    Column("leased_until", UtcDateTime),
    Index("mih_replays_state", "site", "state", "id"),
)
