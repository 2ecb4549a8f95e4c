"""The first tables."""

import sqlalchemy as sa
from alembic import op

from sidecar.store.types import TABLE_OPTIONS, BigId, DeliveryId, LongText, Name, UtcDateTime, Word

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "mih_circuits",
        sa.Column("service", Name, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=True),
        sa.Column("probe_at", UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", UtcDateTime(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("service"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_counts",
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("rule", Name, nullable=False),
        sa.Column("what", Word, nullable=False),
        sa.Column("n", BigId, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("hour", "rule", "what"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_cursors",
        sa.Column("site", Name, nullable=False),
        sa.Column("position", BigId, autoincrement=False, nullable=False),
        sa.Column("head", BigId, autoincrement=False, nullable=True),
        sa.Column("fence", BigId, autoincrement=False, nullable=False),
        sa.Column("leased_by", Name, nullable=True),
        sa.Column("leased_until", UtcDateTime(), nullable=True),
        sa.Column("caught_up_at", UtcDateTime(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("site"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_dlq",
        sa.Column("id", BigId, nullable=False),
        sa.Column("delivery_id", DeliveryId, nullable=False),
        sa.Column("rule", Name, nullable=True),
        sa.Column("service", Name, nullable=False),
        sa.Column("event", sa.String(length=255), nullable=True),
        sa.Column("log_id", BigId, nullable=True),
        sa.Column("method", Word, nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("payload", LongText, nullable=True),
        sa.Column("content_type", Name, nullable=True),
        sa.Column("event_row", LongText, nullable=True),
        sa.Column("reason", Word, nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("delivery_id"),
        **TABLE_OPTIONS,
    )
    op.create_index("mih_dlq_rule", "mih_dlq", ["rule", "created_at"], unique=False)
    op.create_index("mih_dlq_service", "mih_dlq", ["service", "created_at"], unique=False)
    op.create_table(
        "mih_gaps",
        sa.Column("id", BigId, nullable=False),
        sa.Column("site", Name, nullable=False),
        sa.Column("first_id", BigId, nullable=False),
        sa.Column("last_id", BigId, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        **TABLE_OPTIONS,
    )
    op.create_index("mih_gaps_state", "mih_gaps", ["site", "state", "first_id"], unique=False)
    op.create_table(
        "mih_log",
        sa.Column("id", BigId, nullable=False),
        sa.Column("delivery_id", DeliveryId, nullable=False),
        sa.Column("rule", Name, nullable=True),
        sa.Column("service", Name, nullable=False),
        sa.Column("method", Word, nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("outcome", Word, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("replica", Name, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        **TABLE_OPTIONS,
    )
    op.create_index("mih_log_created", "mih_log", ["created_at"], unique=False)
    op.create_index("mih_log_delivery", "mih_log", ["delivery_id"], unique=False)
    op.create_index("mih_log_service", "mih_log", ["service", "created_at"], unique=False)
    op.create_table(
        "mih_queue",
        sa.Column("id", BigId, nullable=False),
        sa.Column("delivery_id", DeliveryId, nullable=False),
        sa.Column("rule", Name, nullable=True),
        sa.Column("rule_version", Word, nullable=True),
        sa.Column("service", Name, nullable=False),
        sa.Column("event", sa.String(length=255), nullable=True),
        sa.Column("log_id", BigId, nullable=True),
        sa.Column("method", Word, nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("payload", LongText, nullable=True),
        sa.Column("content_type", Name, nullable=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("leased_by", Name, nullable=True),
        sa.Column("leased_until", UtcDateTime(), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("event_at", UtcDateTime(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("delivery_id"),
        **TABLE_OPTIONS,
    )
    op.create_index("mih_queue_due", "mih_queue", ["service", "state", "due_at", "id"], unique=False)
    op.create_index("mih_queue_lease", "mih_queue", ["state", "leased_until"], unique=False)
    op.create_index("mih_queue_rule", "mih_queue", ["rule", "log_id"], unique=False)
    op.create_index("mih_queue_settled", "mih_queue", ["state", "settled_at"], unique=False)
    op.create_table(
        "mih_replicas",
        sa.Column("name", Name, nullable=False),
        sa.Column("role", Word, nullable=False),
        sa.Column("host", Name, nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", Word, nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("tail_at", UtcDateTime(), nullable=True),
        sa.Column("dispatch_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_rules",
        sa.Column("name", Name, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("service", Name, nullable=False),
        sa.Column("method", Word, nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("version", Word, nullable=False),
        sa.Column("definition", LongText, nullable=False),
        sa.Column("source", Word, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_services",
        sa.Column("name", Name, nullable=False),
        sa.Column("type", Word, nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("auth", Word, nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("source", Word, nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        **TABLE_OPTIONS,
    )
    # ### end Alembic commands ###
