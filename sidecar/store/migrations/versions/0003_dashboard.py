"""What is made in the dashboard and the API, by whom, and how services fared over time."""

import sqlalchemy as sa
from alembic import op

from sidecar.store.types import TABLE_OPTIONS, BigId, LongText, Name, UtcDateTime, Word

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "mih_definitions",
        sa.Column("kind", Word, primary_key=True),
        sa.Column("name", Name, primary_key=True),
        sa.Column("definition", LongText, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("updated_by", Name, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_secrets",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("sealed", LongText, nullable=False),
        sa.Column("key_id", Word, nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_audit",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("done_at", UtcDateTime(), nullable=False),
        sa.Column("who", Name, nullable=False),
        sa.Column("via", Word, nullable=False),
        sa.Column("action", Name, nullable=False),
        sa.Column("object", sa.String(200), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_users",
        sa.Column("name", Name, primary_key=True),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", Word, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("user_name", Name, nullable=False),
        sa.Column("role", Word, nullable=False),
        sa.Column("via", Word, nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_stats",
        sa.Column("span", Word, primary_key=True),
        sa.Column("service", Name, primary_key=True),
        sa.Column("begins_at", UtcDateTime(), primary_key=True),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("dead", sa.Integer(), nullable=False),
        sa.Column("latency_ms", sa.Float(), nullable=False),
        sa.Column("latencies", sa.Text(), nullable=False),
        **TABLE_OPTIONS,
    )
    op.create_index("mih_audit_done", "mih_audit", ["done_at"])
    op.create_index("mih_sessions_expires", "mih_sessions", ["expires_at"])
    op.create_index("mih_stats_begins", "mih_stats", ["span", "begins_at"])
