"""Versions of rules: yesterday's rows are judged by yesterday's rules; replays, and their slow lane."""

import sqlalchemy as sa
from alembic import op

from sidecar.store.types import TABLE_OPTIONS, BigId, LongText, Name, UtcDateTime, Word

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "mih_rule_versions",
        sa.Column("site", Name, primary_key=True),
        sa.Column("rule", Name, primary_key=True),
        sa.Column("from_id", BigId, primary_key=True, autoincrement=False),
        sa.Column("late_from_id", BigId, nullable=False, autoincrement=False),
        sa.Column("version", Word, nullable=False),
        sa.Column("definition", LongText),
        sa.Column("since", UtcDateTime(), nullable=False),
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mih_replays",
        sa.Column("id", BigId, primary_key=True),
        sa.Column("site", Name, nullable=False),
        sa.Column("rule", Name, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("ids", LongText, nullable=False),
        sa.Column("event_since", UtcDateTime()),
        sa.Column("event_until", UtcDateTime()),
        sa.Column("position", BigId, nullable=False, autoincrement=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("rate", sa.Float()),
        sa.Column("next_at", UtcDateTime()),
        sa.Column("expected", BigId, nullable=False, autoincrement=False),
        sa.Column("looked_at", BigId, nullable=False, autoincrement=False),
        sa.Column("queued", BigId, nullable=False, autoincrement=False),
        sa.Column("known", BigId, nullable=False, autoincrement=False),
        sa.Column("filtered", BigId, nullable=False, autoincrement=False),
        sa.Column("dead", BigId, nullable=False, autoincrement=False),
        sa.Column("problem", sa.Text()),
        sa.Column("created_by", Name, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime()),
        sa.Column("fence", BigId, nullable=False, autoincrement=False),
        sa.Column("leased_by", Name),
        sa.Column("leased_until", UtcDateTime()),
        **TABLE_OPTIONS,
    )
    op.create_index("mih_replays_state", "mih_replays", ["site", "state", "id"])
    op.add_column("mih_queue", sa.Column("lane", sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("mih_queue_due", table_name="mih_queue")
    op.create_index("mih_queue_due", "mih_queue", ["service", "state", "lane", "due_at", "id"])
